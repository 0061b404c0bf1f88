// What recording computes, each case a sentence. Prints, by sentence, null or what is wrong. The first argument is where
// the page's modules are.

import assert from "node:assert/strict";

const from = process.argv[2];
const { agreed, findDelay, KnownLatencies, LONGEST_S, sweep } = await import(`${from}/sound/latency.js`);
const { framesIn, PIECE_S, placeOfTake, Take } = await import(`${from}/sound/take.js`);
const { HEADER_BYTES, wavHeader, writeFrames } = await import(`${from}/sound/wav.js`);
const { Overdub } = await import(`${from}/sound/overdub.js`);
const { Recordings } = await import(`${from}/room/recordings.js`);

const RATE = 48_000;
const BLOCK = 2_400;
const cases = {};

// Numbers by chance, always the same ones.
function chance(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function ramp(frames, begin = 0) {
  return Float32Array.from({ length: frames }, (_, at) => ((begin + at) % 1000) / 1000);
}

// The samples of a WAV's bytes, as they were before.
function samplesOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 3 }, (_, at) => (view.getInt8(3 * at + 2) * 65_536 + view.getUint16(3 * at, true)) / 2 ** 23);
}

function joined(pieces) {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

cases["a header says what follows, or that nobody knows how long it is"] = () => {
  const view = new DataView(wavHeader({ channels: 2, sampleRate: RATE }, 600).buffer);
  assert.equal(view.byteLength, HEADER_BYTES);
  assert.deepEqual([view.getUint32(4, true), view.getUint32(40, true)], [HEADER_BYTES - 8 + 600, 600]);
  assert.deepEqual([view.getUint16(20, true), view.getUint16(22, true), view.getUint32(24, true)], [1, 2, RATE]);
  assert.deepEqual([view.getUint32(28, true), view.getUint16(32, true), view.getUint16(34, true)], [RATE * 6, 6, 24]);
  const open = new DataView(wavHeader({ channels: 1, sampleRate: RATE }).buffer);
  assert.deepEqual([open.getUint32(4, true), open.getUint32(40, true)], [0xffffffff, 0xffffffff]);
};

cases["samples are kept to 24 bits, and cut off at full scale"] = () => {
  const bytes = new Uint8Array(21);
  const samples = Float32Array.from([0, 0.5, -0.5, 1, -1, 7, NaN]);
  assert.equal(writeFrames(bytes, 0, [samples], 0, 7), 21);
  const most = (2 ** 23 - 1) / 2 ** 23;
  assert.deepEqual(samplesOf(bytes), [0, 0.5, -0.5, most, -1, most, 0]);
};

cases["a take begins with its first frame, whatever blocks it comes in"] = () => {
  for (const step of [1, 777, BLOCK, 5 * RATE]) {
    const take = new Take({ channels: 1, sampleRate: RATE, firstFrame: 1000 });
    for (let at = 0; at < 5 * RATE; at += step) take.add(at, [ramp(Math.min(step, 5 * RATE - at), at)]);
    assert.equal(take.frames, 5 * RATE - 1000);
    const pieces = take.takePieces();
    assert.deepEqual(pieces.map(({ length }) => length / 3 / RATE), [PIECE_S, PIECE_S]);
    const sound = samplesOf(joined([...pieces, ...take.takeLast()]));
    assert.equal(sound.length, take.frames);
    const wrong = sound.findIndex((sample, at) => Math.abs(sample - ((1000 + at) % 1000) / 1000) > 1e-6);
    assert.equal(wrong, -1);
  }
};

cases["what is missing is silence, so that the rest stays in time"] = () => {
  const take = new Take({ channels: 2, sampleRate: RATE, firstFrame: 100 });
  const loud = [new Float32Array(10).fill(0.5), new Float32Array(10).fill(-0.5)];
  take.add(100, loud);
  take.add(130, loud);
  const sound = samplesOf(joined(take.takeLast()));
  assert.equal(sound.length, 2 * 40);
  assert.deepEqual([sound[18], sound[19], sound[20], sound[59], sound[60], sound[61]], [0.5, -0.5, 0, 0, 0.5, -0.5]);
};

cases["a take ends where no more fits, and its bytes are even"] = () => {
  const take = new Take({ channels: 1, sampleRate: RATE, firstFrame: 0, longestFrames: framesIn(3 * 99 + 2, 1) });
  take.add(0, [ramp(BLOCK)]);
  assert.ok(take.isFull);
  assert.equal(take.frames, 99);
  assert.equal(joined(take.takeLast()).length, 300);
};

cases["the waveform of an hour has as many peaks as that of ten seconds"] = () => {
  const take = new Take({ channels: 1, sampleRate: 100, firstFrame: 0 });
  for (let second = 0; second < 3600; second += 1) {
    take.add(second * 100, [new Float32Array(100).fill(second === 1800 ? 1 : 0.1)]);
    take.takePieces();
    assert.ok(take.peaks.length <= 240);
  }
  assert.equal(Math.max(...take.peaks), 255);
  assert.equal(Math.abs(take.peaks.indexOf(255) / take.peaks.length - 0.5) < 0.02, true);
};

cases["a take is placed where it was heard, less the way there and back"] = () => {
  // The graph plays second 4 of the song at second 10 of the context; it is recorded from second 6 on.
  const first = placeOfTake({ time_s: 10, position_s: 4, startsAt_s: 6, roundTrip_s: 0.05, sampleRate: RATE });
  assert.equal(first, 12.05 * RATE);
};

cases["the round trip is found in noise, before its echo, and whichever way the cable is wired"] = () => {
  const played = sweep(RATE);
  const random = chance(7);
  for (const [delay, sign] of [[0, 1], [481, -1], [9_600, 1], [27_000, -1]]) {
    const heard = Float32Array.from({ length: LONGEST_S * RATE }, () => 0.02 * (random() - 0.5));
    played.forEach((sample, at) => {
      heard[delay + at] += sign * 0.2 * sample;
      if (delay + at + 900 < heard.length) heard[delay + at + 900] += 0.12 * sample;
    });
    assert.ok(Math.abs(findDelay(heard, played) - delay) <= 1, `${delay}`);
  }
  const noise = Float32Array.from({ length: LONGEST_S * RATE }, () => random() - 0.5);
  assert.equal(findDelay(noise, played), null);
  assert.equal(findDelay(new Float32Array(RATE), played), null);
};

cases["several measurements are believed when they agree"] = () => {
  assert.equal(agreed([0.02, 0.0201, 0.3, null, 0.0199]), 0.02);
  assert.equal(agreed([0.02, 0.05, null, 0.3, null]), null);
  assert.equal(agreed([null, null, null]), null);
};

cases["what is known of twenty devices is kept"] = () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const known = new KnownLatencies(storage);
  for (let device = 0; device < 25; device += 1) known.set(`d${device}`, { measured_s: device });
  known.set("d24", { nudge_s: 0.01 });
  assert.deepEqual(known.get("d24"), { measured_s: 24, nudge_s: 0.01 });
  assert.deepEqual(known.get("d5"), { measured_s: 5, nudge_s: 0 });
  assert.deepEqual(known.get("d4"), { measured_s: null, nudge_s: 0 });
  kept.set("omnisonic.latency", "no JSON");
  assert.deepEqual(known.get("d5"), { measured_s: null, nudge_s: 0 });
};

