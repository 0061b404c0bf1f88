// The audio graph: a strip for each track, their sum, the click, my volume, and what is measured on the way.
//
// What is heard is what the mixdown renders (`omnisonic/studio/mixdown`): the same law of gain and pan, the same sum, the
// same limiter. Where a browser has no worklets, which it keeps from pages without https, there is no limiter: a mix over
// full scale is clipped by the device.

import { LIMITER_FRAMES } from "./limiter.js";
import { RATE_HZ } from "./schedule.js";

// Changes glide: two thirds of the way in this time.
const GLIDE_S = 0.005;
const METER_FRAMES = 2048;
const HOLD_MS = 1_500;
export const SILENCE_DB = -Infinity;

// The sound passes a short delay, of which the limiter is a part, and which can be made longer and shorter to follow the
// clock.
export const USUAL_DELAY_FRAMES = 1_440;
export const MOST_DELAY_FRAMES = 2 * USUAL_DELAY_FRAMES;

// The click is that of a mixdown without stems.
const CLICK_S = 0.03;
const CLICK_DECAY_S = 0.006;
const ACCENT = { hz: 1_600, level: 0.7 };
const BEAT = { hz: 1_000, level: 0.4 };

// The factors of the two sides. The power of both together is the same for every pan. One channel is 3 dB down on
// either side in the middle; two channels are unchanged there. Pure.
export function panGains(channels, gainDb, pan) {
  const angle = ((Math.min(Math.max(pan, -1), 1) + 1) * Math.PI) / 4;
  const factor = 10 ** (gainDb / 20) * Math.sqrt(channels);
  return [Math.cos(angle) * factor, Math.sin(angle) * factor];
}

export function decibels(level) {
  return level > 0 ? 20 * Math.log10(level) : SILENCE_DB;
}

// Highest of late, which stays for a moment. Pure.
export class PeakHold {
  #hold = 0;
  #until_ms = 0;

