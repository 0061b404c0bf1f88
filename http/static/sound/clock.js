// Which moment of the context is heard at which moment of the page.
//
// The context counts what the sound card has taken, the page's clock runs by the machine's. The two drift apart, some
// milliseconds in a minute. `getOutputTimestamp` says now and then which moment of the context is at the output; single
// answers are wrong by some milliseconds, so the median of the last ones counts, and how it has moved since earlier.

import { RATE_HZ, secondsOf } from "./schedule.js";

const WINDOW_MS = 8_000;
const KEPT_MS = 120_000;
// Over less time, the drift is smaller than the error.
const DRIFT_OVER_MS = 30_000;
const MOST_DRIFT = 5e-4;
const ENOUGH = 3;
const FRESH_MS = 5_000;
// So far off, and so often: the sound was interrupted, or has another way out now.
const JUMP_MS = 25;
const JUMPS = 4;

// Off by the first it is corrected, down to the second.
const STRAY_MS = 1.5;
const NEAR_MS = 0.25;
const SHIFT_FRAMES = 4;
const SHIFT_S = 0.2;
const LOST_MS = 50;
const LOST_TIMES = 3;

// The difference of the two clocks. Pure.
export class Alignment {
  #samples = [];
  #jumped = [];

  get isKnown() {
    return this.#samples.length >= ENOUGH;
  }

  // When it was last told.
  get last_ms() {
    return this.#samples.at(-1)?.performance_ms ?? -Infinity;
  }

  forget() {
    this.#samples = [];
    this.#jumped = [];
  }

  // The context's `context_s` was at the output at `performance_ms`.
  add(performance_ms, context_s) {
    const sample = { performance_ms, offset_ms: performance_ms - context_s * 1000 };
    if (this.isKnown && Math.abs(sample.offset_ms - this.offsetAt(performance_ms)) > JUMP_MS) {
      this.#jumped.push(sample);
      if (this.#jumped.length < JUMPS) return;
      this.#samples = this.#jumped;
    } else {
      this.#samples.push(sample);
    }
    this.#jumped = [];
    while (this.#samples[0].performance_ms < performance_ms - KEPT_MS) this.#samples.shift();
  }

  // The page's clock less the context's, in milliseconds.
  offsetAt(performance_ms) {
    const late = middleOf(this.#samples.filter((sample) => sample.performance_ms > this.last_ms - WINDOW_MS));
    return late.offset_ms + this.#driftBefore(late) * (performance_ms - late.performance_ms);
  }

  #driftBefore(late) {
    const first_ms = this.#samples[0].performance_ms;
    const early = middleOf(this.#samples.filter((sample) => sample.performance_ms < first_ms + WINDOW_MS));
    const apart_ms = late.performance_ms - early.performance_ms;
    if (apart_ms < DRIFT_OVER_MS) return 0;
    const drift = (late.offset_ms - early.offset_ms) / apart_ms;
    return Math.max(-MOST_DRIFT, Math.min(MOST_DRIFT, drift));
  }
}

function middleOf(samples) {
  return {
    performance_ms: medianOf(samples.map((sample) => sample.performance_ms)),
    offset_ms: medianOf(samples.map((sample) => sample.offset_ms)),
  };
}

function medianOf(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

export class ContextClock {
  #context;
  #alignment = new Alignment();
  #lastContext_s = 0;

  constructor(context) {
    this.#context = context;
  }

  // Whether it is known, and was asked lately.
  get isFresh() {
    return this.#alignment.isKnown && performance.now() - this.#alignment.last_ms < FRESH_MS;
  }

  // What was known is true no longer: the context stood still, or has another output.
  forget() {
    this.#alignment.forget();
    this.#lastContext_s = 0;
  }

  // Ask once more. Call it now and then while the context runs.
  sample() {
    const { contextTime, performanceTime } = this.#ask();
    if (!(contextTime > this.#lastContext_s)) return;
    this.#lastContext_s = contextTime;
    this.#alignment.add(performanceTime, contextTime);
  }

  // The moment of the context, in seconds, that is heard at this moment of `performance.now()`.
  contextTimeAt(performance_ms) {
    return (performance_ms - this.#offsetAt(performance_ms)) / 1000;
  }

  // Not all browsers answer; some with zeros.
  #ask() {
    const stamp = this.#context.getOutputTimestamp?.();
    if (stamp?.contextTime > 0 && stamp.performanceTime > 0) return stamp;
    const latency_s = this.#context.outputLatency || this.#context.baseLatency || 0;
    return { contextTime: this.#context.currentTime - latency_s, performanceTime: performance.now() };
  }

  #offsetAt(performance_ms) {
    if (this.#alignment.isKnown) return this.#alignment.offsetAt(performance_ms);
    const { contextTime, performanceTime } = this.#ask();
    return performanceTime - contextTime * 1000;
  }
}

// Keeps what is heard to the page's clock. The correction is the mixer's delay, longer or shorter by a few samples at a
// time, which is a change of speed of less than 0.05 %: sources, and the seams between them, stay as they are. Whoever is
// far off was interrupted, and has to begin anew.
export class Timekeeper {
  #output;
  // Position `positionFrame` is heard at `at_ms` of the page's clock, and played at `atFrame` of the context's.
  #anchor;
  #now;
  #isCorrecting = false;
  #timesLost = 0;

  constructor(output, { positionFrame, at_ms }, now = () => performance.now()) {
    this.#output = output;
    this.#now = now;
    this.#anchor = { positionFrame, at_ms, atFrame: Math.round(output.frameAt(at_ms)) };
  }

  get anchor() {
    return this.#anchor;
  }

  // The same time, told by another place.
  move(positionFrame, atFrame) {
    const at_ms = this.#anchor.at_ms + secondsOf(atFrame - this.#anchor.atFrame) * 1000;
    this.#anchor = { positionFrame, at_ms, atFrame };
  }

  // How far the sound is from where it should be, in milliseconds, positive when it is ahead.
  get error_ms() {
    const now_ms = this.#now();
    const passed_ms = secondsOf(this.#output.frameAt(now_ms) - this.#anchor.atFrame) * 1000;
    return passed_ms - (now_ms - this.#anchor.at_ms);
  }

  get isOff() {
    return Math.abs(this.error_ms) > STRAY_MS;
  }

  // Correct a little, now and then. False when only a new beginning helps.
  keep() {
    if (!this.#output.clock.isFresh) return true;
    const error_ms = this.error_ms;
    this.#timesLost = Math.abs(error_ms) > LOST_MS ? this.#timesLost + 1 : 0;
    if (this.#timesLost >= LOST_TIMES) return false;
    this.#isCorrecting = Math.abs(error_ms) > (this.#isCorrecting ? NEAR_MS : STRAY_MS);
    const wanted = this.#isCorrecting ? Math.round((error_ms * RATE_HZ) / 1000) : 0;
    this.#output.mixer.shift(Math.max(-SHIFT_FRAMES, Math.min(SHIFT_FRAMES, wanted)), SHIFT_S);
    return true;
  }
}
