// Recording in a loop: where one pass ends and the next begins. Pure.
//
// Positions are unrolled: they go on at the end of the loop. With a loop from 8 to 16 s, the second pass begins at 16 s,
// the third at 24 s.

import { framesOf, secondsOf } from "./schedule.js";

// How many takes one recording makes at most.
export const MOST_PASSES = 50;
// A shorter loop is switched off for a take.
export const SHORTEST_LOOP_S = 1;
// A part of a pass is a take when it is so long.
export const SHORTEST_PART_S = 2;
// Whoever begins so near the beginning of the loop begins there.
const SAME_S = 0.001;

// The bounds of a loop in beats, in seconds, to the frame as the player has them; null without a loop.
export function boundsOf(loop, tempoBpm) {
  if (!loop) return null;
  const frameOf = (beat) => framesOf((beat * 60) / tempoBpm);
  return { begin_s: secondsOf(frameOf(loop.startBeat)), end_s: secondsOf(frameOf(loop.endBeat)) };
}

export class Passes {
  #begin_s;
  #end_s;
  #sampleRate;
  // Where the recording begins, unrolled.
  #startsAt_s;

  // A recording that begins at `from_s`, before the end of the loop: shortly before it, with the next pass.
  constructor({ begin_s, end_s }, from_s, sampleRate) {
    [this.#begin_s, this.#end_s, this.#sampleRate] = [begin_s, end_s, sampleRate];
    const isPart = from_s > begin_s + SAME_S && end_s - from_s < SHORTEST_PART_S;
    this.#startsAt_s = isPart ? end_s : from_s;
  }

  // Whether these are its bounds still.
  isOf(bounds) {
    return bounds !== null && bounds.begin_s === this.#begin_s && bounds.end_s === this.#end_s;
  }

  // Where pass `number`, from 0, begins, unrolled.
  beginsAt(number) {
    const first_s = this.#startsAt_s;
    if (number === 0) return first_s;
    const end_s = first_s < this.#end_s ? this.#end_s : first_s + this.#length_s;
    return end_s + (number - 1) * this.#length_s;
  }

  // The same in the song.
  placeOf(number) {
    return number === 0 && this.#startsAt_s < this.#end_s ? this.#startsAt_s : this.#begin_s;
  }

  // How many frames pass `number` has. The first may have more or fewer than the loop.
  framesOf(number) {
    const length_s = number === 0 && this.#startsAt_s < this.#end_s ? this.#end_s - this.#startsAt_s : this.#length_s;
    return Math.round(length_s * this.#sampleRate);
  }

  // This place of the song, unrolled: of the passes' places the nearest to `near_s`.
  unrolled(position_s, near_s) {
    if (position_s < this.#begin_s || position_s >= this.#end_s) return position_s;
    const rounds = Math.round((near_s - position_s) / this.#length_s);
    return position_s + Math.max(0, rounds) * this.#length_s;
  }

  get #length_s() {
    return this.#end_s - this.#begin_s;
  }
}
