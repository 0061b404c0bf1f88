// Which two mixdowns are compared. The first that is chosen is A; whatever is chosen next is B, in place of the one before.

const CHOOSE = "Now choose another mixdown to compare it with.";

const part = (id) => document.getElementById(id);

export class Comparing {
  #chosen = [];
  #bar = null;
  #told;

  // `told`: `changed(ids)` which are chosen now, `played()` when they begin to play, `say(words)` for whoever does not see the
  // page.
  constructor(told) {
    this.#told = told;
    // It does not bubble. What else begins to play is heard alone.
    document.addEventListener("play", () => this.#bar?.pause(), true);
  }

  // Choose a mixdown, or give it up. `export_` is as the studio has it.
  toggle(export_) {
    if (this.#has(export_.exportId)) this.drop(export_.exportId);
    else this.#set([...this.#chosen.slice(0, 1), export_]);
    if (this.#chosen.length === 1) this.#told.say(CHOOSE);
  }

  // It is not there any more, or not compared any more.
  drop(exportId) {
    if (this.#has(exportId)) this.#set(this.#chosen.filter((each) => each.exportId !== exportId));
  }

  close() {
    this.#set([]);
  }

  // Something else is heard now.
  pause() {
    this.#bar?.pause();
  }

  #played() {
    silence();
    this.#told.played();
  }

  #has(exportId) {
    return this.#chosen.some((each) => each.exportId === exportId);
  }

  async #set(chosen) {
    this.#chosen = chosen;
    this.#bar?.close();
    this.#bar = null;
    this.#told.changed(chosen.map(({ exportId }) => exportId));
    if (chosen.length < 2) return;
    const { CompareBar } = await import("./compare.js");
    // Another choice was made meanwhile.
    if (this.#chosen !== chosen) return;
    this.#bar = new CompareBar(...chosen, { closed: () => this.#closed(), played: () => this.#played() });
    part("mixdowns").before(this.#bar.element);
    this.#bar.element.querySelector("button").focus();
  }

  #closed() {
    const [{ exportId }] = this.#chosen;
    this.#bar = null;
    this.#set([]);
    document.querySelector(`[data-id="${exportId}"] [data-act="compare"]`)?.focus();
  }
}

function silence() {
  for (const audio of document.querySelectorAll("audio")) audio.pause();
}
