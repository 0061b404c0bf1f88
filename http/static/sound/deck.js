// What one sound of the page is played with: its button, its place, its time, all in one line of a list.

import { MediaPlayer } from "./media_player.js";
import { timeInWords } from "../controls/quantities.js";

const SEEK_STEPS = 400;
const UNPLAYABLE = "This browser cannot play it. Download it instead.";

export class Deck {
  #line;
  #player;
  #duration_s = null;

  // `fail(words)` shows why it cannot be played; nothing when it is tried anew.
  constructor(line, path, fail) {
    this.#line = line;
    this.#player = new MediaPlayer(this.#find("audio"), path, { moved: () => this.#draw(), failed: () => fail(UNPLAYABLE) });
    this.#find('[data-act="play"]').addEventListener("click", () => {
      fail("");
      this.#player.toggle();
    });
    const place = this.#find('[data-act="place"]');
    place.addEventListener("input", () => {
      this.#player.seek(Number(place.value));
      this.#draw();
    });
    this.#draw();
  }

  // As the studio has measured it; null while nobody has.
  set duration_s(duration_s) {
    this.#duration_s = duration_s;
    this.#draw();
  }

  set mix(mix) {
    this.#player.mix = mix;
  }

  // Never to be heard again.
  close() {
    this.#player.close();
  }

  #draw() {
    const duration_s = this.#duration_s ?? this.#player.duration_s ?? 0;
    const place_s = Math.min(this.#player.place_s, duration_s || Infinity);
    const { isPlaying } = this.#player;
    const place = this.#find('[data-act="place"]');
    place.max = String(duration_s);
    place.step = String(duration_s / SEEK_STEPS || 1);
    place.value = String(place_s);
    place.disabled = duration_s === 0;
    const words = `${timeInWords(place_s)} of ${timeInWords(duration_s)}`;
    if (place.getAttribute("aria-valuetext") !== words) place.setAttribute("aria-valuetext", words);
    place.parentElement.style.setProperty("--played", `${duration_s ? (100 * place_s) / duration_s : 0}%`);
    this.#find('[data-show="time"]').textContent = timeInWords(isPlaying || place_s > 0 ? place_s : duration_s);
    this.#find('[data-act="play"]').setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.#line.classList.toggle("is-live", isPlaying);
  }

  #find(selector) {
    return this.#line.querySelector(selector);
  }
}