// A song that plays: its place is `ahead_s` before the context's time.
class Stage {
  isPlaying = false;
  loop = { startBeat: 0, endBeat: 4 };
  ahead_s = null;
  context = { sampleRate: RATE, currentTime: 1 };
  position = () => ({ seconds: 8 });
  setLoop = (loop) => (this.loop = loop);
  stop = () => ([this.isPlaying, this.ahead_s] = [false, null]);
  positionAt = (time_s) => (this.ahead_s === null ? null : time_s + this.ahead_s);

  // Half a second ahead, and a bar of two seconds before that.
  play({ countInBars }) {
    this.isPlaying = true;
    this.ahead_s = 8 - (1.5 + 2 * countInBars);
  }

  overdub() {
    return new Overdub({ conductor: this, player: this, context: this.context, roundTrip_s: 0.02, channels: 1, longest_s: 60 });
  }

  // The microphone's blocks until that second.
  hear(overdub, until_s) {
    let where = "";
    for (let frame = this.context.currentTime * RATE; frame < until_s * RATE; frame += BLOCK) {
      this.context.currentTime = frame / RATE;
      where = overdub.add({ frame, samples: [new Float32Array(BLOCK)] });
      if (where === "over") break;
    }
    return where;
  }
}

cases["a bar is counted in, and the take begins after it, late by the round trip"] = async () => {
  const stage = new Stage();
  const overdub = stage.overdub();
  await overdub.begin(true);
  assert.deepEqual([overdub.startsAt_s, stage.loop, stage.isPlaying], [8, null, true]);
  assert.equal(stage.hear(overdub, 3.5), "waiting");
  assert.equal(stage.hear(overdub, 5), "recording");
  overdub.stop();
  assert.equal(stage.isPlaying, false);
  assert.equal(stage.hear(overdub, 9), "over");
  assert.ok(overdub.take.nextFrame - overdub.take.frames === 3.52 * RATE);
  assert.ok(overdub.take.seconds > 1.4 && overdub.take.seconds < 1.6);
};

