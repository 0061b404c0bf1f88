// One line of the activity: who did what and when, with Undo while it can be undone by whoever looks at it.

import { ask } from "../controls/api.js";
import { avatar } from "../room/roster.js";
import { inWords } from "./activity_words.js";

const part = (id) => document.getElementById(id);
const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

export class ActivityItem {
  row;
  #event;
  #rights;
  #told;
  #isAsking = false;

  // `rights` are those of `room/roster.js`. `told`: `undone(event)` when it is undone here, `stale()` when it is not as it is shown, `lost(problem)` whether a
  // problem ends everything.
  constructor(event, rights, told) {
    this.#event = event;
    this.#rights = rights;
    this.#told = told;
    this.row = part("activity-item").content.firstElementChild.cloneNode(true);
    this.row.dataset.id = event.id;
    this.row.prepend(avatar(event.actor.id ?? event.actor.name, event.actor.name));
    const words = this.#find(".activity-words");
    words.id = `activity-${event.id}`;
    const button = this.#find('[data-act="undo"]');
    button.setAttribute("aria-describedby", words.id);
    button.addEventListener("click", () => this.#undo());
    this.#draw();
  }

  get event() {
    return this.#event;
  }

  // As the studio has it now, in whole or in part.
  put(change) {
    this.#event = { ...this.#event, ...change };
    this.#draw();
  }

  // Whether it can be undone by whoever looks at it, as far as is known here.
  get canBeUndone() {
    return this.#rights.mayUndo(this.#event.undo);
  }

  focus() {
    const button = this.#find('[data-act="undo"]');
    (button.hidden ? part("tab-activity") : button).focus();
  }

  #draw() {
    const { actor, at, undoneBy } = this.#event;
    const who = document.createElement("strong");
    who.textContent = actor.name;
    this.#find(".activity-words").replaceChildren(who, ` ${inWords(this.#event)}`);
    this.#find("time").dateTime = at;
    this.#find("time").textContent = moments.format(new Date(at));
    this.#find(".activity-undone").textContent = undoneBy ? ` · Undone by ${undoneBy.name}` : "";
    const button = this.#find('[data-act="undo"]');
    const isFocused = document.activeElement === button;
    button.hidden = !this.canBeUndone;
    // The keyboard is not left in the void.
    if (isFocused && button.hidden) this.focus();
  }

  async #undo() {
    if (this.#isAsking) return;
    this.#setAsking(true);
    this.#fail("");
    try {
      this.#told.undone((await ask("POST", this.#event.undo.url)).event);
    } catch (problem) {
      if (problem.code === "sign_in_required" || problem.code === "session_not_found") this.#told.lost(problem);
      else this.#fail(problem.message);
      if (problem.status === 409 || problem.status === 404) this.#told.stale();
    } finally {
      this.#setAsking(false);
    }
  }

  #setAsking(isAsking) {
    this.#isAsking = isAsking;
    this.#find('[data-act="undo"]').setAttribute("aria-disabled", String(isAsking));
  }

  #fail(words) {
    this.#find(".fault").textContent = words;
    this.#find(".fault").hidden = !words;
  }

  #find(selector) {
    return this.row.querySelector(selector);
  }
}
