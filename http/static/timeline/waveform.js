// The waveform of a clip: how loud the file is, and how that is drawn.

import { ask } from "../controls/api.js";

// --- drawing ---------------------------------------------------------------------------------------------------------
//
// A clip's waveform, drawn on canvases of `TILE_PX` each, of which there are only as many as can be seen.
//
// Tiles count from the file's own beginning, so that trimming draws nothing anew.

const TILE_PX = 512;
const LEAST = 0.012;

export class Waveform {
  #box;
  #peaks;
  // By number; `drawn` says of which scale, height, colour and peaks each is.
  #tiles = new Map();
  #version = 0;

  constructor(box, peaks) {
    this.#box = box;
    this.#peaks = peaks;
  }

  // There is more to draw, or in another colour.
  outdate() {
    this.#version += 1;
  }

  // `from_px` and `to_px` of the file are seen, at so many pixels a second.
  draw(from_px, to_px, pxPerSecond, height_px, duration_s) {
    const last = Math.ceil((duration_s * pxPerSecond) / TILE_PX) - 1;
    const first = Math.max(0, Math.floor(from_px / TILE_PX));
    const until = Math.min(last, Math.floor(to_px / TILE_PX));
    const free = [];
    for (const [number, tile] of this.#tiles) {
      if (number >= first && number <= until) continue;
      this.#tiles.delete(number);
      free.push(tile);
    }
    for (let number = first; number <= until; number += 1) {
      if (!this.#tiles.has(number)) this.#tiles.set(number, this.#place(free.pop(), number));
      this.#paint(this.#tiles.get(number), number, pxPerSecond, height_px);
    }
    for (const tile of free) tile.remove();
  }

  clear() {
    for (const tile of this.#tiles.values()) tile.remove();
    this.#tiles.clear();
  }

  #place(tile = document.createElement("canvas"), number) {
    tile.style.setProperty("left", `${number * TILE_PX}px`);
    tile.drawn = "";
    if (!tile.isConnected) this.#box.append(tile);
    return tile;
  }

  #paint(tile, number, pxPerSecond, height_px) {
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
    const drawn = `${pxPerSecond} ${height_px} ${ratio} ${this.#version}`;
    if (tile.drawn === drawn) return;
    const columns = this.#peaks.columns((number * TILE_PX) / pxPerSecond, pxPerSecond, TILE_PX + 1);
    if (columns === null) return;
    tile.drawn = drawn;
    tile.width = TILE_PX * ratio;
    tile.height = height_px * ratio;
    const context = tile.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = getComputedStyle(this.#box).color;
    outline(context, columns, height_px);
    context.fill();
  }
}

// The same above and below the middle.
export function outline(context, columns, height_px) {
  const middle = height_px / 2;
  const half = (loudness) => Math.max(LEAST, loudness) * (middle - 1);
  context.beginPath();
  columns.forEach((loudness, x) => context.lineTo(x, middle - half(loudness)));
  for (let x = columns.length - 1; x >= 0; x -= 1) context.lineTo(x, middle + half(columns[x]));
  context.closePath();
}

// --- how loud it is --------------------------------------------------------------------------------------------------
//
// How loud an upload is, moment by moment: asked for until the studio has listened to it, then as finely as it is shown.
//
// An overview comes first. Nearer, pieces of `PIECE_POINTS` points are asked for, at resolutions that double, and kept;
// the browser keeps them, too. While a piece is on its way the overview stands in for it.

const PIECE_POINTS = 1024;
const FINEST_LEVEL = 9;
const MOST_PIECES = 48;
const SETTLED_MS = 120;
const FRESH_MS = 10_000;
const FIRST_DELAY_MS = 1_500;
const LONGEST_DELAY_MS = 20_000;

export class Peaks {
  // "pending", "there", or "none" when there is no sound in it.
  state = "pending";
  #path;
  #told;
  #overview = null;
  #duration_s = 0;
  #pieces = new Map();
  // Pieces to ask for soon, and of which level.
  #wanted = new Map();
  #level = null;
  #soon = 0;
  #timer = 0;
  #delay_ms = FIRST_DELAY_MS;
  #isAsking = false;
  #isClosed = false;

  // `told`: `changed()` when there is more to draw, `heard()` when somebody has listened to it, `failed(problem)`.
  constructor(upload, told) {
    this.#path = `/api/upload/${upload.id}/peaks`;
    this.#told = told;
    const age_ms = Date.now() - new Date(upload.createdAt).getTime();
    // Whoever listens needs a moment. What was listened to is asked for when it is seen.
    if (upload.durationSeconds !== null) return;
    if (age_ms < FRESH_MS) this.#again(this.#delay_ms);
    else this.ask();
  }

