// What the others record right now: a clip that grows on their track, and a word about it.
//
// Whoever records says so in the room's state, in a key of their own that goes with them: `recording.<memberId>` is
// `{ id, trackId, name, atSeconds, seconds, peaks }`, and null at the end. Others can set that key, too: it counts only as
// its member has set it.

import { colourClass } from "./roster.js";

export const KEY = "recording.";
const LOUDEST = 255;

const isNumber = (value) => Number.isFinite(value) && value >= 0;

export class Recordings {
  #told;
  // By member.
  #clips = new Map();

  // `told`: `memberId`, who looks at the page; `timeline`, `nameOf(memberId)`, and `tell(words)`.
  constructor(told) {
    this.#told = told;
  }

  // A key of the state that begins with `KEY` is this now; the member `by` has set it.
  heard(key, value, by) {
    const memberId = key.slice(KEY.length);
    if (memberId === this.#told.memberId || by !== memberId) return;
    const before = this.#clips.get(memberId);
    if (before && before.id !== value?.id) this.#end(memberId);
    if (!isRecording(value)) return;
    // In a loop one take follows another: that they record is known.
    if (!before) this.#told.tell(`${this.#told.nameOf(memberId)} is recording.`);
    if (!this.#clips.has(memberId)) this.#begin(memberId, value);
    this.#clips.get(memberId).clip?.push(value.peaks.map((peak) => peak / LOUDEST), value.seconds);
  }

  // The whole state of the room, once it may be another one.
  seen(state) {
    for (const memberId of [...this.#clips.keys()]) if (state.by(KEY + memberId) !== memberId) this.#end(memberId);
    for (const [key, value] of state) if (key.startsWith(KEY)) this.heard(key, value, state.by(key));
  }

  // Whoever is gone records no more, also when somebody else has set their key last.
  left(memberId) {
    if (this.#clips.has(memberId)) this.#end(memberId);
  }

  // The room is left: what it says is not known any more.
  close() {
    for (const memberId of [...this.#clips.keys()]) this.#end(memberId);
  }

  #begin(memberId, { id, trackId, name, atSeconds }) {
    const clip = this.#told.timeline?.growingClip({ trackId, name, beginsAt_s: atSeconds, colorClass: colourClass(memberId) }) ?? null;
    this.#clips.set(memberId, { id, clip });
  }

  #end(memberId) {
    this.#clips.get(memberId).clip?.finish();
    this.#clips.delete(memberId);
  }
}

// Anybody in the room may say anything.
function isRecording(value) {
  if (typeof value !== "object" || value === null) return false;
  const { id, name, atSeconds, seconds, peaks } = value;
  return typeof id === "string" && typeof name === "string" && isNumber(atSeconds) && isNumber(seconds) &&
    Array.isArray(peaks) && peaks.length <= 1000 && peaks.every(isNumber);
}
