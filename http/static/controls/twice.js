// Buttons that are pressed twice, the second time in other words, for what cannot be taken back.

import { button } from "./elements.js";

// The button, which says `words`, and `sureWords` once it was pressed, until the focus leaves it; `about` is whom or what it
// is for. `act()` is what the second press does, and is waited for. A double click is one press, and so is a key that is held
// down.
export function twice(words, sureWords, about, act) {
  let isSure = false;
  let isActing = false;
  const turn = (next) => {
    isSure = next;
    made.textContent = isSure ? sureWords : words;
    made.setAttribute("aria-label", `${made.textContent}: ${about}`);
    made.classList.toggle("danger", isSure);
  };
  const made = button(words, async (event) => {
    if (!isSure) turn(true);
    else if (event.detail < 2 && !isActing) {
      isActing = true;
      await act().finally(() => (isActing = false));
    }
  });
  turn(false);
  made.addEventListener("blur", () => turn(false));
  made.addEventListener("keydown", (event) => event.repeat && event.key === "Enter" && event.preventDefault());
  return made;
}
