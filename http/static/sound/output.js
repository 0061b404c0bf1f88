// The way out: the page's one `AudioContext`, with its mixer and its clock, through interruptions and lost devices.
//
// It is made at the first press of Play, or when somebody joins the room, as browsers want it, at 48 kHz whatever the device
// has: at another rate each segment would be a sample too short. The device's rate is the browser's business.

import { ContextClock } from "./clock.js";
import { Mixer } from "./mixer.js";
import { RATE_HZ } from "./schedule.js";

const SAMPLE_EVERY_MS = 15;
const SETTLE_MS = 400;
// What is scheduled sooner may be too late.
const SOONEST_S = 0.02;

export function makeContext() {
  try {
    return new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
  } catch {
    return new AudioContext({ latencyHint: "interactive" });
  }
}

export class Output {
  mixer = null;
  clock = null;
  #context = null;
  #createContext;
  #changed;
  #limiter = null;

  // `changed()` is told when sound can get out, can do so no longer, or finds another way.
  constructor(createContext, changed) {
    this.#createContext = createContext;
    this.#changed = changed;
  }

  get context() {
    return this.#context;
  }

  get isRunning() {
    return this.#context?.state === "running";
  }

  // `suspended` until somebody presses something, `interrupted` by a phone call, or `running`.
  get state() {
    return this.#context?.state ?? "suspended";
  }

  open() {
    if (this.#context !== null) return this.#context;
    const context = this.#createContext();
    this.#context = context;
    this.mixer = new Mixer(context);
    this.#limiter = this.mixer.loadLimiter();
    this.clock = new ContextClock(context);
    context.addEventListener("statechange", () => this.#isNow(context, context.state === "closed"));
    // The device is gone.
    context.addEventListener("error", () => this.#isNow(context, true));
    context.addEventListener("sinkchange", () => this.#isNow(context, false));
    return context;
  }

  // Whether it runs after so long. Browsers that want a press first leave it waiting for ever.
  async resume(within_ms) {
    const context = this.open();
    if (context.state !== "running") {
      const patience = new Promise((resolve) => setTimeout(resolve, within_ms));
      await Promise.race([context.resume().catch(() => {}), patience]);
    }
    return context.state === "running";
  }

  // Resolves when the state has changed.
  untilChanged() {
    return new Promise((resolve) => this.open().addEventListener("statechange", resolve, { once: true }));
  }

  // Listen to the clock until it is known, which takes some hundredths of a second, and wait for the limiter.
  async settle() {
    const until_ms = performance.now() + SETTLE_MS;
    this.clock.sample();
    await Promise.race([this.#limiter, new Promise((resolve) => setTimeout(resolve, SETTLE_MS))]);
    while (!this.clock?.isFresh && performance.now() < until_ms) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS));
      this.clock?.sample();
    }
  }

  get nowFrame() {
    return Math.ceil(this.#context.currentTime * RATE_HZ);
  }

  // The first frame that can still be scheduled for.
  get soonestFrame() {
    const soonest_s = Math.max(SOONEST_S, 2 * (this.#context.baseLatency || 0));
    return Math.ceil((this.#context.currentTime + soonest_s) * RATE_HZ);
  }

  // The frame at which what is heard at this moment of `performance.now()` was or is played into the mixer. Not whole.
  frameAt(performance_ms) {
    return this.clock.contextTimeAt(performance_ms) * RATE_HZ - this.mixer.delayFrames;
  }

  // How long what is scheduled now, for as soon as can be, takes to be heard.
  get lead_ms() {
    return Math.max(0, ((this.soonestFrame - this.frameAt(performance.now())) / RATE_HZ) * 1000);
  }

  async close() {
    const context = this.#context;
    this.#context = this.mixer = this.clock = null;
    if (context !== null && context.state !== "closed") await context.close();
  }

  #isNow(context, isLost) {
    if (context !== this.#context) return;
    this.clock.forget();
    if (isLost) this.close();
    this.#changed();
  }
}
