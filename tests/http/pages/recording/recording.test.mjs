// The panel that records, with a strip, a microphone and a studio that do as they are told: run by
// test_recording_programs.py, in Node and without a page.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { Recording } = await import(new URL("panels/recording.js", folder));

const RATE = 48_000;
const LIMIT_MS = 2_000;

// A studio that answers a request when it is told to.
class Request extends EventTarget {
  static all = [];
  upload = new EventTarget();
  status = 0;
  responseText = "";
  method = "";

  open(method) {
    this.method = method;
  }

  setRequestHeader() {}

  getResponseHeader() {
    return null;
  }

  send() {
    Request.all.push(this);
  }

  abort() {
    this.dispatchEvent(new Event("loadend"));
  }

  answer(status) {
    this.status = status;
    this.dispatchEvent(new Event("loadend"));
  }
}

class Strip {
  words = "";
  fault = "";
  states = [];

  constructor(_, acts) {
    Strip.made = this;
    this.acts = acts;
    for (const name of ["show", "hide", "setTracks", "setTime", "setLevel", "setLooping", "rescue"]) this[name] = () => {};
  }

  say(words) {
    this.words = words;
  }

  fail(words) {
    this.fault = words;
  }

  draw(state) {
    this.states.push(state);
  }

  get told() {
    return [this.states.at(-1), this.words, this.fault];
  }
}

class Microphone extends EventTarget {
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
    this.dispatchEvent(new Event("ended"));
  }

  async keepAwake() {}
}

// A song that is heard once it was told where (`position_s`).
class Song extends EventTarget {
  tracks = [];
  tempoBpm = 120;
  loop = null;
  isPlaying = false;
  plays = 0;
  position_s = null;
  position = () => ({ seconds: 0 });
  positionAt = () => this.position_s;
  setLoop = () => {};

  play() {
    this.plays += 1;
    this.isPlaying = true;
  }

  stop() {
    this.isPlaying = false;
  }
}

const READY = "Ready. Press Record, or the key R.";
const UNPLUGGED = "The microphone is gone. Plug it in, or use another one.";
const NOTHING = "Nothing was recorded.";
const limits = [];

function provide(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

const link = { setAttribute() {}, append() {} };
provide("document", { querySelectorAll: () => [], createElement: () => link, head: { append() {} } });
provide("addEventListener", () => {});
provide("localStorage", { setItem() {}, removeItem() {} });
provide("location", { href: "http://studio.test/" });
provide("navigator", { mediaDevices: { getUserMedia() {} }, permissions: { query: async () => ({ state: "granted" }) } });
provide("AudioWorkletNode", class {});
provide("XMLHttpRequest", Request);
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
});

const later = setTimeout;

async function becomes(look, what) {
  for (let turns = 0; turns < 2_000; turns += 1) {
    if (look()) return;
    await new Promise((resolve) => later(resolve));
  }
  assert.fail(`it never became so: ${what}`);
}

// A panel whose microphone is open, and whose song is silent.
async function readyToRecord() {
  const song = new Song();
  const page = { sessionId: "jam", memberId: "me", rights: { mayChange: true }, song, conductor: song, player: song, host: null, share() {}, lost: assert.fail };
  const recording = new Recording(page, { Strip, Input: Microphone });
  const [strip, microphone] = [Strip.made, Microphone.made];
  await recording.open();
  assert.deepEqual(strip.told, ["armed", READY, ""]);
  return { recording, strip, microphone, song };
}

// The studio was asked how much fits, and has not answered.
async function waitingForTheStudio() {
  const stage = await readyToRecord();
  stage.recording.toggle();
  await becomes(() => Request.all.length === 1, "the studio is asked");
  assert.equal(stage.strip.states.at(-1), "starting");
  return stage;
}

// The song was told to play, and is not heard yet.
async function waitingForTheSong() {
  const stage = await waitingForTheStudio();
  Request.all[0].answer(204);
  await becomes(() => stage.song.plays === 1, "the song is told to play");
  return stage;
}

// Whatever was on its way has had the time to come.
async function afterAll() {
  for (const request of Request.all) request.answer(204);
  for (const { pass } of limits) pass();
  // A rejection that nobody handles ends this program.
  for (let turns = 0; turns < 100; turns += 1) await new Promise((resolve) => later(resolve));
}

test("a studio that does not answer delays a recording for two seconds", async () => {
  const { strip, song } = await waitingForTheStudio();
  assert.deepEqual(limits.map(({ ms }) => ms), [LIMIT_MS]);
  limits[0].pass();
  await becomes(() => song.plays === 1, "the song is told to play");
  assert.deepEqual(strip.told, ["starting", "Starting…", ""]);
  song.position_s = 0;
});

test("who presses Stop while the studio does not answer is done, and nothing begins later", async () => {
  const stage = await waitingForTheStudio();
  stage.recording.toggle();
  assert.deepEqual(stage.strip.told, ["armed", "", ""]);
  await afterAll();
  assert.deepEqual(stage.strip.told, ["armed", "", ""]);
  assert.equal(stage.song.plays, 0);
});

test("who presses Record again while the studio does not answer starts once", async () => {
  const stage = await waitingForTheStudio();
  stage.recording.toggle();
  stage.recording.toggle();
  await becomes(() => Request.all.length === 2, "the studio is asked again");
  await afterAll();
  assert.equal(stage.song.plays, 1);
  assert.equal(stage.strip.states.at(-1), "starting");
  stage.song.position_s = 0;
});

test("who presses Stop before the song is heard is done", async () => {
  const stage = await waitingForTheSong();
  stage.recording.toggle();
  await becomes(() => stage.strip.states.at(-1) === "armed", "it is over");
  assert.deepEqual(stage.strip.told, ["armed", "", ""]);
  assert.equal(stage.song.isPlaying, false);
});

test("a microphone that goes while the studio does not answer ends it, and nothing begins later", async () => {
  const stage = await waitingForTheStudio();
  stage.microphone.unplug();
  assert.deepEqual(stage.strip.told, ["explaining", "", UNPLUGGED]);
  await afterAll();
  assert.deepEqual(stage.strip.told, ["explaining", "", UNPLUGGED]);
  assert.equal(stage.song.plays, 0);
});

test("a microphone that goes before the song is heard ends it, and the song stops", async () => {
  const stage = await waitingForTheSong();
  stage.microphone.unplug();
  assert.deepEqual(stage.strip.told, ["explaining", NOTHING, UNPLUGGED]);
  await afterAll();
  assert.deepEqual(stage.strip.told, ["explaining", NOTHING, UNPLUGGED]);
  assert.equal(stage.song.isPlaying, false);
});

for (const [when, waiting] of [["while the studio does not answer", waitingForTheStudio], ["before the song is heard", waitingForTheSong]]) {
  test(`a session that is gone ${when} ends the recording without a fault`, async () => {
    const stage = await waiting();
    const { plays } = stage.song;
    stage.recording.close();
    assert.deepEqual([stage.recording.isRecording, stage.microphone.isOpen, stage.song.isPlaying], [false, false, false]);
    await afterAll();
    assert.equal(stage.recording.isRecording, false);
    assert.equal(stage.song.plays, plays);
  });
}
