// What the sound engine computes without a browser. Prints a JSON object: each case, and null or what is wrong with it.

import assert from "node:assert/strict";

const [sound] = process.argv.slice(2);
const { Alignment, Timekeeper } = await import(`${sound}/clock.js`);
const { PeakHold, decibels, panGains } = await import(`${sound}/mixer.js`);
const { SegmentStore } = await import(`${sound}/segments.js`);
const { clicksOf, clipOf, countInOf, fadesOf, framesOf, piecesOf, Run, segmentsFor } = await import(`${sound}/schedule.js`);
const { Problem } = await import(`${sound}/../controls/api.js`);

const SECOND = 48_000;
const SEGMENT = 480_000;
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
const dice = (seed) => () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;

const cases = {
  "seconds become frames as in the mixdown": () => {
    assert.deepEqual([0, 0.5 / SECOND, 1.49 / SECOND, 10].map(framesOf), [0, 1, 1, SEGMENT]);
  },

  "a run goes on, and before it begins it is before its place": () => {
    const run = new Run({ atFrame: 100, positionFrame: 1000 });
    assert.deepEqual([0, 100, 150].map((at) => run.positionAt(at)), [900, 1000, 1050]);
    assert.deepEqual(run.stretches(0, 300), [{ atFrame: 100, positionFrame: 1000, frames: 200 }]);
  },

  "a loop goes back at its end, to the frame": () => {
    const loop = { beginFrame: 10_000, endFrame: 20_000 };
    const run = new Run({ atFrame: 0, positionFrame: 15_000, loop });
    assert.deepEqual(run.stretches(0, 18_000), [
      { atFrame: 0, positionFrame: 15_000, frames: 5_000 },
      { atFrame: 5_000, positionFrame: 10_000, frames: 10_000 },
      { atFrame: 15_000, positionFrame: 10_000, frames: 3_000 },
    ]);
    assert.equal(new Run({ atFrame: 0, positionFrame: 20_000, loop }).positionAt(50_000), 70_000);
    const tiny = { beginFrame: 0, endFrame: 1 };
    assert.equal(new Run({ atFrame: 0, positionFrame: 0, loop: tiny }).positionAt(50), 50);
  },

  "stretches of a run have no gap and no overlap, wherever they are cut": () => {
    const random = dice(7);
    const run = new Run({ atFrame: 77, positionFrame: 5_000, loop: { beginFrame: 3_000, endFrame: 9_000 } });
    let from = 0;
    let next = 77;
    while (from < 100_000) {
      const to = from + Math.floor(random() * 7_000);
      for (const stretch of run.stretches(from, to)) {
        assert.equal(stretch.atFrame, next);
        assert.equal(run.positionAt(stretch.atFrame), stretch.positionFrame);
        next += stretch.frames;
      }
      from = to;
    }
  },

  "trims cut a clip and do not move its sound": () => {
    const clip = clipOf({ offsetSeconds: 2, trimStartSeconds: 1, trimEndSeconds: 3, fadeInSeconds: 100 }, 10 * SECOND);
    assert.deepEqual(clip, {
      beginFrame: 3 * SECOND,
      sourceFrame: SECOND,
      frames: 6 * SECOND,
      fadeInFrames: 6 * SECOND,
      fadeOutFrames: 0,
    });
    assert.equal(clipOf({ offsetSeconds: 0, trimStartSeconds: 6, trimEndSeconds: 6 }, 10 * SECOND).frames, 0);
  },

  "pieces are the clip, sample for sample, whatever stretches it is played in": () => {
    const random = dice(3);
    for (let round = 0; round < 50; round += 1) {
      const soundFrames = Math.floor(random() * 3 * SEGMENT) + 1;
      const seconds = soundFrames / SECOND;
      const track = { offsetSeconds: random() * 9, trimStartSeconds: random() * seconds, trimEndSeconds: random() * seconds };
      const clip = clipOf(track, soundFrames);
      let next = clip.beginFrame;
      let position = 0;
      while (position < clip.beginFrame + clip.frames + SECOND) {
        const frames = Math.floor(random() * SEGMENT);
        for (const piece of piecesOf(clip, { atFrame: position + 5, positionFrame: position, frames })) {
          assert.equal(piece.atFrame - 5, next);
          assert.equal(piece.segment * SEGMENT + piece.offsetFrame, next - framesOf(track.offsetSeconds));
          assert.ok(piece.frames > 0 && piece.offsetFrame + piece.frames <= SEGMENT);
          next += piece.frames;
        }
        position += frames;
      }
      assert.equal(next, clip.beginFrame + clip.frames);
    }
  },

  "a fade is a line through all pieces that it touches": () => {
    const clip = { beginFrame: 0, sourceFrame: 0, frames: 1000, fadeInFrames: 400, fadeOutFrames: 200 };
    assert.deepEqual(fadesOf(clip, 0, 500), [{ beginFrame: 0, endFrame: 400, from: 0, to: 1 }]);
    assert.deepEqual(fadesOf(clip, 300, 300), [{ beginFrame: -300, endFrame: 100, from: 0, to: 1 }]);
    assert.deepEqual(fadesOf(clip, 400, 400), []);
    assert.deepEqual(fadesOf(clip, 700, 300), [{ beginFrame: 100, endFrame: 300, from: 1, to: 0 }]);
    assert.equal(fadesOf({ ...clip, fadeInFrames: 900 }, 0, 1000).length, 2);
  },

  "clicks are on the beats, the first of a bar is another, and each is there once": () => {
    const click = { tempoBpm: 130, beatsPerBar: 3, countInBars: 1 };
    const beats = [];
    for (let position = 0; position < 10 * SECOND; position += 1_001) {
      beats.push(...clicksOf(click, { atFrame: position, positionFrame: position, frames: 1_001 }));
    }
    assert.ok(beats.length >= 22);
    for (const [beat, { atFrame, isAccent }] of beats.entries()) {
      assert.equal(atFrame, framesOf((beat * 60) / 130));
      assert.equal(isAccent, beat % 3 === 0);
    }
    const counted = countInOf({ ...click, tempoBpm: 120 }, 100_000);
    assert.deepEqual(counted.map(({ atFrame }) => atFrame), [28_000, 52_000, 76_000]);
    assert.deepEqual(counted.map(({ isAccent }) => isAccent), [true, false, false]);
  },

  "what is needed first is asked for first, and what is muted last": () => {
    const clip = (beginFrame) => ({ beginFrame, sourceFrame: 0, frames: 2 * SEGMENT, fadeInFrames: 0, fadeOutFrames: 0 });
    const players = [
      { uploadId: "muted", clip: clip(0), isHeard: false },
      { uploadId: "later", clip: clip(3 * SECOND), isHeard: true },
      { uploadId: "now", clip: clip(0), isHeard: true },
    ];
    const stretches = new Run({ atFrame: 0, positionFrame: SECOND }).stretches(0, 12 * SECOND);
    const found = segmentsFor(players, stretches, 6 * SECOND).map(({ uploadId, segment }) => `${uploadId} ${segment}`);
    assert.deepEqual(found, ["now 0", "later 0", "muted 0", "now 1", "muted 1"]);
  },

  "gain and pan follow the mixdown's law": () => {
    const near = (found, wanted) => found.forEach((gain, side) => assert.ok(Math.abs(gain - wanted[side]) < 1e-12));
    near(panGains(1, 0, 0), [0.5 ** 0.5, 0.5 ** 0.5]);
    near(panGains(2, 0, 0), [1, 1]);
    near(panGains(2, 20, -7), [10 * 2 ** 0.5, 0]);
  },

  "a meter holds its peak for a moment": () => {
    const meter = new PeakHold();
    assert.deepEqual(meter.read(1, 0), { peak: 0, hold: 0 });
    assert.deepEqual(meter.read(0, 1_000), { peak: -Infinity, hold: 0 });
    assert.equal(meter.read(0.1, 1_600).hold, decibels(0.1));
  },

  "the clock is the median of what is told, and follows the drift": () => {
    const random = dice(11);
    const alignment = new Alignment();
    // 100 millionths too quick, and every fourth answer is wrong by up to 20 ms.
    for (let ms = 0; ms < 180_000; ms += 250) {
      const wrong_ms = random() < 0.25 ? random() * 20 : random();
      alignment.add(ms + 1_000 + wrong_ms, (ms * 1.0001) / 1000);
      if (ms > 60_000) assert.ok(Math.abs(alignment.offsetAt(ms) - (1_000.6 - ms * 0.0001)) < 1.5, `at ${ms}`);
    }
  },

  "after an interruption the clock learns anew, one odd answer does not matter": () => {
    const alignment = new Alignment();
    for (let ms = 0; ms < 5_000; ms += 250) alignment.add(ms, ms / 1000);
    alignment.add(5_000, 4);
    assert.equal(alignment.offsetAt(5_000), 0);
    for (let ms = 5_250; ms < 7_000; ms += 250) alignment.add(ms, (ms - 500) / 1000);
    assert.equal(alignment.offsetAt(7_000), 500);
  },

  "a sound card that is too quick is followed a few samples at a time, and three minutes later it is in time": () => {
    let now_ms = 1_000;
    const mixer = { delayFrames: 1_440, shift: (frames) => (mixer.delayFrames += frames) };
    const frameAt = (ms) => ms * 48 * 1.0001 - mixer.delayFrames;
    const keeper = new Timekeeper({ mixer, frameAt, clock: { isFresh: true } }, { positionFrame: 0, at_ms: 1_000 }, () => now_ms);
    let worst_ms = 0;
    for (; now_ms < 181_000; now_ms += 250) {
      const before = mixer.delayFrames;
      assert.ok(keeper.keep());
      assert.ok(Math.abs(mixer.delayFrames - before) <= 4);
      worst_ms = Math.max(worst_ms, Math.abs(keeper.error_ms));
    }
    assert.ok(mixer.delayFrames > 1_440 + 700 && worst_ms < 2, `${worst_ms}`);
    // Where it is told from makes no difference.
    keeper.move(5, keeper.anchor.atFrame + 48_000);
    assert.ok(Math.abs(keeper.error_ms) < 2);
  },

  "who was interrupted begins anew, but not for one odd moment": () => {
    let late_ms = 0;
    const output = { mixer: { shift() {} }, frameAt: (ms) => (ms - late_ms) * 48, clock: { isFresh: true } };
    const keeper = new Timekeeper(output, { positionFrame: 0, at_ms: 0 }, () => 1_000);
    const kept = [500, 0, 500, 500, 500].map((ms) => {
      late_ms = ms;
      return keeper.keep();
    });
    assert.deepEqual(kept, [true, true, true, true, false]);
  },

  "segments are asked for again while they are made, kept while they are wanted, and given up when they are broken": async () => {
    const log = [];
    const answers = { a: [new Problem(409, "segments_pending", "Wait.", 0)], broken: [], gone: [] };
    const told = {
      described: (id) => log.push(`described ${id}`),
      arrived: (id) => log.push(`arrived ${id}`),
      problem: (id, words, code) => log.push(`problem ${id} ${code}`),
      lost: () => log.push("lost"),
    };
    const samples = new Float32Array(SEGMENT);
    const store = new SegmentStore(told, {
      describe: async (id) => {
        if (id === "gone") throw new Problem(404, "upload_not_found", "It is gone.");
        const problem = answers[id].shift();
        if (problem) throw problem;
        return { version: "1", frames: SEGMENT, gain: 1, channels: 1 };
      },
      fetchSegment: async (id, segment) => ({ id, segment }),
      decode: async ({ id }) => {
        if (id === "broken") throw new Error("no sound");
        return { length: SEGMENT, numberOfChannels: 1, getChannelData: () => samples };
      },
    });
    const ids = ["a", "broken", "gone"];
    store.follow(ids.map((uploadId) => ({ uploadId, segments: null })));
    store.want(ids.map((uploadId) => ({ uploadId, segment: 0 })));
    for (let turns = 0; turns < 2_000 && !(store.bytes && store.isOver("broken")); turns += 1) await turn();
    assert.ok(log.includes("problem gone upload_not_found") && log.includes("problem broken undecodable"));
    assert.ok(log.includes("arrived a") && !log.some((line) => line.startsWith("problem a")));
    assert.deepEqual(["gone", "broken"].map((id) => store.buffer(id, 0)), [null, null]);
    assert.equal(store.bytes, SEGMENT * 4);
    const buffer = store.buffer("a", 0);
    store.hold(buffer);
    store.want([]);
    assert.deepEqual([store.bytes, samples.length], [0, SEGMENT]);
    store.release(buffer);
    assert.equal(samples.length, 0);
    store.close();
  },

  "segments that are not made for long are asked for ever more seldom, and soon again once they were made": async () => {
    const real = { setTimeout, now: performance.now };
    let now_ms = 0;
    let next = null;
    const asked_ms = [];
    let isMade = false;
    const describe = async () => {
      asked_ms.push(now_ms);
      if (!isMade) throw new Problem(409, "segments_pending", "Wait.", 1_000);
      return { version: "1", frames: SEGMENT, gain: 1, channels: 1 };
    };
    const fetchSegment = async () => {
      isMade = false;
      throw new Problem(409, "segments_pending", "Wait.", 1_000);
    };
    const store = new SegmentStore({ described() {} }, { describe, fetchSegment, decode: async () => null });
    const passed = async () => {
      for (let turns = 0; turns < 20; turns += 1) await null;
      const { act, at_ms } = next;
      [now_ms, next] = [at_ms, null];
      act();
    };
    globalThis.setTimeout = (act, delay_ms) => (next = { act, at_ms: now_ms + delay_ms }, 0);
    performance.now = () => now_ms;
    try {
      store.follow([{ uploadId: "a", segments: null }]);
      store.want([{ uploadId: "a", segment: 0 }]);
      while (now_ms < 60_000) await passed();
      const waits_ms = asked_ms.slice(1).map((at_ms, index) => at_ms - asked_ms[index]);
      assert.ok(waits_ms[0] < 1_010 && waits_ms.at(-1) > 4_990 && waits_ms.at(-1) < 5_010, `${waits_ms}`);
      waits_ms.slice(1).forEach((wait_ms, index) => assert.ok(wait_ms >= waits_ms[index], `${waits_ms}`));
      isMade = true;
      await passed();
      const before_ms = now_ms;
      await passed();
      assert.ok(now_ms - before_ms < 1_010, `${now_ms - before_ms}`);
    } finally {
      globalThis.setTimeout = real.setTimeout;
      performance.now = real.now;
      store.close();
    }
  },

  "a failure is told after three times, and it is over when it works, or when nobody wants it any more": async () => {
    const real = { setTimeout, now: performance.now };
    let now_ms = 0;
    let next = null;
    let isAway = true;
    const log = [];
    const told = { arrived() {}, described() {}, problem: (id, words) => log.push(`${id} ${words}`) };
    const fetchSegment = async () => {
      if (isAway) throw new Problem(503, "unavailable", "Not now.");
    };
    const samples = new Float32Array(SEGMENT);
    const decode = async () => ({ length: SEGMENT, numberOfChannels: 1, getChannelData: () => samples });
    const passed = async () => {
      for (let turns = 0; turns < 20; turns += 1) await null;
      const { act, at_ms } = next;
      [now_ms, next] = [at_ms, null];
      act();
      for (let turns = 0; turns < 20; turns += 1) await null;
    };
    const store = new SegmentStore(told, { fetchSegment, decode });
    globalThis.setTimeout = (act, delay_ms) => (next = { act, at_ms: now_ms + delay_ms }, 0);
    performance.now = () => now_ms;
    try {
      store.follow([{ uploadId: "a", segments: { version: "1", frames: 2 * SEGMENT, gain: 1, channels: 1 } }]);
      store.want([{ uploadId: "a", segment: 0 }]);
      await passed();
      assert.deepEqual(log, []);
      await passed();
      assert.deepEqual(log, ["a Not now."]);
      store.want([{ uploadId: "a", segment: 0 }]);
      assert.deepEqual(log, ["a Not now."]);
      store.want([]);
      assert.deepEqual(log, ["a Not now.", "a "]);
      store.want([{ uploadId: "a", segment: 0 }]);
      await passed();
      assert.deepEqual(log, ["a Not now.", "a ", "a Not now."]);
      isAway = false;
      await passed();
      assert.deepEqual(log, ["a Not now.", "a ", "a Not now.", "a "]);
    } finally {
      globalThis.setTimeout = real.setTimeout;
      performance.now = real.now;
      store.close();
    }
  },
};

const found = {};
for (const [name, check] of Object.entries(cases)) {
  try {
    await check();
    found[name] = null;
  } catch (error) {
    found[name] = error.stack;
  }
}
console.log(JSON.stringify(found));
