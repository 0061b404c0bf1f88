// What a transport says, as the player is told: this place of the song sounds at that moment of `performance.now()`.
//
// What plays already as the transport wants it goes on; anything else begins anew. `ahead_ms` is how far the transport's
// clock is ahead of the page's.

import { nextBarLine, secondsOf } from "./transport.js";

// Falling in needs so long for the sound to be there.
const FALL_IN_MS = 250;
// What differs by less goes on as it plays: it cannot be heard.
const SAME_MS = 2;

export class Playout {
  #player;
  // What the player was told last: `{ position_s, at_ms, loop }`; null when it stands.
  #told = null;
  #loop = "null";
  #click = "";

  constructor(player) {
    this.#player = player;
  }

  // What is heard now, in seconds of the song; null when it stands.
  get position_s() {
    return this.#told && this.#player.position_s;
  }

  // Do what the transport says. `atBarLine`: what sounds meanwhile goes on up to the transport's next bar line.
  follow(transport, ahead_ms, { atBarLine = false } = {}) {
    const { playing, tempoBpm, anchorBeat, anchorTime } = transport;
    if (!playing) {
      this.halt();
      this.#setLoop(transport);
      this.#player.prepare(secondsOf(anchorBeat, tempoBpm));
      return;
    }
    let begin = { beat: anchorBeat, time_ms: anchorTime };
    if (atBarLine && this.#told) begin = nextBarLine(transport, performance.now() + ahead_ms + FALL_IN_MS);
    this.#setLoop(transport);
    this.#start({ position_s: secondsOf(begin.beat, tempoBpm), at_ms: begin.time_ms - ahead_ms, loop: this.#loop });
  }

  // Begin there and then, whatever any transport says: for a count-in.
  begin(position_s, at_ms) {
    this.#start({ position_s, at_ms, loop: this.#loop });
  }

  halt() {
    this.#told = null;
    this.#player.stop();
  }

  // How far what plays is from what the transport says.
  driftFrom({ tempoBpm, anchorBeat, anchorTime }, ahead_ms) {
    if (!this.#told) return 0;
    return this.#apart_ms({ position_s: secondsOf(anchorBeat, tempoBpm), at_ms: anchorTime - ahead_ms });
  }

  setClick(click) {
    const key = JSON.stringify(click);
    if (key === this.#click) return;
    this.#click = key;
    this.#player.setClick(click);
  }

  #start(next) {
    if (this.#told?.loop === next.loop && Math.abs(this.#apart_ms(next)) < SAME_MS) return;
    this.#told = next;
    this.#player.start({ position_s: next.position_s, atPerformance_ms: next.at_ms });
  }

  // In a loop a whole round is no difference.
  #apart_ms({ position_s, at_ms }) {
    const apart_ms = at_ms - this.#told.at_ms - (position_s - this.#told.position_s) * 1000;
    const loop = JSON.parse(this.#told.loop);
    if (loop === null) return apart_ms;
    const round_ms = (loop.end_s - loop.begin_s) * 1000;
    return apart_ms - Math.round(apart_ms / round_ms) * round_ms;
  }

  #setLoop({ loop, tempoBpm }) {
    const bounds = loop && { begin_s: secondsOf(loop.startBeat, tempoBpm), end_s: secondsOf(loop.endBeat, tempoBpm) };
    const key = JSON.stringify(bounds);
    if (key === this.#loop) return;
    this.#loop = key;
    this.#player.setLoop(bounds);
  }
}
