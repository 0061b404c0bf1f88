// One recording over the song: starts it, knows which frame of the microphone belongs to which place of the song, and
// when it is over. In a loop, each pass is a take of its own. The parts of the page that play are asked, not changed, but
// for Play and Stop.
//
// When the room starts together, the song may shift a little just after its start, as when stems come late. So the
// frames of the first second wait, and the take is placed when the song runs for good. In a loop each pass is placed
// anew, so that clocks that drift apart do not add up.

import { boundsOf, MOST_PASSES, Passes, SHORTEST_LOOP_S, SHORTEST_PART_S } from "./passes.js";
import { placeOfTake, Take } from "./take.js";

const START_MS = 8_000;
const LOOK_MS = 20;
const SETTLED_S = 1;
const SHORTEST_S = 0.1;
// How far the song may shift before it has settled, and after it: then somebody has moved it.
const SHIFTS_S = 2;
const MOVED_S = 0.05;
// A pass that begins within one frame of the end of the last one follows it: that is rounding.
const SEAM_FRAMES = 1;
// Where an upload may begin at the latest, and how finely that is said.
const LATEST_S = 3600;
const DECIMALS = 6;

// The song did not start.
export class NotStarted extends Error {}

export class Overdub {
  // What ended it, when nobody pressed Stop: `moved`, the song was; `loop`, it is another or none; `full`, no more fits.
  endedBy = "";
  // The one that is being recorded; null before it is placed.
  take = null;
  // Which pass it is, from 0.
  pass = 0;
  #conductor;
  #player;
  #context;
  #roundTrip_s;
  #shape;
  #whole;
  #startsAt_s = 0;
  // Null without a loop.
  #passes = null;
  // `{ time_s, position_s }`: what of the song, unrolled, the graph plays at that time of the context.
  #run = null;
  #waiting = [];
  #endFrame = Infinity;
  #over = [];
  // In all passes that are over.
  #framesBefore = 0;
  // Since when the song is not heard; null while it is.
  #silentFrom_s = null;
  // The last block, of which the next pass may need the end.
  #before = null;

  // `roundTrip_s` is how late what is played to the song arrives. `longest_s` how long a take may get, `whole_s` all takes.
  constructor({ conductor, player, context, roundTrip_s, channels, longest_s, whole_s = longest_s }) {
    this.#conductor = conductor;
    this.#player = player;
    this.#context = context;
    this.#roundTrip_s = roundTrip_s;
    const { sampleRate } = context;
    this.#shape = { channels, sampleRate, longestFrames: Math.floor(longest_s * sampleRate) };
    this.#whole = Math.floor(whole_s * sampleRate);
  }

  get isStopping() {
    return this.#endFrame !== Infinity;
  }

  get isLooping() {
    return this.#passes !== null;
  }

  // Whether what there is of the present pass is worth keeping. Of a later one, a short part is not.
  get isTake() {
    if (this.take === null) return false;
    if (this.pass === 0) return this.take.seconds >= SHORTEST_S;
    return this.#isPassOver || this.take.seconds >= SHORTEST_PART_S;
  }

