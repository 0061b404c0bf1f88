// A browser that allows the microphone when it is told to, and whose sound device may go: for the panel that records with its
// real microphone, in Node and without a page.

import assert from "node:assert/strict";
import { beforeEach } from "node:test";

import { becomes, BLOCK, made, module, provide, RATE, READY, Song } from "./stage.mjs";

export const { Microphone } = await module("panels/microphone.js");

export class Track extends EventTarget {
  isLive = true;
  label = "Interface";

  getSettings() {
    return { deviceId: "interface", channelCount: 1, latency: 0.005 };
  }

  stop() {
    this.isLive = false;
  }
}

export class Stream {
  track = new Track();
  getTracks = () => [this.track];
  getAudioTracks = () => [this.track];
}

export class Context extends EventTarget {
  state = "running";
  sampleRate = RATE;
  currentTime = 1;
  baseLatency = 0.01;
  outputLatency = 0.02;
  destination = {};
  loads = Promise.resolve();
  audioWorklet = { addModule: () => this.loads };

  createMediaStreamSource() {
    return { connect: (to) => to, disconnect() {} };
  }

  close() {
    this.state = "closed";
    this.dispatchEvent(new Event("statechange"));
  }
}

// What gathers the microphone's blocks.
export class Node {
  port = { postMessage() {} };

  constructor(context) {
    [Node.made, this.context] = [this, context];
  }

  hear(frame, samples = new Float32Array(BLOCK).fill(0.1)) {
    this.context.currentTime = frame / RATE;
    this.port.onmessage({ data: { frame, filled: samples.length, samples: [samples] } });
  }

  connect(to) {
    return to;
  }

  disconnect() {}
}

// As `later.js` and `sound/player.js` have it: whoever needs a context gets the one that is there.
export class Player extends Song {
  context = new Context();
  opens = null;

  async openContext() {
    await this.opens;
    return this.context;
  }
}

// A promise that is kept, or broken, when it is told to.
export function held() {
  const acts = {};
  acts.promise = new Promise((resolve, reject) => Object.assign(acts, { resolve, reject }));
  return acts;
}

// What is played to measure, and when.
export class Source {
  static begins_s = [];
  connect() {}

  start(time_s) {
    Source.begins_s.push(time_s);
  }
}

class Buffer {
  copyToChannel() {}
}

export const kept = new Map();
// What the browser says about the microphone: a state, or the promise of one.
export const permission = { state: "prompt" };
// The devices that it lists, or the promise of them.
export const devices = { listed: [] };
// Who has asked for the microphone, with `allow()`, which returns the stream, and `deny()`.
export const asked = [];

function getUserMedia() {
  return new Promise((resolve, reject) => {
    const allow = () => {
      const stream = new Stream();
      resolve(stream);
      return stream;
    };
    asked.push({ allow, deny: () => reject(new DOMException("no", "NotAllowedError")) });
  });
}

provide("localStorage", { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) });
provide("AudioWorkletNode", Node);
provide("AudioBuffer", Buffer);
provide("AudioBufferSourceNode", Source);

beforeEach(() => {
  provide("navigator", {
    mediaDevices: Object.assign(new EventTarget(), { getUserMedia, enumerateDevices: async () => devices.listed }),
    permissions: { query: async () => ({ state: await permission.state }) },
  });
  asked.splice(0);
  kept.clear();
  permission.state = "prompt";
  devices.listed = [];
});

export const panel = () => made({ song: new Player(), Input: Microphone });

// The browser asks whether the studio may use the microphone.
export async function asking() {
  const stage = panel();
  await stage.recording.open();
  assert.equal(stage.strip.state, "explaining");
  stage.strip.acts.allow();
  await becomes(() => asked.length === 1, "the browser asks");
  assert.equal(stage.strip.state, "opening");
  return stage;
}

export async function open() {
  const stage = await asking();
  const stream = asked[0].allow();
  await becomes(() => stage.strip.state === "armed", "it is open");
  assert.deepEqual(stage.strip.told, ["armed", READY, ""]);
  return { ...stage, stream };
}
