// Buttons that are pressed twice, the second time in other words, for what cannot be taken back.

// The button, which says `words`, and `sureWords` once it was pressed, until the focus leaves it; `about` is whom or what it
// is for. `act()` is what the second press does, and is waited for. A double click is one press, and so is a key that is held
// down.
export function twice(words, sureWords, about, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  let isSure = false;
  let isActing = false;
  const turn = (next) => {
    isSure = next;
    button.textContent = isSure ? sureWords : words;
    button.setAttribute("aria-label", `${button.textContent}: ${about}`);
    button.classList.toggle("danger", isSure);
  };
  turn(false);
  button.addEventListener("blur", () => turn(false));
  button.addEventListener("keydown", (event) => event.repeat && event.key === "Enter" && event.preventDefault());
  button.addEventListener("click", async (event) => {
    if (!isSure) turn(true);
    else if (event.detail < 2 && !isActing) {
      isActing = true;
      await act().finally(() => (isActing = false));
    }
  });
  return button;
}
