// The comparison of two mixdowns: which one is heard, where, and how their levels are matched. The key X switches.
//
// Its markup is in a template of the page (compare_bar.html).

import { levelInWords, timeInWords } from "../controls/quantities.js";
import { Comparison } from "../sound/comparison.js";

const UNPLAYABLE = "One of them cannot be played in this browser.";
const UNMATCHED = "Their levels are as they are: one of them is too quiet to be measured.";
const SAME = "They are equally loud.";
const KEY = "x";

const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

export class CompareBar {
  element;
  #comparison;
  #told;
  #frame = 0;
  #ended = new AbortController();

  // `a` and `b` are exports as `GET /api/export` has them, both completed. `told`: `closed()` when it was closed here, `played()` when
  // it begins to play.
  // `element` is to be put into the page by whoever makes it.
  constructor(a, b, told, comparison = new Comparison(a, b)) {
    this.#told = told;
    this.#comparison = comparison;
    this.element = document.getElementById("compare-template").content.firstElementChild.cloneNode(true);
    // Their files are all named after the session: when they were asked for tells them apart.
    for (const [name, { format, createdAt }] of Object.entries({ a, b })) {
      const when = moments.format(new Date(createdAt));
      this.#show(name, a.format === b.format ? when : `${format.toUpperCase()}, ${when}`);
    }
    this.#show("levels", levelsInWords(a, b, comparison.gainsDb));
    this.#act("place").max = String(comparison.duration_s);
    this.#act("play").addEventListener("click", () => comparison.toggle());
    this.#act("place").addEventListener("input", () => comparison.seek(Number(this.#act("place").value)));
    this.#act("close").addEventListener("click", () => this.#closeHere());
    for (const side of this.element.querySelectorAll('[name="compare-side"]')) {
      side.addEventListener("change", () => comparison.switch(side.value));
    }
    comparison.addEventListener("change", () => this.#draw());
    comparison.addEventListener("problem", () => this.#fail(UNPLAYABLE));
    document.addEventListener("keydown", (event) => this.#pressed(event), { signal: this.#ended.signal });
    this.#draw();
  }

  get isPlaying() {
    return this.#comparison.isPlaying;
  }

  pause() {
    this.#comparison.pause();
  }

  // Never to be heard again.
  close() {
    cancelAnimationFrame(this.#frame);
    this.#ended.abort();
    this.#comparison.close();
    this.element.remove();
  }

  #closeHere() {
    this.close();
    this.#told.closed();
  }

  #pressed(event) {
    const isWriting = event.target.closest("textarea, select, input:not([type=range], [type=radio], [type=checkbox]), dialog");
    if (event.key.toLowerCase() !== KEY || event.altKey || event.ctrlKey || event.metaKey || isWriting) return;
    event.preventDefault();
    this.#comparison.switch();
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    const { heard, isPlaying, place_s, duration_s } = this.#comparison;
    if (isPlaying && !this.element.classList.contains("is-live")) this.#told.played();
    this.element.classList.toggle("is-live", isPlaying);
    this.#act("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.element.querySelector(`[value="${heard}"]`).checked = true;
    const words = `${timeInWords(place_s)} of ${timeInWords(duration_s)}`;
    this.#act("place").value = String(place_s);
    if (this.#act("place").getAttribute("aria-valuetext") !== words) this.#act("place").setAttribute("aria-valuetext", words);
    this.#show("time", timeInWords(place_s));
    if (isPlaying) {
      this.#fail("");
      this.#frame = requestAnimationFrame(() => this.#draw());
    }
  }

  #show(name, words) {
    const place = this.element.querySelector(`[data-show="${name}"]`);
    if (place.textContent !== words) place.textContent = words;
  }

  #fail(words) {
    this.#show("problem", words);
    this.element.querySelector('[data-show="problem"]').hidden = !words;
  }

  #act(name) {
    return this.element.querySelector(`[data-act="${name}"]`);
  }
}

function levelsInWords(a, b, gainsDb) {
  if (a.loudnessLufs === null || b.loudnessLufs === null) return UNMATCHED;
  const down = gainsDb.a < gainsDb.b ? "A" : "B";
  const by_db = Math.min(gainsDb.a, gainsDb.b);
  return by_db > -0.05 ? SAME : `${down} is turned down, ${levelInWords(by_db, "dB")}, so that both are equally loud. X switches.`;
}