  // Both in dBFS.
  read(peak, now_ms) {
    if (peak >= this.#hold || now_ms >= this.#until_ms) {
      this.#hold = peak;
      this.#until_ms = now_ms + HOLD_MS;
    }
    return { peak: decibels(peak), hold: decibels(this.#hold) };
  }
}

// Measures two sides. It costs nothing while nobody reads it.
class Meter {
  #analysers;
  #samples = new Float32Array(METER_FRAMES);
  #held = new PeakHold();

  constructor(context) {
    this.#analysers = [0, 1].map(() => new AnalyserNode(context, { fftSize: METER_FRAMES, channelCount: 1 }));
  }

  listen(left, right) {
    left.connect(this.#analysers[0]);
    right.connect(this.#analysers[1]);
  }

  read() {
    let peak = 0;
    for (const analyser of this.#analysers) {
      analyser.getFloatTimeDomainData(this.#samples);
      for (const sample of this.#samples) peak = Math.max(peak, Math.abs(sample));
    }
    return this.#held.read(peak, performance.now());
  }
}

// One track: gain and pan, at once or gliding, and its level. Its voices are connected to `input`.
class Strip {
  input;
  #context;
  #sides;
  #merger;
  #meter;
  #isSet = false;

  constructor(context, output) {
    this.#context = context;
    // One channel becomes two that are alike, so that both kinds take the same way.
    this.input = new GainNode(context, { channelCount: 2, channelCountMode: "explicit" });
    const splitter = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    this.#merger = new ChannelMergerNode(context, { numberOfInputs: 2 });
    this.#sides = [0, 1].map(() => new GainNode(context, { gain: 0 }));
    this.input.connect(splitter);
    for (const [side, node] of this.#sides.entries()) {
      splitter.connect(node, side);
      node.connect(this.#merger, 0, side);
    }
    this.#merger.connect(output);
    this.#meter = new Meter(context);
    this.#meter.listen(...this.#sides);
  }

  // `scale` is what the decoded samples are to be multiplied by.
  set({ channels, gainDb, pan, isHeard, scale }) {
    const gains = panGains(channels, gainDb, pan);
    for (const [side, { gain }] of this.#sides.entries()) {
      glide(this.#context, gain, isHeard ? gains[side] * scale : 0, this.#isSet);
    }
    this.#isSet = true;
  }

  level() {
    return this.#meter.read();
  }

  close() {
    this.#merger.disconnect();
  }
}

export class Mixer {
  clickInput;
  clicks;
  #context;
  #strips = new Map();
  #sum;
  #bus;
  #volume;
  #delay;
  #delayFrames = USUAL_DELAY_FRAMES;
  #limiterFrames = 0;
  #isLimiterLoaded = false;
  #meter;

  constructor(context) {
    this.#context = context;
    const stereo = { channelCount: 2, channelCountMode: "explicit" };
    this.#sum = new GainNode(context, stereo);
    this.#bus = new GainNode(context, stereo);
    this.clickInput = new GainNode(context);
    this.#volume = new GainNode(context);
    this.#delay = new DelayNode(context, {
      maxDelayTime: MOST_DELAY_FRAMES / RATE_HZ,
      delayTime: USUAL_DELAY_FRAMES / RATE_HZ,
    });
    this.#sum.connect(this.#bus);
    this.clickInput.connect(this.#bus);
    this.#bus.connect(this.#volume);
    this.#volume.connect(this.#delay).connect(context.destination);
    this.#meter = new Meter(context);
    const splitter = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    const sides = [0, 1].map(() => new GainNode(context));
    this.#sum.connect(splitter);
    for (const [side, node] of sides.entries()) splitter.connect(node, side);
    this.#meter.listen(...sides);
    this.clicks = { accent: clickBuffer(ACCENT), beat: clickBuffer(BEAT) };
  }

  // The limiter comes in with the next `centre`. Where it cannot be had, everything goes on without.
  async loadLimiter() {
    try {
      await this.#context.audioWorklet.addModule(new URL("./limiter.js", import.meta.url));
      this.#isLimiterLoaded = true;
    } catch {
      this.#isLimiterLoaded = false;
    }
  }

  strip(trackId) {
    let strip = this.#strips.get(trackId);
    if (strip === undefined) {
      strip = new Strip(this.#context, this.#sum);
      this.#strips.set(trackId, strip);
    }
    return strip;
  }

  drop(trackId) {
    this.#strips.get(trackId)?.close();
    this.#strips.delete(trackId);
  }

  get trackIds() {
    return [...this.#strips.keys()];
  }

  set volumeDb(db) {
    glide(this.#context, this.#volume.gain, 10 ** (db / 20), true);
  }

  levelOf(trackId) {
    return this.#strips.get(trackId)?.level() ?? { peak: SILENCE_DB, hold: SILENCE_DB };
  }

  // Of the sum of all tracks, before limiter and my volume: what is over 0 will be turned down.
  level() {
    return this.#meter.read();
  }

  // Everything is heard so many frames after it was played into the graph.
  get delayFrames() {
    return this.#delayFrames;
  }

  // Be so many frames later (or, negative, earlier) from now on, by a change of speed that nobody hears. Between whole
  // frames a delay dulls the sound, so it rests on whole ones.
  shift(frames, over_s) {
    const wanted = Math.max(this.#limiterFrames, Math.min(MOST_DELAY_FRAMES, this.#delayFrames + frames));
    if (wanted === this.#delayFrames) return;
    const { delayTime } = this.#delay;
    const now_s = this.#context.currentTime;
    delayTime.cancelScheduledValues(0);
    delayTime.setValueAtTime((this.#delayFrames - this.#limiterFrames) / RATE_HZ, now_s);
    delayTime.linearRampToValueAtTime((wanted - this.#limiterFrames) / RATE_HZ, now_s + over_s);
    this.#delayFrames = wanted;
  }

  // As at first. For when nothing sounds.
  centre() {
    if (this.#isLimiterLoaded && this.#limiterFrames === 0) this.#insertLimiter();
    this.#delay.delayTime.cancelScheduledValues(0);
    this.#delay.delayTime.value = (USUAL_DELAY_FRAMES - this.#limiterFrames) / RATE_HZ;
    this.#delayFrames = USUAL_DELAY_FRAMES;
  }

  #insertLimiter() {
    const shape = { outputChannelCount: [2], channelCount: 2, channelCountMode: "explicit" };
    const limiter = new AudioWorkletNode(this.#context, "limiter", shape);
    this.#bus.disconnect();
    this.#bus.connect(limiter).connect(this.#volume);
    this.#limiterFrames = LIMITER_FRAMES;
  }
}

function glide(context, param, value, isGliding) {
  if (!isGliding) param.value = value;
  else param.setTargetAtTime(value, context.currentTime, GLIDE_S);
}

function clickBuffer({ hz, level }) {
  const buffer = new AudioBuffer({ length: Math.round(CLICK_S * RATE_HZ), numberOfChannels: 1, sampleRate: RATE_HZ });
  const samples = buffer.getChannelData(0);
  for (let frame = 0; frame < samples.length; frame += 1) {
    const at_s = frame / RATE_HZ;
    samples[frame] = level * Math.sin(2 * Math.PI * hz * at_s) * Math.exp(-at_s / CLICK_DECAY_S);
  }
  return buffer;
}
