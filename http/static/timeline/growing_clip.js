// A clip while it is being recorded: it grows with what is heard.

import { outline } from "./waveform.js";

export class GrowingClip {
  #row;
  #clip;
  #canvas;
  #view;
  #columns = [];
  #seconds = 0;
  #redraw = () => this.#draw();

  // `options`: `{ trackId?, name, beginsAt_s, colorClass? }`.
  constructor(list, view, { trackId = null, name, beginsAt_s, colorClass = "" }) {
    this.#view = view;
    const row = document.getElementById("growing-item").content.firstElementChild.cloneNode(true);
    row.querySelector(".track-name").textContent = name;
    this.#clip = row.querySelector(".clip");
    this.#canvas = row.querySelector("canvas");
    this.#clip.style.setProperty("--begin", beginsAt_s);
    this.#clip.style.setProperty("--length", 0);
    if (colorClass) row.classList.add(colorClass);
    // In the track that it becomes a take of, when there is one.
    const lane = trackId && document.querySelector(`.track[data-id="${CSS.escape(trackId)}"] .lane`);
    this.#row = lane ? this.#clip : row;
    (lane || list).append(this.#row);
    view.addEventListener("zoom", this.#redraw);
  }

  // All peaks so far, from 0 to 1, evenly over its first `seconds`.
  push(peaks, seconds) {
    this.#columns = peaks;
    this.#seconds = seconds;
    this.#clip.style.setProperty("--length", seconds);
    this.#draw();
  }

  finish() {
    this.#view.removeEventListener("zoom", this.#redraw);
    this.#row.remove();
  }

  #draw() {
    const width_px = Math.min(4096, Math.max(1, Math.round(this.#view.scale.px(this.#seconds))));
    this.#canvas.width = width_px;
    this.#canvas.height = this.#view.clip_px;
    const context = this.#canvas.getContext("2d");
    context.fillStyle = getComputedStyle(this.#clip).color;
    const columns = Float32Array.from({ length: width_px }, (_, x) => {
      const from = Math.floor((x * this.#columns.length) / width_px);
      return Math.max(0, ...this.#columns.slice(from, Math.max(from + 1, Math.floor(((x + 1) * this.#columns.length) / width_px))));
    });
    outline(context, columns, this.#view.clip_px);
    context.fill();
  }
}
