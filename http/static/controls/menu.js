// The menus that are `details`: they close as menus do, by Escape, by a press elsewhere, and when the focus moves on.

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
  menu.addEventListener("click", (event) => event.target.closest("button") && close());
  document.addEventListener("pointerdown", (event) => menu.contains(event.target) || close());
}
