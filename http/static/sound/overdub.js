// One take over the song: starts it, knows which frame of the microphone belongs to which place of the song, and when
// it is over. The parts of the page that play are asked, not changed, but for Play and Stop.
//
// When the room starts together, the song may shift a little just after its start, as when stems come late. So the
// frames of the first second wait, and the take is placed when the song runs for good.

import { placeOfTake, Take } from "./take.js";

const START_MS = 8_000;
const LOOK_MS = 20;
const SETTLED_S = 1;
// How far the song may shift before it has settled, and after it: then somebody has moved it.
const SHIFTS_S = 2;
const MOVED_S = 0.05;
// Where an upload may begin at the latest, and how finely that is said.
const LATEST_S = 3600;
const DECIMALS = 6;

// The song did not start.
export class NotStarted extends Error {}

export class Overdub {
  // Where in the song it begins.
  startsAt_s = 0;
  // Whether somebody moved the song, which ended it.
  wasMoved = false;
  // Null before it is placed.
  take = null;
  #conductor;
  #player;
  #context;
  #roundTrip_s;
  #shape;
  // `{ time_s, position_s }`: what of the song the graph plays at that time of the context.
  #run = null;
  #waiting = [];
  #endFrame = Infinity;

  // `roundTrip_s` is how late what is played to the song arrives. `longest_s` how long the take may get.
  constructor({ conductor, player, context, roundTrip_s, channels, longest_s }) {
    this.#conductor = conductor;
    this.#player = player;
    this.#context = context;
    this.#roundTrip_s = roundTrip_s;
    const { sampleRate } = context;
    this.#shape = { channels, sampleRate, longestFrames: Math.floor(longest_s * sampleRate) };
  }

  get isStopping() {
    return this.#endFrame !== Infinity;
  }

  // Start the song, if it does not play, with a bar before it if `countsIn`. Errors: `NotStarted`.
  async begin(countsIn) {
    const wasPlaying = this.#conductor.isPlaying;
    const { seconds } = this.#conductor.position();
    // In a loop the take would lie over itself.
    if (this.#conductor.loop) this.#conductor.setLoop(null);
    if (!wasPlaying) this.#conductor.play({ countInBars: countsIn ? 1 : 0 });
    await this.#scheduled();
    const { currentTime: time_s } = this.#context;
    this.#run = { time_s, position_s: this.#player.positionAt(time_s) };
    const from_s = wasPlaying ? this.#run.position_s : seconds;
    this.startsAt_s = Number(Math.min(LATEST_S, Math.max(0, from_s)).toFixed(DECIMALS));
  }

  // What the microphone brings. `waiting` before the take begins, `recording`, and `over` after it.
  add({ frame, samples }) {
    if (this.#run === null) return "waiting";
    const { sampleRate } = this.#shape;
    if (!this.isStopping && !this.#runsOn(frame / sampleRate)) this.stop();
    const endFrame = frame + samples[0].length;
    if (this.take !== null) {
      this.take.add(frame, samples);
    } else {
      this.#waiting.push({ frame, samples: samples.map((channel) => channel.slice()) });
      const settledAt = this.#firstFrame + SETTLED_S * sampleRate;
      // Of a long count-in only the end matters.
      while (this.#waiting[0]?.frame < this.#firstFrame - SHIFTS_S * sampleRate) this.#waiting.shift();
      if (frame >= settledAt || endFrame >= this.#endFrame) this.#place();
    }
    if (this.take?.isFull || endFrame >= this.#endFrame) return "over";
    return endFrame > this.#firstFrame ? "recording" : "waiting";
  }

  // Stop it and the song. What was played last is still on its way to the microphone.
  stop() {
    if (this.isStopping) return;
    this.#endFrame = Math.round((this.#context.currentTime + this.#roundTrip_s) * this.#shape.sampleRate);
    const { isPlaying, isCountingIn = false } = this.#conductor;
    if (!this.wasMoved && (isPlaying || isCountingIn)) this.#conductor.stop();
  }

  // There will be no more blocks.
  cutOff() {
    this.stop();
    if (this.take === null && this.#run !== null) this.#place();
  }

  async #scheduled() {
    const until = performance.now() + START_MS;
    while (this.#player.positionAt(this.#context.currentTime) === null) {
      if (performance.now() > until || this.isStopping) throw new NotStarted();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  // The first frame of the take, as the song runs now.
  get #firstFrame() {
    const { startsAt_s } = this;
    return placeOfTake({ ...this.#run, startsAt_s, roundTrip_s: this.#roundTrip_s, sampleRate: this.#shape.sampleRate });
  }

  #place() {
    this.take = new Take({ ...this.#shape, firstFrame: this.#firstFrame });
    for (const { frame, samples } of this.#waiting.splice(0)) this.take.add(frame, samples);
  }

  // Whether the song is where it should be.
  #runsOn(time_s) {
    const position_s = this.#player.positionAt(time_s);
    if (position_s === null) return this.#conductor.isPlaying || Boolean(this.#conductor.isCountingIn);
    const shift_s = Math.abs(position_s - (this.#run.position_s + time_s - this.#run.time_s));
    if (shift_s > (this.take === null ? SHIFTS_S : MOVED_S)) {
      this.wasMoved = true;
      return false;
    }
    if (this.take === null) this.#run = { time_s, position_s };
    return true;
  }
}
