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
