// What is scheduled when somebody plays, seeks, stops and counts in, with the page's conductor and player and without a
// page: run by test_playing.py, in Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { Context, pass, RATE_HZ, settled } from "./web_audio.mjs";

const folder = pathToFileURL(`${process.argv[2]}/`);
const module = (path) => import(new URL(path, folder));
const { Conductor } = await module("room/conductor.js");
const { Problem } = await module("controls/api.js");
const { LatePlayer } = await module("later.js");
const { Player } = await module("sound/player.js");

const SEGMENT_S = 10;
const ABOUT = { version: "1", count: 6, frames: 60 * RATE_HZ, channels: 1, gain: 1 };
// Latencies of devices in seconds: none, as wired, and as headphones without a wire have.
const LATENCIES = [0, 0.02, 0.04, 0.2];
const NEAR_MS = 2;
const waited = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// One track from the beginning of the song on, whose segments come after `load_ms`; `pending` ones never come.
function stage({ load_ms = 1, moduleLoad_ms = 0, pending = false, fetchSegment = async () => null, ...device } = {}) {
  const decode = async () => {
    await waited(load_ms);
    return new AudioBuffer({ length: SEGMENT_S * RATE_HZ });
  };
  const describe = async () => {
    throw new Problem(409, "segments_pending", "Wait.", 0);
  };
  const sources = { describe, fetchSegment, decode };
  const contexts = [];
  Context.all.length = 0;
  const createContext = () => {
    contexts.push(new Context(device));
    return contexts.at(-1);
  };
  const track = (id, segments) => ({ id, uploadId: id, gainDb: 0, pan: 0, muted: false, offsetSeconds: 0, segments });
  const player = new LatePlayer(async () => {
    await waited(moduleLoad_ms);
    return new Player({ createContext, ...sources });
  });
  player.setTracks([track("there", ABOUT), ...(pending ? [track("pending", null)] : [])]);
  const song = { tempoBpm: 120, beatsPerBar: 4, lengthSeconds: 60 };
  const conductor = new Conductor({ player, song, rights: { mayChange: true }, memberId: "ada" });
  return { conductor, player, contexts };
}

// It has played, so that the clock is known and the sound is there.
async function playedBefore(options) {
  const { conductor, player, contexts } = stage(options);
  conductor.play();
  await pass(600);
  conductor.stop();
  conductor.locate(0);
  await pass(200);
  const [context] = contexts;
  assert.equal(context.sources.length > 0, true);
  context.sources.length = 0;
  return { conductor, player, context };
}

// Whether the place that is shown is the one that is heard: `piece` is the first one, of second `offset_s` of the song.
function isInTime(conductor, context, piece = context.pieces[0]) {
  const heard_ms = piece.offset_s * 1000 + performance.now() - context.heardAt_ms(piece);
  return Math.abs(conductor.position().seconds * 1000 - heard_ms) < NEAR_MS;
}

test("the song is heard from its first sample on, at the first press and later, whatever the device's latency", async () => {
  for (const latency_s of LATENCIES) {
    for (const prepare of [stage, playedBefore]) {
      const { conductor, contexts, context = null } = await prepare({ latency_s });
      conductor.play();
      assert.equal(conductor.isPlaying, true);
      await pass(700);
      const heard = context ?? contexts[0];
      const [first] = heard.pieces;
      assert.deepEqual([first.offset_s, first.isLate], [0, false], `${prepare.name}, ${latency_s} s`);
      assert.ok(isInTime(conductor, heard), `${prepare.name}, ${latency_s} s`);
      conductor.stop();
    }
  }
});

test("a seek is heard from its first sample on, and nothing of before with it", async () => {
  for (const latency_s of LATENCIES) {
    const { conductor, context } = await playedBefore({ latency_s });
    conductor.play();
    await pass(1_000);
    const before = new Set(context.pieces);
    conductor.locate(10);
    await pass(500);
    const [first] = context.pieces.filter((piece) => !before.has(piece));
    assert.deepEqual([first.offset_s, first.isLate], [5, false], `${latency_s} s`);
    assert.equal(context.placesAt().length, 1);
    conductor.stop();
  }
});

test("a first play waits for its sound, and the place stands meanwhile", async () => {
  for (const waits of [{ load_ms: 300 }, { moduleLoad_ms: 300 }]) {
    const { conductor, contexts } = stage(waits);
    conductor.locate(4);
    conductor.play();
    await pass(250);
    assert.deepEqual([conductor.isPlaying, conductor.position()], [true, { beat: 4, seconds: 2 }]);
    await pass(700);
    const [first] = contexts[0].pieces;
    assert.deepEqual([first.offset_s, first.isLate], [2, false]);
    assert.ok(isInTime(conductor, contexts[0]));
    conductor.stop();
  }
});

test("a seek to what is not loaded yet is silent until it is", async () => {
  const { conductor, context } = await playedBefore({ load_ms: 300 });
  conductor.play();
  await pass(1_000);
  conductor.locate(80);
  assert.equal(conductor.position().seconds, 40);
  await pass(100);
  assert.deepEqual(context.placesAt(), []);
  await pass(500);
  assert.equal(context.pieces.at(-1).isLate, false);
  assert.equal(context.placesAt().length, 1);
  conductor.stop();
});

