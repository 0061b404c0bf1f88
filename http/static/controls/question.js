// The question before a line of a list is removed, asked in the line itself.

export class Question {
  #line;
  #behind;
  #box;

  // `behind` selects what cannot be used meanwhile. `act()` is what a yes does.
  constructor(line, behind, act) {
    this.#line = line;
    this.#behind = line.querySelectorAll(behind);
    this.#box = line.querySelector(".line-sure");
    this.#find('[data-act="keep"]').addEventListener("click", () => this.#turn(false));
    this.#box.addEventListener("keydown", (event) => event.key === "Escape" && this.#turn(false));
    this.#find('[data-act="remove-sure"]').addEventListener("click", act);
  }

  ask() {
    this.#turn(true);
  }

  // What was asked of is shown no more, or something else is: nothing is asked, and the keyboard stays where it is.
  close() {
    this.#show(false);
  }

  #turn(isAsked) {
    this.#show(isAsked);
    this.#find(`[data-act="${isAsked ? "keep" : "remove"}"]`).focus();
  }

  #show(isAsked) {
    this.#box.hidden = !isAsked;
    for (const each of this.#behind) each.inert = isAsked;
  }

  #find(selector) {
    return this.#line.querySelector(selector);
  }
}
