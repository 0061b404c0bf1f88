// A stem's waveform, asked for until it is there. What is played of it is the style's to light, by `--played`.

import { ask } from "../controls/api.js";

const BARS = 180;
const TALL = 100;
const LEAST = 1;
const FIRST_DELAY_MS = 1_500;
const LONGEST_DELAY_MS = 20_000;

export class Waveform {
  #box;
  #path;
  #told;
  #timer = 0;
  #delay_ms = FIRST_DELAY_MS;
  #isAsking = false;

  // `box` holds the paths to draw, and the words for when there is nothing to draw. `told`: `drawn()` when it is there,
  // `failed(problem)` when it never will be.
  constructor(box, uploadId, told) {
    this.#box = box;
    this.#path = `/api/upload/${uploadId}/peaks`;
    this.#told = told;
    this.#show("pending", "Listening to it…");
  }

  // Ask now; and again later, when it is not there yet.
  async ask() {
    if (this.#isAsking || this.#box.dataset.state !== "pending") return;
    this.#isAsking = true;
    clearTimeout(this.#timer);
    try {
      const { peaks } = await ask("GET", this.#path);
      this.#draw(peaks);
    } catch (problem) {
      this.#refused(problem);
    } finally {
      this.#isAsking = false;
    }
  }

  // Ask a little later: whoever listens needs a moment, and says when it is done.
  askSoon() {
    this.#again(this.#delay_ms);
  }

  // There is nothing to draw, now or ever.
  close() {
    this.#box.dataset.state = "none";
    clearTimeout(this.#timer);
  }

  #refused(problem) {
    if (this.#box.dataset.state !== "pending") return;
    if (problem.code === "no_peaks") this.#show("none", "There is no sound in it.");
    else if (problem.code === "peaks_pending" || problem.isPassing) {
      this.#delay_ms = Math.min(this.#delay_ms * 1.5, LONGEST_DELAY_MS);
      this.#again(Math.max(problem.retryAfter_ms, this.#delay_ms));
    } else this.#told.failed(problem);
  }

  #again(delay_ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.ask(), delay_ms);
  }

  #draw(peaks) {
    if (this.#box.dataset.state !== "pending") return;
    for (const path of this.#box.querySelectorAll("path")) path.setAttribute("d", bars(peaks));
    this.#show("drawn", "");
    this.#told.drawn();
  }

  #show(state, words) {
    this.#box.dataset.state = state;
    this.#box.querySelector(".wave-words").textContent = words;
  }
}

// One upright line for each of so many stretches, as tall as the loudest in it.
function bars(peaks) {
  const count = Math.min(BARS, peaks.length);
  let path = "";
  for (let bar = 0; bar < count; bar += 1) {
    const from = Math.floor((bar * peaks.length) / count);
    const to = Math.floor(((bar + 1) * peaks.length) / count);
    const half = Math.max(LEAST, (Math.max(...peaks.slice(from, to)) * TALL) / 2);
    const across = ((bar + 0.5) * 1000) / count;
    path += `M${across.toFixed(1)} ${(TALL / 2 - half).toFixed(1)}V${(TALL / 2 + half).toFixed(1)}`;
  }
  return path;
}
