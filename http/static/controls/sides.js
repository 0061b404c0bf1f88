// The two sides of a room on a small screen: what is said, or the stems. A larger one shows both.

const SIDES = ["talk", "stems"];

const turner = (side) => document.getElementById(`turn-${side}`);

export function turnTo(side) {
  document.body.classList.toggle("at-stems", side === "stems");
  for (const each of SIDES) turner(each).setAttribute("aria-pressed", String(each === side));
}

for (const side of SIDES) turner(side).addEventListener("click", () => turnTo(side));