cases["who records while it plays begins there"] = async () => {
  const stage = new Stage();
  stage.play({ countInBars: 0 });
  const overdub = stage.overdub();
  await overdub.begin(true);
  assert.equal(overdub.startsAt_s, stage.positionAt(1));
  assert.equal(stage.hear(overdub, 1.2), "recording");
};

cases["a song that shifts at its start takes the take along; one that is moved ends it, and is not stopped"] = async () => {
  const stage = new Stage();
  const overdub = stage.overdub();
  await overdub.begin(false);
  stage.ahead_s -= 1;
  assert.equal(stage.hear(overdub, 2.4), "waiting");
  assert.equal(stage.hear(overdub, 3), "recording");
  stage.ahead_s += 0.03;
  assert.equal(stage.hear(overdub, 4), "recording");
  assert.ok(Math.abs(overdub.take.nextFrame - overdub.take.frames - 2.49 * RATE) <= 1);
  stage.ahead_s += 4;
  assert.equal(stage.hear(overdub, 9), "over");
  assert.deepEqual([overdub.wasMoved, stage.isPlaying], [true, true]);
};

cases["a song that somebody stops ends the take, also before it is placed"] = async () => {
  for (const until_s of [2, 3]) {
    const stage = new Stage();
    const overdub = stage.overdub();
    await overdub.begin(false);
    stage.hear(overdub, until_s);
    stage.stop();
    assert.equal(stage.hear(overdub, 9), "over");
    assert.equal(overdub.wasMoved, false);
    assert.ok(Math.abs(overdub.take.seconds - (until_s - 1.5)) < 0.2);
  }
};

cases["a microphone that goes leaves what is there"] = async () => {
  const stage = new Stage();
  const overdub = stage.overdub();
  await overdub.begin(false);
  stage.hear(overdub, 2);
  overdub.cutOff();
  assert.ok(overdub.take.seconds > 0.4 && overdub.take.seconds < 0.5);
};

cases["others who record have a clip that grows until they stop, and nonsense has none"] = () => {
  const told = [];
  const timeline = {
    growingClip: ({ name }) => ({ push: (peaks, seconds) => told.push([name, peaks, seconds]), finish: () => told.push("end") }),
  };
  const recordings = new Recordings({ memberId: "me", timeline, nameOf: () => "Ana", tell: (words) => told.push(words) });
  const value = { id: "a", trackId: null, name: "Bass", atSeconds: 8, seconds: 1, peaks: [51] };
  recordings.heard("recording.me", value);
  for (const odd of [null, 7, { ...value, peaks: "x" }, { ...value, seconds: -1 }, { ...value, peaks: Array(1001).fill(0) }]) {
    recordings.heard("recording.ana", odd);
  }
  assert.deepEqual(told, []);
  recordings.heard("recording.ana", value);
  recordings.heard("recording.ana", { ...value, seconds: 2 });
  recordings.heard("recording.ana", null);
  assert.deepEqual(told, ["Ana is recording.", ["Bass", [0.2], 1], ["Bass", [0.2], 2], "end"]);
};

const found = {};
for (const [sentence, check] of Object.entries(cases)) {
  try {
    await check();
    found[sentence] = null;
  } catch (error) {
    found[sentence] = error.stack;
  }
}
console.log(JSON.stringify(found));