test("nobody waits for a stem that is still being made", async () => {
  const { conductor, contexts } = stage({ pending: true });
  await pass(2_000);
  conductor.play();
  const begins = performance.now();
  await pass(500);
  assert.ok(contexts[0].heardAt_ms(contexts[0].pieces[0]) < begins + 300);
  conductor.stop();
});

test("all beats of a count-in are heard, and then the song from its first sample on", async () => {
  for (const latency_s of LATENCIES) {
    for (const prepare of [stage, playedBefore]) {
      const { conductor, contexts, context = null } = await prepare({ latency_s });
      conductor.play({ countInBars: 1 });
      assert.deepEqual([conductor.isPlaying, conductor.isCountingIn], [false, true]);
      await pass(3_000);
      assert.deepEqual([conductor.isPlaying, conductor.isCountingIn], [true, false]);
      const heard = context ?? contexts[0];
      const [first, ...rest] = heard.pieces.filter(({ begins_s }) => begins_s < heard.currentTime);
      assert.deepEqual([first.offset_s, first.isLate, rest], [0, false, []], `${prepare.name}, ${latency_s} s`);
      const before = heard.clicks.map(({ begins_s, isLate }) => [Math.round((first.begins_s - begins_s) * RATE_HZ), isLate]);
      assert.deepEqual(before, [4, 3, 2, 1].map((beats) => [(beats * RATE_HZ) / 2, false]), `${prepare.name}, ${latency_s} s`);
      assert.ok(isInTime(conductor, heard));
      conductor.stop();
    }
  }
});

// The beats of a count-in that were or will be heard, in seconds before the song, which begins with `first`.
function countedIn(context, first) {
  const heard = context.clicks.filter((click) => click.soundsAt(click.begins_s));
  return heard.map(({ begins_s }) => Number((first.begins_s - begins_s).toFixed(3))).toSorted((one, other) => other - one);
}

test("a count-in goes on when the loop, the tempo or the click changes: the song begins when and where it was to", async () => {
  const acts = {
    loop: [(conductor) => conductor.setLoop({ startBeat: 0, endBeat: 16 }), [2, 1.5, 1, 0.5]],
    tempo: [(conductor) => conductor.setTempo({ tempoBpm: 240, beatsPerBar: 4 }), [2, 1.5, 1, 0.75, 0.5, 0.25]],
    click: [(conductor) => conductor.setClick(true), [2, 1.5, 1, 0.5, 0]],
  };
  for (const [name, [act, beats]] of Object.entries(acts)) {
    const { conductor, context } = await playedBefore();
    conductor.play({ countInBars: 1 });
    await pass(900);
    const [{ begins_s }] = context.pieces;
    act(conductor);
    await pass(300);
    assert.equal(conductor.isCountingIn, true, name);
    await pass(1_000);
    assert.deepEqual([conductor.isCountingIn, conductor.isPlaying], [false, true], name);
    const [first, ...rest] = context.pieces.filter((piece) => piece.soundsAt(context.currentTime));
    assert.deepEqual([first.begins_s, first.offset_s, rest], [begins_s, 0, []], name);
    assert.deepEqual(countedIn(context, first).filter((before_s) => before_s >= 0), beats, name);
    assert.ok(isInTime(conductor, context, first), name);
    conductor.stop();
  }
});

test("a count-in goes on in time, each beat once, when the device stood still for a moment, or is another", async () => {
  for (const act of [(context) => context.stall(200), (context) => context.switchTo(0.01)]) {
    const { conductor, context } = await playedBefore({ latency_s: 0.2 });
    conductor.play({ countInBars: 2 });
    await pass(350);
    act(context);
    await pass(4_700);
    const sounding = context.sources.filter((source) => source.soundsAt(source.begins_s) && source.begins_s < context.currentTime);
    const [first, ...rest] = sounding.filter(({ isClick }) => !isClick);
    assert.deepEqual([first.offset_s, rest], [0, []], `${act}`);
    const beats = countedIn(context, first);
    assert.deepEqual(beats.slice(-4), [2, 1.5, 1, 0.5], `${act}`);
    assert.ok(beats.every((before_s, at) => at === 0 || beats[at - 1] - before_s > 0.25), `${act}: ${beats}`);
    assert.ok(isInTime(conductor, context, first), `${act}`);
    conductor.stop();
  }
});

test("whoever moves the song ends the count-in: nothing sounds, and nothing plays", async () => {
  const acts = [(conductor) => conductor.locate(16), (conductor) => conductor.locate(0), (conductor) => conductor.stop()];
  for (const act of acts) {
    const { conductor, player, context } = await playedBefore();
    conductor.play({ countInBars: 1 });
    await pass(700);
    act(conductor);
    await pass(100);
    assert.deepEqual([conductor.isCountingIn, conductor.isPlaying, player.state], [false, false, "stopped"]);
    const { currentTime } = context;
    for (let later_s = 0; later_s < 3; later_s += 0.001) assert.ok(!context.sources.some((source) => source.soundsAt(currentTime + later_s)));
    await pass(3_000);
    assert.equal(conductor.isPlaying, false);
  }
});

