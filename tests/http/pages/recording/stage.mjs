// The panel that records, on a stage: a studio, a strip, a microphone and a song that do as they are told. Its tests run in
// Node and without a page; their first argument is where the page's modules are.

import assert from "node:assert/strict";
import { beforeEach } from "node:test";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
export const module = (path) => import(new URL(path, folder));
const { Recording } = await module("panels/recording.js");

export const RATE = 48_000;
export const BLOCK = 2_400;
const TURNS = 100;

// --- what a browser has ------------------------------------------------------------------------------------------------

export function provide(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

// A studio that answers a request when it is told to.
export class Request extends EventTarget {
  static all = [];
  upload = new EventTarget();
  status = 0;
  responseText = "";
  method = "";
  sent = {};
  #answered = {};

  open(method) {
    this.method = method;
  }

  setRequestHeader(name, value) {
    this.sent[name] = value;
  }

  getResponseHeader(name) {
    return this.#answered[name] ?? null;
  }

  send(body) {
    this.bytes = body?.length ?? 0;
    Request.all.push(this);
  }

  abort() {
    this.dispatchEvent(new Event("loadend"));
  }

  answer(status, headers = {}, content = null) {
    [this.status, this.#answered, this.responseText] = [status, headers, JSON.stringify(content)];
    this.dispatchEvent(new Event("loadend"));
  }

  // As by a studio that takes everything.
  accept() {
    if (this.method === "POST") return this.answer(201, { Location: "/api/upload/tus/one" });
    const offset = Number(this.sent["Upload-Offset"] ?? 0) + this.bytes;
    return this.answer(204, { "Upload-Offset": String(offset) });
  }

  static get waiting() {
    return Request.all.filter(({ status }) => status === 0);
  }
}

export const limits = [];
// What the page listens to on the window.
export let page = new EventTarget();

const link = { setAttribute() {}, append() {} };
provide("document", { querySelectorAll: () => [], createElement: () => link, head: { append() {} } });
provide("addEventListener", (...given) => page.addEventListener(...given));
provide("localStorage", { getItem: () => null, setItem() {}, removeItem() {} });
provide("location", { href: "http://studio.test/" });
provide("navigator", { mediaDevices: { getUserMedia() {} }, permissions: { query: async () => ({ state: "granted" }) } });
provide("AudioWorkletNode", class {});
provide("XMLHttpRequest", Request);
provide("fetch", async () => Response.json({ upload: { id: "one", takeOf: "one", offsetSeconds: 0, chosen: true } }));
AbortSignal.timeout = (ms) => {
  const controller = new AbortController();
  limits.push({ ms, pass: () => controller.abort(new DOMException("late", "TimeoutError")) });
  return controller.signal;
};
// In private windows there is no database. That is said once, and is nothing here.
console.warn = () => {};

beforeEach(() => {
  Request.all.splice(0);
  limits.splice(0);
  page = new EventTarget();
});

const later = setTimeout;

export async function becomes(look, what) {
  for (let turns = 0; turns < 2_000; turns += 1) {
    if (look()) return;
    await new Promise((resolve) => later(resolve));
  }
  assert.fail(`it never became so: ${what}`);
}

// Whatever can come by itself has come.
export async function settled() {
  for (let turns = 0; turns < TURNS; turns += 1) await new Promise((resolve) => later(resolve));
}

// --- what the panel has ------------------------------------------------------------------------------------------------

export class Strip {
  words = "";
  fault = "";
  states = [];
  isShown = false;
  // What is offered of a recording that could not be sent, by its words.
  offers = {};
  timing = null;

  constructor(_, acts) {
    Strip.made = this;
    this.acts = acts;
    for (const name of ["setTracks", "setTime", "setLevel", "setLooping", "setDevice"]) this[name] = () => {};
  }

  show() {
    this.isShown = true;
  }

  hide() {
    this.isShown = false;
  }

  say(words) {
    this.words = words;
  }

  fail(words) {
    this.fault = words;
  }

  tell(words, fault = "") {
    [this.words, this.fault] = [words, fault];
  }

  failToo(words) {
    this.fault = `${this.fault} ${words}`.trim();
  }

  draw(state) {
    this.states.push(state);
  }

  rescue(acts) {
    this.offers = Object.fromEntries(acts);
  }

  setTiming(timing) {
    this.timing = timing;
  }

  get state() {
    return this.states.at(-1);
  }

  get told() {
    return [this.state, this.words, this.fault];
  }
}

export class Microphone extends EventTarget {
  context = { sampleRate: RATE, currentTime: 1 };
  roundTrip_s = 0.02;
  channels = 1;
  countsIn = false;
  isOpen = false;

  constructor() {
    super();
    Microphone.made = this;
  }

  async open() {
    this.isOpen = true;
  }

  close() {
    this.isOpen = false;
  }

  unplug() {
    this.dispatchEvent(new CustomEvent("ended", { detail: "microphone" }));
  }

  hear(frame) {
    this.context.currentTime = frame / RATE;
    this.dispatchEvent(new CustomEvent("block", { detail: { frame, samples: [new Float32Array(BLOCK).fill(0.1)] } }));
  }

  async keepAwake() {}
}

// A song that is heard once it was told where (`position_s`).
export class Song extends EventTarget {
  tracks = [];
  tempoBpm = 120;
  loop = null;
  isPlaying = false;
  plays = 0;
  position_s = null;
  // How often it was asked where it is, since it is heard.
  looks = 0;
  position = () => ({ seconds: 0 });
  setLoop = () => {};
  uploads = [];

  play() {
    this.plays += 1;
    this.isPlaying = true;
  }

  stop() {
    this.isPlaying = false;
    this.position_s = null;
  }

  positionAt() {
    if (this.position_s !== null) this.looks += 1;
    return this.position_s;
  }

  put(upload) {
    this.uploads.push(upload);
  }

  openContext() {}
}

// --- how far it is -----------------------------------------------------------------------------------------------------

export const READY = "Ready. Press Record, or the key R.";

// A panel on this stage, as `later.js` makes it.
export function made({ song = new Song(), Input = Microphone } = {}) {
  const about = { sessionId: "jam", memberId: "me", rights: { mayChange: true }, host: null, share() {}, lost: assert.fail };
  const recording = new Recording({ ...about, song, conductor: song, player: song }, { Strip, Input });
  return { recording, strip: Strip.made, song };
}

// A panel whose microphone is open, and whose song is silent.
export async function readyToRecord() {
  const stage = made();
  await stage.recording.open();
  assert.deepEqual(stage.strip.told, ["armed", READY, ""]);
  return { ...stage, microphone: Microphone.made };
}

// The studio was asked how much fits, and has not answered.
export async function waitingForTheStudio() {
  const stage = await readyToRecord();
  stage.recording.toggle();
  await becomes(() => Request.all.length === 1, "the studio is asked");
  assert.equal(stage.strip.state, "starting");
  return stage;
}

// The song was told to play, and is not heard yet.
export async function waitingForTheSong() {
  const stage = await waitingForTheStudio();
  Request.all[0].answer(204);
  await becomes(() => stage.song.plays === 1, "the song is told to play");
  return stage;
}

// The song is heard: it begins with the second second of the microphone's context. The recording knows its place.
export async function begins(song) {
  [song.position_s, song.looks] = [0, 0];
  await becomes(() => song.looks === 2, "the recording has seen where the song is");
}

// Both run from there on until `until_s` of the context. `hear(frame)` brings a block.
export function play(song, hear, from_s, until_s) {
  for (let frame = from_s * RATE; frame < until_s * RATE; frame += BLOCK) {
    if (song.position_s !== null) song.position_s = frame / RATE - 1;
    hear(frame);
  }
}