  // Where in the song the take begins.
  get startsAt_s() {
    return rounded(this.#passes?.placeOf(this.pass) ?? this.#startsAt_s);
  }

  // Start the song, if it does not play, with a bar before it if `countsIn`. Errors: `NotStarted`.
  async begin(countsIn) {
    const wasPlaying = this.#conductor.isPlaying;
    const { seconds } = this.#conductor.position();
    const loop = boundsOf(this.#conductor.loop, this.#conductor.tempoBpm);
    const isLoop = loop !== null && loop.end_s - loop.begin_s >= SHORTEST_LOOP_S && loop.begin_s <= LATEST_S;
    // Its takes would be too short to be any.
    if (loop !== null && !isLoop) this.#conductor.setLoop(null);
    if (!wasPlaying) this.#conductor.play({ countInBars: countsIn ? 1 : 0 });
    await this.#scheduled();
    const { currentTime: time_s } = this.#context;
    this.#run = { time_s, position_s: this.#player.positionAt(time_s) };
    const from_s = wasPlaying ? this.#run.position_s : seconds;
    this.#startsAt_s = rounded(Math.min(LATEST_S, Math.max(0, from_s)));
    // Behind the loop, the song stays out of it.
    if (isLoop && this.#startsAt_s < loop.end_s) this.#passes = new Passes(loop, this.#startsAt_s, this.#shape.sampleRate);
  }

  // What the microphone brings. `waiting` before the take begins, `recording`, and `over` after it.
  add({ frame, samples }) {
    if (this.#run === null) return "waiting";
    const { sampleRate } = this.#shape;
    if (!this.isStopping && !this.#runsOn(frame / sampleRate)) this.stop();
    const endFrame = frame + samples[0].length;
    if (this.take !== null) {
      this.#record(frame, samples);
    } else {
      this.#waiting.push({ frame, samples: samples.map((channel) => channel.slice()) });
      const firstFrame = this.#frameOf(this.#beginsAt(0));
      const settledAt = firstFrame + SETTLED_S * sampleRate;
      // Of a long count-in only the end matters.
      while (this.#waiting[0]?.frame < firstFrame - SHIFTS_S * sampleRate) this.#waiting.shift();
      if (frame >= settledAt || endFrame >= this.#endFrame) this.#place();
    }
    if (this.take?.isFull || endFrame >= this.#endFrame) return "over";
    return endFrame > this.#frameOf(this.#beginsAt(0)) ? "recording" : "waiting";
  }

  // The takes of the passes that are over and were not taken yet, `{ take, pass, startsAt_s }` each.
  takePasses() {
    return this.#over.splice(0);
  }

  // Stop it and the song. What was played last is still on its way to the microphone.
  stop() {
    if (this.isStopping) return;
    this.#endFrame = Math.round((this.#context.currentTime + this.#roundTrip_s) * this.#shape.sampleRate);
    const { isPlaying, isCountingIn = false } = this.#conductor;
    if (!this.endedBy && (isPlaying || isCountingIn)) this.#conductor.stop();
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

  // Where pass `number` begins, unrolled.
  #beginsAt(number) {
    return this.#passes?.beginsAt(number) ?? this.#startsAt_s;
  }

  // The frame at which what was played at that place, unrolled, arrives, as the song runs now.
  #frameOf(startsAt_s) {
    return placeOfTake({ ...this.#run, startsAt_s, roundTrip_s: this.#roundTrip_s, sampleRate: this.#shape.sampleRate });
  }

  #place() {
    this.take = this.#newTake(this.#frameOf(this.#beginsAt(0)));
    for (const { frame, samples } of this.#waiting.splice(0)) this.#record(frame, samples);
  }

  #newTake(firstFrame) {
    const { longestFrames, ...shape } = this.#shape;
    const passFrames = this.#passes?.framesOf(this.pass) ?? Infinity;
    return new Take({ ...shape, firstFrame, longestFrames: Math.min(longestFrames, passFrames, this.#whole - this.#framesBefore) });
  }

  // Into the take, and what is behind the loop's end into the next one.
  #record(frame, samples) {
    this.take.add(frame, samples);
    while (this.#isPassOver) {
      if (this.pass + 1 === MOST_PASSES) {
        this.endedBy = "full";
        return;
      }
      this.#turn();
      if (this.#before !== null) this.take.add(this.#before.frame, this.#before.samples);
      this.take.add(frame, samples);
    }
    if (this.#passes !== null) this.#before = { frame, samples: samples.map((channel) => channel.slice()) };
    if (this.take.isFull) this.endedBy = "full";
  }

  get #isPassOver() {
    return this.#passes !== null && this.take.frames === this.#passes.framesOf(this.pass);
  }

  // The song goes back: the next take begins.
  #turn() {
    const { take, pass, startsAt_s } = this;
    this.#over.push({ take, pass, startsAt_s });
    this.#framesBefore += take.frames;
    this.pass += 1;
    const frame = this.#frameOf(this.#beginsAt(this.pass));
    const isSeam = Math.abs(frame - take.nextFrame) <= SEAM_FRAMES;
    this.take = this.#newTake(isSeam ? take.nextFrame : frame);
  }

  // Whether the song is where it should be.
  #runsOn(time_s) {
    if (this.#passes !== null && !this.#passes.isOf(boundsOf(this.#conductor.loop, this.#conductor.tempoBpm))) {
      this.endedBy = "loop";
      return false;
    }
    const position_s = this.#player.positionAt(time_s);
    if (position_s === null) return this.#comesBack(time_s);
    this.#silentFrom_s = null;
    const expected_s = this.#run.position_s + time_s - this.#run.time_s;
    const here_s = this.#passes?.unrolled(position_s, expected_s) ?? position_s;
    if (Math.abs(here_s - expected_s) > (this.take === null ? SHIFTS_S : MOVED_S)) {
      this.endedBy = "moved";
      return false;
    }
    if (this.take === null || this.#passes !== null) this.#run = { time_s, position_s: here_s };
    return true;
  }

  // Whether a song that is not heard may be heard again soon, as when its device is another now.
  #comesBack(time_s) {
    const { isPlaying, isCountingIn = false } = this.#conductor;
    if (!isPlaying && !isCountingIn) return false;
    this.#silentFrom_s ??= time_s;
    if (time_s - this.#silentFrom_s <= START_MS / 1000) return true;
    this.endedBy = "moved";
    return false;
  }
}

function rounded(seconds) {
  return Number(seconds.toFixed(DECIMALS));
}