// What plays has been told to begin elsewhere at a bar line that is two seconds away.
async function waitingForTheBarLine() {
  const { player, context } = await playedBefore();
  player.setClick({ isOn: true, tempoBpm: 240, beatsPerBar: 4 });
  player.start({ position_s: 0 });
  await pass(1_000);
  const barLine_ms = performance.now() + 2_000;
  player.start({ position_s: 20, atPerformance_ms: barLine_ms });
  await pass(200);
  assert.equal(context.placesAt().length, 1);
  return { player, context, barLine_ms };
}

test("what waits for the bar line plays up to it, and then the other place alone", async () => {
  const { player, context } = await waitingForTheBarLine();
  await pass(1_000);
  assert.equal(context.placesAt().length, 1);
  assert.ok(context.placesAt()[0] < 3);
  await pass(1_000);
  const [place, ...rest] = context.placesAt();
  assert.deepEqual([Math.floor(place), rest], [0, []]);
  assert.ok(player.position_s > 20);
  player.stop();
});

test("stop is silence at once, also for what goes on up to a bar line", async () => {
  const { player, context } = await waitingForTheBarLine();
  player.stop();
  await pass(50);
  const { currentTime } = context;
  for (let later_s = 0; later_s < 4; later_s += 0.001) assert.ok(!context.sources.some((source) => source.soundsAt(currentTime + later_s)));
});

test("a seek before the bar line is heard alone, and a bar line that comes sooner counts", async () => {
  for (const soon of [true, false]) {
    const { player, context, barLine_ms } = await waitingForTheBarLine();
    player.start({ position_s: 42, atPerformance_ms: soon ? null : barLine_ms - 1_000 });
    await pass(soon ? 400 : 1_000);
    assert.equal(context.placesAt().length, 1, `${soon}`);
    assert.ok(player.position_s >= 42);
    const [place] = context.placesAt();
    assert.equal(Math.floor(place), 2);
    await pass(1_500);
    assert.equal(context.placesAt().length, 1);
    player.stop();
  }
});

test("a click that is switched off is silent at once, also where something goes on up to a bar line", async () => {
  const { player, context } = await waitingForTheBarLine();
  player.setClick({ isOn: false });
  await pass(50);
  const { currentTime } = context;
  for (let later_s = 0; later_s < 4; later_s += 0.001) assert.ok(!context.clicks.some((click) => click.soundsAt(currentTime + later_s)));
  assert.equal(context.placesAt().length, 1);
  player.stop();
});

test("the song follows the page's clock, but not while somebody records", async () => {
  for (const isRecording of [false, true]) {
    const { conductor, player, context } = await playedBefore({ speed: 1.0004 });
    conductor.isRecording = isRecording;
    conductor.play();
    await pass(1_000);
    const delay = () => context.delay.delayTime.at(context.currentTime);
    const place = () => player.positionAt(context.currentTime) - context.currentTime;
    const [delay_s, place_s] = [delay(), place()];
    await pass(20_000, 10);
    const moved = [Math.abs(delay() - delay_s) > 0.002, Math.abs(place() - place_s) > 0.002];
    assert.deepEqual(moved, [!isRecording, !isRecording]);
    conductor.isRecording = false;
    await pass(2_000);
    assert.notEqual(delay(), delay_s);
    conductor.stop();
  }
});

test("a start that waits for its sound goes on with another device", async () => {
  const { conductor, contexts } = stage({ load_ms: 300 });
  conductor.play();
  await pass(100);
  contexts[0].lose();
  await pass(900);
  const [first] = contexts[1].pieces;
  assert.deepEqual([contexts[0].pieces, first.offset_s, first.isLate], [[], 0, false]);
  assert.equal(conductor.position().seconds > 0.2, true);
  conductor.stop();
  await settled();
});

test("sound that is missing is waited for until it is there, whenever somebody looks", async () => {
  let isThere = false;
  const fetchSegment = async () => {
    if (!isThere) throw new Problem(503, "busy", "Wait.", 0);
    return null;
  };
  const { conductor, player, contexts } = stage({ fetchSegment });
  const states = [];
  conductor.play();
  await pass(10);
  player.addEventListener("state", ({ detail }) => states.push(detail.state));
  await pass(1_000);
  for (let passed_ms = 0; passed_ms < 1_000; passed_ms += 1) {
    assert.deepEqual([player.lateTrackIds, player.state], [["there"], "waiting"], `${passed_ms}`);
    await pass(1);
  }
  isThere = true;
  await pass(8_000, 5);
  assert.ok(contexts[0].pieces.length > 0);
  assert.deepEqual([player.lateTrackIds, player.state, states], [[], "playing", ["waiting", "playing"]]);
  conductor.stop();
});
