// What recording computes, each case a sentence. Prints, by sentence, null or what is wrong. The first argument is where
// the page's modules are.

import assert from "node:assert/strict";

const from = process.argv[2];
const { agreed, findDelay, KnownLatencies, LONGEST_S, sweep } = await import(`${from}/sound/latency.js`);
const { framesIn, PIECE_S, placeOfTake, Take } = await import(`${from}/sound/take.js`);
const { HEADER_BYTES, wavHeader, writeFrames } = await import(`${from}/sound/wav.js`);
const { boundsOf, MOST_PASSES, Passes } = await import(`${from}/sound/passes.js`);
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
  return Array.from({ length: Math.floor(bytes.length / 3) }, (_, at) => (view.getInt8(3 * at + 2) * 65_536 + view.getUint16(3 * at, true)) / 2 ** 23);
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
  // A byte more, to be even, is none of the sound.
  const odd = new DataView(wavHeader({ channels: 1, sampleRate: RATE }, 298).buffer);
  assert.deepEqual([odd.getUint32(4, true), odd.getUint32(40, true)], [HEADER_BYTES - 8 + 298, 297]);
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
  assert.equal(joined(take.takeLast()).length, 298);
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
  known.set("d23", { measured_s: 23, output_s: 0.2 });
  assert.deepEqual(known.get("d24"), { measured_s: 24, output_s: null, nudge_s: 0.01 });
  assert.deepEqual(known.get("d23"), { measured_s: 23, output_s: 0.2, nudge_s: 0 });
  assert.deepEqual(known.get("d5"), { measured_s: 5, output_s: null, nudge_s: 0 });
  assert.deepEqual(known.get("d4"), { measured_s: null, output_s: null, nudge_s: 0 });
  kept.set("omnisonic.latency", "no JSON");
  assert.deepEqual(known.get("d5"), { measured_s: null, output_s: null, nudge_s: 0 });
};

// Samples that say which frame of the context they are.
function numbered(frame, frames) {
  return Float32Array.from({ length: frames }, (_, at) => (frame + at) / 2 ** 23);
}

// Which frames of the context are in this take: the first, how many, and whether all others follow it.
function framesOfTake(take) {
  const numbers = samplesOf(joined([...take.takePieces(), ...take.takeLast()])).map((sample) => sample * 2 ** 23);
  return [numbers[0], numbers.length, numbers.every((number, at) => number === numbers[0] + at)];
}

// A song that plays: its place is `ahead_s` before the context's time.
class Stage {
  isPlaying = false;
  tempoBpm = 120;
  loop = { startBeat: 0, endBeat: 4 };
  ahead_s = null;
  context = { sampleRate: RATE, currentTime: 1 };
  from_s = 8;
  position = () => ({ seconds: this.from_s });
  setLoop = (loop) => (this.loop = loop);
  stop = () => ([this.isPlaying, this.ahead_s] = [false, null]);

  // As the player has it: at the end of the loop it goes back.
  positionAt(time_s) {
    if (this.ahead_s === null) return null;
    const position_s = time_s + this.ahead_s;
    const loop = this.from_s < (boundsOf(this.loop, this.tempoBpm)?.end_s ?? 0) ? boundsOf(this.loop, this.tempoBpm) : null;
    if (loop === null || position_s < loop.end_s) return position_s;
    return loop.begin_s + ((position_s - loop.end_s) % (loop.end_s - loop.begin_s));
  }

  // Half a second ahead, and a bar of two seconds before that.
  play({ countInBars }) {
    this.isPlaying = true;
    this.ahead_s = this.from_s - (1.5 + 2 * countInBars);
  }

  overdub(limits = {}) {
    return new Overdub({ conductor: this, player: this, context: this.context, roundTrip_s: 0.02, channels: 1, longest_s: 60, ...limits });
  }

  // The microphone's blocks until that second.
  hear(overdub, until_s) {
    let where = "";
    for (let frame = Math.round(this.context.currentTime * RATE); frame < until_s * RATE; frame += BLOCK) {
      this.context.currentTime = frame / RATE;
      where = overdub.add({ frame, samples: [numbered(frame, BLOCK)] });
      if (where === "over") break;
    }
    return where;
  }
}