  // Somebody has listened to it, or it is time to ask again.
  askAnew() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.ask();
  }

  // Ask now, unless that is going on; and again later, when nobody has listened yet.
  async ask() {
    if (this.#isAsking || this.#timer || this.state !== "pending" || this.#isClosed) return;
    this.#isAsking = true;
    try {
      const { peaks, durationSeconds } = await ask("GET", this.#path);
      this.#overview = peaks;
      this.#duration_s = durationSeconds;
      this.#turn("there");
      this.#told.heard();
    } catch (problem) {
      this.#refused(problem);
    } finally {
      this.#isAsking = false;
    }
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#soon);
    this.#pieces.clear();
  }

  // Loudness from 0 to 1 for each of `count` columns, of `1 / perSecond` each, from `from_s` on. Null while nothing is there.
  columns(from_s, perSecond, count) {
    if (this.#overview === null || this.#duration_s === 0) return null;
    const whole = { from_s: 0, to_s: this.#duration_s, peaks: this.#overview };
    const isCoarse = this.#overview.length / this.#duration_s < perSecond * 0.7;
    const level = Math.min(FINEST_LEVEL, Math.max(-12, Math.ceil(Math.log2(perSecond))));
    const span_s = PIECE_POINTS / 2 ** level;
    const columns = new Float32Array(count);
    let [source, until_s] = [whole, isCoarse ? 0 : this.#duration_s];
    for (let column = 0; column < count; column += 1) {
      const begin_s = from_s + column / perSecond;
      if (begin_s >= this.#duration_s) break;
      if (begin_s >= until_s) {
        const index = Math.floor(begin_s / span_s);
        source = this.#piece(level, index, span_s) ?? whole;
        until_s = (index + 1) * span_s;
      }
      columns[column] = loudest(source, begin_s, begin_s + 1 / perSecond);
    }
    return columns;
  }

  #piece(level, index, span_s) {
    const key = `${level} ${index}`;
    const there = this.#pieces.get(key);
    if (there === undefined) this.#want(level, key, index * span_s, Math.min((index + 1) * span_s, this.#duration_s));
    return there ?? null;
  }

  // While somebody zooms or scrolls on, nothing is asked for: only what is still wanted after that.
  #want(level, key, from_s, to_s) {
    if (this.#level !== level) this.#wanted.clear();
    this.#level = level;
    this.#wanted.set(key, [from_s, to_s]);
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => {
      for (const [each, span] of this.#wanted) this.#load(each, ...span);
      this.#wanted.clear();
    }, SETTLED_MS);
  }

  async #load(key, from_s, to_s) {
    this.#pieces.set(key, null);
    if (this.#pieces.size > MOST_PIECES) this.#pieces.delete(this.#pieces.keys().next().value);
    const query = new URLSearchParams({ from: from_s, to: to_s, points: PIECE_POINTS });
    try {
      const { peaks } = await ask("GET", `${this.#path}?${query}`);
      if (this.#isClosed) return;
      this.#pieces.set(key, { from_s, to_s, peaks });
      this.#told.changed();
    } catch {
      // The overview is good enough; the piece is asked for again when it is seen again.
      setTimeout(() => this.#pieces.delete(key), LONGEST_DELAY_MS);
    }
  }

  #refused(problem) {
    if (problem.code === "no_peaks") this.#turn("none");
    else if (problem.code === "peaks_pending" || problem.isPassing) {
      this.#delay_ms = Math.min(this.#delay_ms * 1.5, LONGEST_DELAY_MS);
      this.#again(Math.max(problem.retryAfter_ms, this.#delay_ms));
    } else this.#told.failed(problem);
  }

  #again(delay_ms) {
    if (!this.#isClosed) this.#timer = setTimeout(() => this.askAnew(), delay_ms);
  }

  #turn(state) {
    this.state = state;
    if (!this.#isClosed) this.#told.changed();
  }
}

// Of numbers that lie evenly between two moments, the greatest in a stretch; between two numbers, on the line from one to
// the other.
export function loudest({ from_s, to_s, peaks }, begin_s, end_s) {
  const perSecond = peaks.length / (to_s - from_s);
  const [begin, end] = [(begin_s - from_s) * perSecond, (end_s - from_s) * perSecond];
  if (end - begin < 1) {
    const at = Math.min(Math.max((begin + end) / 2 - 0.5, 0), peaks.length - 1);
    const before = Math.floor(at);
    const after = Math.min(before + 1, peaks.length - 1);
    return peaks[before] + (peaks[after] - peaks[before]) * (at - before);
  }
  let most = 0;
  const last = Math.min(Math.ceil(end), peaks.length);
  for (let index = Math.max(0, Math.floor(begin)); index < last; index += 1) most = Math.max(most, peaks[index]);
  return most;
}
