// Asking for a mixdown: the choice of its format, the button, and the note that it is queued.

import { ask } from "../controls/api.js";

// The note is there as long as the mixdown is in the making, and long enough to be read.
const NOTE_MS = 5_000;
const QUEUED = "Export queued";
const FULL = ["too_many_exports", "too_many_exports_of_user"];

const part = (id) => document.getElementById(id);

export class Rendering {
  #sessionId;
  #told;
  #isAsking = false;
  #isFull = false;
  #queuedAt = 0;
  #clearing = 0;

  // `told`: `asked(export)` for each that is queued, `lost(problem)` whether a problem ends everything.
  constructor(sessionId, told) {
    this.#sessionId = sessionId;
    this.#told = told;
    part("render").addEventListener("submit", (event) => {
      event.preventDefault();
      this.render(new FormData(part("render")).get("format"));
    });
  }

  async render(format) {
    if (this.#isAsking) return;
    this.#turn(true);
    this.note("");
    this.#fail("");
    try {
      const export_ = await ask("POST", "/api/export", { sessionId: this.#sessionId, format });
      this.note(QUEUED);
      this.#queuedAt = performance.now();
      this.#told.asked(export_);
    } catch (problem) {
      if (!this.#told.lost(problem)) this.#fail(problem.message, FULL.includes(problem.code));
    } finally {
      this.#turn(false);
    }
  }

  // Beside the button, and told to whoever does not see the page.
  note(words) {
    clearTimeout(this.#clearing);
    part("render-note").textContent = words;
  }

  // One is over: none is queued, and there is room for another.
  settle() {
    if (this.#isFull) this.#fail("");
    if (part("render-note").textContent !== QUEUED) return;
    clearTimeout(this.#clearing);
    this.#clearing = setTimeout(() => this.note(""), Math.max(0, this.#queuedAt + NOTE_MS - performance.now()));
  }

  // Not disabled: the keyboard stays on it.
  #turn(isAsking) {
    this.#isAsking = isAsking;
    part("render-go").setAttribute("aria-disabled", String(isAsking));
  }

  #fail(words, isFull = false) {
    this.#isFull = isFull;
    part("render-problem").textContent = words;
    part("render-problem").hidden = !words;
  }
}