cases["a bar is counted in, and the take begins after it, late by the round trip"] = async () => {
  const stage = new Stage();
  const overdub = stage.overdub();
  await overdub.begin(true);
  assert.deepEqual([overdub.startsAt_s, stage.loop, stage.isPlaying], [8, { startBeat: 0, endBeat: 4 }, true]);
  assert.equal(overdub.isLooping, false);
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
  assert.deepEqual([overdub.endedBy, stage.isPlaying], ["moved", true]);
};

cases["a song that somebody stops ends the take, also before it is placed"] = async () => {
  for (const until_s of [2, 3]) {
    const stage = new Stage();
    const overdub = stage.overdub();
    await overdub.begin(false);
    stage.hear(overdub, until_s);
    stage.stop();
    assert.equal(stage.hear(overdub, 9), "over");
    assert.equal(overdub.endedBy, "");
    assert.ok(Math.abs(overdub.take.seconds - (until_s - 1.5)) < 0.2);
  }
};

cases["a song that is not heard for long ends the take, though it is said to play; one that comes back does not"] = async () => {
  for (const [silent_s, endedBy] of [[5, ""], [9, "moved"]]) {
    const stage = new Stage();
    const overdub = stage.overdub();
    await overdub.begin(false);
    stage.hear(overdub, 4);
    const { ahead_s } = stage;
    for (const ends_s of [4 + silent_s, 4 + 2 * silent_s]) {
      stage.ahead_s = null;
      const where = stage.hear(overdub, ends_s);
      stage.ahead_s = ahead_s;
      if (where !== "over") stage.hear(overdub, ends_s + 0.1);
    }
    assert.deepEqual([overdub.endedBy, overdub.isStopping, stage.isPlaying], [endedBy, endedBy !== "", true]);
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

// --- in a loop -----------------------------------------------------------------------------------------------------------

cases["passes follow one another from where one starts, before the loop or in it"] = () => {
  const bounds = boundsOf({ startBeat: 16, endBeat: 24 }, 120);
  assert.deepEqual(bounds, { begin_s: 8, end_s: 12 });
  const told = (from_s) => {
    const passes = new Passes(bounds, from_s, RATE);
    return [0, 1, 2].map((number) => [passes.beginsAt(number), passes.placeOf(number), passes.framesOf(number) / RATE]);
  };
  assert.deepEqual(told(8), [[8, 8, 4], [12, 8, 4], [16, 8, 4]]);
  assert.deepEqual(told(5), [[5, 5, 7], [12, 8, 4], [16, 8, 4]]);
  assert.deepEqual(told(9.5), [[9.5, 9.5, 2.5], [12, 8, 4], [16, 8, 4]]);
  // A part that is shorter than two seconds is no take: it begins with the next pass. A whole loop may be shorter.
  assert.equal(new Passes({ begin_s: 2, end_s: 3 }, 2.0000004, RATE).beginsAt(0), 2.0000004);
  assert.deepEqual(told(10.5), [[12, 8, 4], [16, 8, 4], [20, 8, 4]]);
};

cases["the bounds of a loop are frames, as those that the player goes back at"] = () => {
  const { begin_s, end_s } = boundsOf({ startBeat: 4, endBeat: 8 }, 97);
  assert.equal(begin_s, Math.floor(((4 * 60) / 97) * RATE + 0.5) / RATE);
  assert.equal(end_s, Math.floor(((8 * 60) / 97) * RATE + 0.5) / RATE);
  assert.equal(boundsOf(null, 97), null);
};

cases["a place of the song is unrolled to the pass that is expected"] = () => {
  const passes = new Passes({ begin_s: 8, end_s: 12 }, 6, RATE);
  assert.deepEqual([6.5, 11, 8.25, 8.25, 11.9, 30].map((place, at) => passes.unrolled(place, [6.5, 11, 8.2, 12.3, 15.8, 30][at])), [6.5, 11, 8.25, 12.25, 15.9, 30]);
};

cases["each pass of a loop is a take of as many frames as the loop has, without a gap, whatever tempo"] = async () => {
  for (const tempoBpm of [120, 97, 133.7]) {
    const stage = new Stage();
    [stage.tempoBpm, stage.loop] = [tempoBpm, { startBeat: 4, endBeat: 8 }];
    const { begin_s, end_s } = boundsOf(stage.loop, tempoBpm);
    const frames = Math.round((end_s - begin_s) * RATE);
    stage.from_s = begin_s;
    const overdub = stage.overdub();
    await overdub.begin(true);
    assert.equal(overdub.isLooping, true);
    assert.equal(stage.hear(overdub, 3.5 + 3.5 * (end_s - begin_s)), "recording");
    const takes = overdub.takePasses();
    assert.deepEqual(takes.map(({ pass }) => pass), [0, 1, 2]);
    assert.deepEqual(new Set(takes.map(({ startsAt_s }) => Math.round(startsAt_s * RATE))), new Set([Math.round(begin_s * RATE)]));
    const first = Math.round((1.5 + 2 + 0.02) * RATE);
    takes.forEach(({ take }, at) => {
      const [begins, length, isWhole] = framesOfTake(take);
      assert.ok(Math.abs(begins - (first + at * frames)) <= 1, `${tempoBpm}: ${begins}`);
      assert.deepEqual([length, isWhole], [frames, true]);
    });
  }
};

cases["who starts before the loop has a longer first take, and who starts near its end begins with the next pass"] = async () => {
  for (const [from_s, begins_s, places] of [[0.5, 0.5, [0.5, 2, 2]], [3, 4, [2, 2, 2]]]) {
    const stage = new Stage();
    [stage.loop, stage.from_s] = [{ startBeat: 4, endBeat: 8 }, from_s];
    const overdub = stage.overdub();
    await overdub.begin(false);
    stage.hear(overdub, 14);
    const takes = overdub.takePasses().slice(0, 3);
    assert.deepEqual(takes.map(({ startsAt_s }) => startsAt_s), places);
    const [begins, frames] = framesOfTake(takes[0].take);
    assert.equal(begins, Math.round((1.5 + (begins_s - from_s) + 0.02) * RATE));
    assert.equal(frames, (from_s < 2 ? 4 - from_s : 2) * RATE);
  }
};

cases["clocks that drift apart do not add up: each pass begins where the song does, and is as long as the loop"] = async () => {
  for (const drift of [7, -7]) {
    const stage = new Stage();
    [stage.loop, stage.from_s] = [{ startBeat: 4, endBeat: 8 }, 2];
    const overdub = stage.overdub();
    await overdub.begin(false);
    stage.hear(overdub, 3.6);
    for (let second = 4; second < 16; second += 1) {
      stage.ahead_s += drift / RATE;
      stage.hear(overdub, second);
    }
    assert.equal(overdub.endedBy, "");
    const takes = overdub.takePasses();
    const begins = takes.map(({ take }) => framesOfTake(take));
    assert.ok(begins.length >= 5);
    begins.forEach(([first, frames, isWhole], at) => {
      assert.deepEqual([frames, isWhole], [2 * RATE, true]);
      if (at < 2) return;
      // Two seconds of drift; once it is seen a second later.
      const apart = first - begins[at - 1][0] - 2 * RATE;
      assert.ok(Math.abs(apart + 2 * drift) <= 7, `${apart}`);
    });
  }
};

cases["what is left of the last pass is a take when it is two seconds long, and the first one always"] = async () => {
  for (const [until_s, pass, isTake] of [[2, 0, true], [3.9, 0, true], [6.6, 1, false], [7.9, 1, true]]) {
    const stage = new Stage();
    [stage.loop, stage.from_s] = [{ startBeat: 0, endBeat: 8 }, 0];
    const overdub = stage.overdub();
    await overdub.begin(false);
    stage.hear(overdub, until_s);
    overdub.stop();
    assert.equal(stage.hear(overdub, 20), "over");
    assert.deepEqual([overdub.pass, overdub.isTake, stage.isPlaying], [pass, isTake, false], `${until_s}`);
    assert.equal(overdub.takePasses().length, pass);
  }
};

cases["a loop that is changed or switched off ends the recording, and the song goes on"] = async () => {
  for (const [loop, tempoBpm] of [[null, 120], [{ startBeat: 0, endBeat: 4 }, 120], [{ startBeat: 0, endBeat: 8 }, 90]]) {
    const stage = new Stage();
    [stage.loop, stage.from_s] = [{ startBeat: 0, endBeat: 8 }, 0];
    const overdub = stage.overdub();
    await overdub.begin(false);
    stage.hear(overdub, 5);
    [stage.loop, stage.tempoBpm] = [loop, tempoBpm];
    assert.equal(stage.hear(overdub, 20), "over");
    assert.deepEqual([overdub.endedBy, stage.isPlaying, overdub.isTake], ["loop", true, true]);
    assert.ok(overdub.take.seconds > 3.4 && overdub.take.seconds < 3.7);
  }
};

cases["a recording in a loop ends after its most passes, or when the browser has no more room"] = async () => {
  for (const [limits, passes, seconds] of [[{ whole_s: 3600 }, MOST_PASSES - 1, 2], [{ whole_s: 11 }, 5, 1], [{ whole_s: 4 }, 2, 0]]) {
    const stage = new Stage();
    [stage.loop, stage.from_s] = [{ startBeat: 0, endBeat: 4 }, 0];
    const overdub = stage.overdub(limits);
    await overdub.begin(false);
    assert.equal(stage.hear(overdub, 500), "over");
    assert.deepEqual([overdub.endedBy, overdub.pass, overdub.take.seconds, overdub.isTake], ["full", passes, seconds, seconds === 2]);
    assert.equal(overdub.takePasses().length, passes);
  }
};

cases["a loop that is shorter than a second is switched off"] = async () => {
  const stage = new Stage();
  [stage.loop, stage.from_s] = [{ startBeat: 16, endBeat: 17 }, 8];
  const overdub = stage.overdub();
  await overdub.begin(false);
  assert.deepEqual([stage.loop, overdub.isLooping], [null, false]);
};

cases["others who record have a clip that grows until they stop, and nonsense has none"] = () => {
  const told = [];
  const timeline = {
    growingClip: ({ name }) => ({ push: (peaks, seconds) => told.push([name, peaks, seconds]), finish: () => told.push("end") }),
  };
  const recordings = new Recordings({ memberId: "me", timeline, nameOf: () => "Ana", tell: (words) => told.push(words) });
  const value = { id: "a", trackId: null, name: "Bass", atSeconds: 8, seconds: 1, peaks: [51] };
  recordings.heard("recording.me", value, "me");
  for (const odd of [null, 7, { ...value, peaks: "x" }, { ...value, seconds: -1 }, { ...value, peaks: Array(1001).fill(0) }]) {
    recordings.heard("recording.ana", odd, "ana");
  }
  recordings.heard("recording.ana", value, "bo");
  assert.deepEqual(told, []);
  recordings.heard("recording.ana", value, "ana");
  recordings.heard("recording.ana", { ...value, seconds: 2 }, "ana");
  recordings.heard("recording.ana", null, "ana");
  assert.deepEqual(told, ["Ana is recording.", ["Bass", [0.2], 1], ["Bass", [0.2], 2], "end"]);
};

cases["of others who record in a loop the present pass is shown, and it is said once that they record"] = () => {
  const told = [];
  const timeline = {
    growingClip: ({ name }) => ({ push: (_, seconds) => told.push([name, seconds]), finish: () => told.push("end") }),
  };
  const recordings = new Recordings({ memberId: "me", timeline, nameOf: () => "Ana", tell: (words) => told.push(words) });
  const value = { id: "a", trackId: null, name: "Bass", atSeconds: 8, seconds: 2, peaks: [51] };
  recordings.heard("recording.ana", value, "ana");
  recordings.heard("recording.ana", { ...value, id: "b", name: "Bass take 2", seconds: 0.5 }, "ana");
  recordings.heard("recording.ana", null, "ana");
  assert.deepEqual(told, ["Ana is recording.", ["Bass", 2], "end", ["Bass take 2", 0.5], "end"]);
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
