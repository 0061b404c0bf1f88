// What opens over a page. The menus that are `details` close as menus do, by Escape, by a press elsewhere, and when the focus
// moves on; dialogs by their buttons and by a press beside them (Escape is the browser's).

for (const menu of document.querySelectorAll("details.menu")) {
  const close = () => (menu.open = false);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    close();
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) close();
  });
  menu.addEventListener("click", (event) => event.target.closest(".menu-item") && close());
  document.addEventListener("pointerdown", (event) => menu.contains(event.target) || close());
}

for (const dialog of document.querySelectorAll("dialog")) {
  for (const button of dialog.querySelectorAll("[data-close]")) button.addEventListener("click", () => dialog.close());
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close());
}
