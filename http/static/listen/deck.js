// The sound of the page: its big button, its place on the waveform, its keys. Nothing is loaded before it is played.

import { timeInWords } from "../controls/quantities.js";
import { draw } from "./wave.js";

const NUDGE_S = 5;
const UNPLAYABLE = "It cannot be played right now. Check your connection and try again.";

const part = (id) => document.getElementById(id);

export class Deck {
  #audio = new Audio();
  #path;
  #duration_s;
  #isRetried = false;
  #wanted_s = null;
  #frame = 0;
  #told;

  // `told`: `moved(place_s)` when the place has changed.
  constructor(path, duration_s, told) {
    this.#path = path;
    this.#duration_s = duration_s;
    this.#told = told;
    this.#audio.preload = "none";
    for (const name of ["play", "pause", "seeked", "timeupdate"]) this.#audio.addEventListener(name, () => this.#draw());
    this.#audio.addEventListener("durationchange", () => this.#measured());
    this.#audio.addEventListener("ended", () => this.seek(0));
    this.#audio.addEventListener("error", () => this.#failed());
    for (const name of ["waiting", "playing", "pause", "error"]) {
      this.#audio.addEventListener(name, () => part("deck").classList.toggle("is-waiting", name === "waiting"));
    }
    part("play").addEventListener("click", () => this.toggle());
    part("place").addEventListener("input", () => this.seek(Number(part("place").value)));
    for (const button of document.querySelectorAll("[data-skip]")) {
      button.addEventListener("click", () => this.seek(this.place_s + Number(button.dataset.skip)));
    }
    document.addEventListener("keydown", (event) => this.#pressed(event));
    this.#draw();
  }

  get place_s() {
    return this.#wanted_s ?? this.#audio.currentTime;
  }

  set peaks(peaks) {
    draw(peaks);
  }

  async toggle() {
    if (!this.#audio.paused) {
      this.#audio.pause();
      return;
    }
    this.#fail("");
    if (!this.#audio.hasAttribute("src") || this.#audio.error) this.#audio.src = this.#path;
    await this.#play();
  }

  // Before it is loaded, the place is kept until it is.
  seek(place_s) {
    const place = Math.min(Math.max(place_s, 0), this.#duration_s || Infinity);
    this.#wanted_s = this.#audio.readyState > 0 ? null : place;
    if (this.#wanted_s === null) this.#audio.currentTime = place;
    this.#draw();
  }

  #measured() {
    if (Number.isFinite(this.#audio.duration) && !this.#duration_s) this.#duration_s = this.#audio.duration;
    if (this.#wanted_s === null) return;
    this.#audio.currentTime = this.#wanted_s;
    this.#wanted_s = null;
  }

  async #play() {
    try {
      await this.#audio.play();
      this.#isRetried = false;
    } catch (error) {
      // A pause before it has begun is no failure; an error is told by its event.
      if (error.name === "NotAllowedError") this.#fail(UNPLAYABLE);
    }
  }

  // Another file is played once the MP3 is made, and a browser that has half of the first one gives up. Once is tried. What
  // did not play is only made ready for the next press.
  #failed() {
    if (!this.#audio.hasAttribute("src")) return;
    const wasPlaying = !this.#audio.paused;
    if (this.#isRetried) {
      this.#fail(UNPLAYABLE);
      this.#draw();
      return;
    }
    this.#isRetried = true;
    this.#wanted_s = this.place_s;
    this.#audio.src = this.#path;
    if (wasPlaying) this.#play();
  }

  // The keys of every player, unless somebody writes, or is at a control that has a use for them.
  #pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("textarea, input:not([type=range])")) return;
    const isAtControl = event.target.closest("button, a");
    if (event.key === " " && !isAtControl) this.toggle();
    else if (event.key === "ArrowLeft") this.seek(this.place_s - NUDGE_S);
    else if (event.key === "ArrowRight") this.seek(this.place_s + NUDGE_S);
    else return;
    event.preventDefault();
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    const place_s = this.place_s;
    const isPlaying = !this.#audio.paused;
    const place = part("place");
    place.max = String(this.#duration_s || 0);
    place.value = String(place_s);
    const words = `${timeInWords(place_s)} of ${timeInWords(this.#duration_s || 0)}`;
    if (place.getAttribute("aria-valuetext") !== words) place.setAttribute("aria-valuetext", words);
    part("wave").style.setProperty("--played", `${this.#duration_s ? Math.min(100, (100 * place_s) / this.#duration_s) : 0}%`);
    part("time").textContent = timeInWords(place_s);
    part("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.#told.moved(place_s);
    if (isPlaying) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #fail(words) {
    part("problem").textContent = words;
    part("problem").hidden = !words;
  }
}
