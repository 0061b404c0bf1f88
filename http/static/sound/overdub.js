// One take over the song: starts it, knows which frame of the microphone belongs to which place of the song, and when
// it is over. The parts of the page that play are asked, not changed, but for Play and Stop.

import { placeOfTake, Take } from "./take.js";

const START_MS = 8_000;
const LOOK_MS = 20;
// The song was moved when it is further than this from where it should be.
const MOVED_S = 0.05;

// The song did not start.
export class NotStarted extends Error {}

export class Overdub {
  take = null;
  // Where in the song it begins.
  startsAt_s = 0;
  // Whether somebody moved the song, which ended it.
  wasMoved = false;
  #conductor;
  #player;
  #context;
  #roundTrip_s;
  #shape;
  #run = null;
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
    this.startsAt_s = Math.max(0, wasPlaying ? this.#position(this.#context.currentTime) : seconds);
    this.#place();
  }

  // What the microphone brings. `waiting` before the take begins, `recording`, and `over` after it.
  add({ frame, samples }) {
    if (this.take === null) return "waiting";
    if (!this.isStopping && !this.#runsOn(frame / this.#shape.sampleRate)) this.stop();
    this.take.add(frame, samples);
    if (this.take.isFull || frame + samples[0].length >= this.#endFrame) return "over";
    return this.take.frames > 0 ? "recording" : "waiting";
  }

  // Stop it and the song. What was played last is still on its way to the microphone.
  stop() {
    if (this.isStopping) return;
    const { currentTime } = this.#context;
    this.#endFrame = Math.round((currentTime + this.#roundTrip_s) * this.#shape.sampleRate);
    if (!this.wasMoved && this.#conductor.isPlaying) this.#conductor.stop();
  }

  async #scheduled() {
    const until = performance.now() + START_MS;
    while (this.#position(this.#context.currentTime) === null) {
      if (performance.now() > until || this.isStopping) throw new NotStarted();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  // From here on it is known which frame of the microphone comes first.
  #place() {
    const { currentTime: time_s } = this.#context;
    this.#run = { time_s, position_s: this.#position(time_s), startsAt_s: this.startsAt_s };
    const { firstFrame } = placeOfTake({ ...this.#run, roundTrip_s: this.#roundTrip_s, sampleRate: this.#shape.sampleRate });
    this.take = new Take({ ...this.#shape, firstFrame });
  }

  // Whether the song is where it should be. Before the take begins it may still be put right, as when stems come late.
  #runsOn(time_s) {
    const position_s = this.#position(time_s);
    if (position_s === null) return this.#conductor.isPlaying;
    const { time_s: since_s, position_s: from_s } = this.#run;
    if (Math.abs(position_s - (from_s + time_s - since_s)) <= MOVED_S) return true;
    if (this.take.frames === 0) {
      this.#place();
      return true;
    }
    this.wasMoved = true;
    return false;
  }

  #position(time_s) {
    return this.#player.positionAt(time_s);
  }
}
