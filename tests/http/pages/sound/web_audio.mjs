// As much of Web Audio as the player uses, on a clock that a test moves: what is scheduled can be looked at, and nothing
// sounds. Of the graph, only gains count. Importing it takes the place of timers and of `performance.now`.

import { mock } from "node:test";

export const RATE_HZ = 48_000;
const QUANTUM = 128;
const CLICK_FRAMES = 5_000;
// Of the mixer, limiter and all.
const DELAY_S = 0.03;

let now_ms = 1_000;
performance.now = () => now_ms;
mock.timers.enable({ apis: ["setTimeout", "setInterval"] });

const turn = () => new Promise((resolve) => setImmediate(resolve));

// What was to happen at once has happened.
export async function settled() {
  for (let turns = 0; turns < 3; turns += 1) await turn();
}

// Milliseconds pass, step by step, and whatever happens in each of them.
export async function pass(ms, step_ms = 1) {
  await settled();
  for (let passed = 0; passed < ms; passed += step_ms) {
    now_ms += step_ms;
    for (const context of Context.all) context.move();
    mock.timers.tick(step_ms);
    await turn();
  }
}

class Param {
  #events = [];

  constructor(value = 1) {
    this.value = value;
  }

  setValueAtTime(value, time_s) {
    this.#events.push({ value, time_s });
  }

  linearRampToValueAtTime(value, time_s) {
    this.#events.push({ value, time_s, isRamp: true });
  }

  setTargetAtTime(value) {
    this.value = value;
  }

  cancelScheduledValues(time_s) {
    this.#events = this.#events.filter((event) => event.time_s < time_s);
  }

  at(time_s) {
    const events = this.#events.toSorted((one, other) => one.time_s - other.time_s);
    let before = { value: this.value, time_s: 0 };
    for (const event of events) {
      if (event.time_s > time_s) {
        const part = (time_s - before.time_s) / (event.time_s - before.time_s);
        return event.isRamp ? before.value + (event.value - before.value) * part : before.value;
      }
      before = event;
    }
    return before.value;
  }
}

class AudioNode {
  #next = null;

  constructor(context) {
    this.context = context;
  }

  connect(node) {
    this.#next ??= node;
    return node;
  }

  disconnect() {
    this.#next = null;
  }

  // How loud what goes in here leaves the gains that come next.
  loudnessAt(time_s) {
    return this.#next?.loudnessAt(time_s) ?? 1;
  }
}

class GainNode extends AudioNode {
  constructor(context, { gain = 1 } = {}) {
    super(context);
    this.gain = new Param(gain);
  }

  loudnessAt(time_s) {
    return this.gain.at(time_s) * super.loudnessAt(time_s);
  }
}

class DelayNode extends AudioNode {
  constructor(context, { delayTime }) {
    super(context);
    this.delayTime = new Param(delayTime);
    context.delay = this;
  }
}

class AnalyserNode extends AudioNode {
  getFloatTimeDomainData() {}
}

class AudioBuffer {
  constructor({ length, numberOfChannels = 1 }) {
    this.length = length;
    this.numberOfChannels = numberOfChannels;
  }

  getChannelData() {
    return new Float32Array(this.length);
  }
}

class AudioBufferSourceNode extends AudioNode {
  begins_s = Infinity;
  ends_s = Infinity;
  stops_s = Infinity;
  onended = null;
  // Whether its beginning had passed when it was scheduled.
  isLate = false;

  constructor(context, { buffer }) {
    super(context);
    this.buffer = buffer;
    this.isClick = buffer.length < CLICK_FRAMES;
    context.sources.push(this);
  }

  start(begins_s, offset_s = 0, seconds = this.buffer.length / RATE_HZ) {
    this.isLate = begins_s < this.context.currentTime;
    [this.begins_s, this.offset_s, this.ends_s] = [begins_s, offset_s, begins_s + seconds];
  }

  stop(stops_s) {
    this.stops_s = stops_s;
  }

  // Whether some of it is heard at that time of the context.
  soundsAt(time_s) {
    return time_s >= this.begins_s && time_s < Math.min(this.ends_s, this.stops_s) && this.loudnessAt(time_s) > 0;
  }
}

const others = Object.fromEntries(["ChannelSplitterNode", "ChannelMergerNode", "AudioWorkletNode"].map((name) => [name, class extends AudioNode {}]));
Object.assign(globalThis, { GainNode, DelayNode, AnalyserNode, AudioBuffer, AudioBufferSourceNode, ...others });

// A context that runs from when it is made. What leaves it is heard `latency_s` later; its sound card counts `speed` times
// as quickly as the page's clock.
export class Context extends EventTarget {
  // Those of the present test.
  static all = [];
  sources = [];
  state = "running";
  baseLatency = 0.01;
  sampleRate = RATE_HZ;
  destination = new AudioNode();
  audioWorklet = { addModule: async () => {} };
  #born_ms = now_ms;
  #speed;

  constructor({ latency_s = 0.02, speed = 1 } = {}) {
    super();
    this.latency_s = latency_s;
    this.#speed = speed;
    Context.all.push(this);
  }

  get #time_s() {
    return 1 + ((now_ms - this.#born_ms) / 1000) * this.#speed;
  }

  get currentTime() {
    return (Math.floor((this.#time_s * RATE_HZ) / QUANTUM) * QUANTUM) / RATE_HZ;
  }

  getOutputTimestamp() {
    return { contextTime: this.#time_s - this.latency_s, performanceTime: now_ms };
  }

  // When a source begins to be heard, on the page's clock, as long as the mixer's delay is the usual one.
  heardAt_ms({ begins_s }) {
    return this.#born_ms + ((begins_s + DELAY_S + this.latency_s - 1) / this.#speed) * 1000;
  }

  get clicks() {
    return this.sources.filter(({ isClick }) => isClick);
  }

  get pieces() {
    return this.sources.filter(({ isClick }) => !isClick);
  }

  // Which second of its sound each piece is at that is heard at that time of the context, or now.
  placesAt(time_s = this.currentTime) {
    return this.pieces.filter((piece) => piece.soundsAt(time_s)).map(({ begins_s, offset_s }) => offset_s + time_s - begins_s);
  }

  // Sources that are over say so.
  move() {
    for (const source of this.sources) {
      if (Math.min(source.ends_s, source.stops_s) > this.currentTime) continue;
      source.onended?.();
      source.onended = null;
    }
  }

  async resume() {}

  async close() {
    this.state = "closed";
  }

  // The device takes nothing for so long, and does not say so.
  stall(ms) {
    this.#born_ms += ms;
  }

  // Sound gets out another way.
  switchTo(latency_s) {
    this.latency_s = latency_s;
    this.dispatchEvent(new Event("sinkchange"));
  }

  // The device is gone.
  lose() {
    this.state = "closed";
    this.dispatchEvent(new Event("error"));
  }
}
