// Where takes are placed with other headphones than those that were measured: run by test_recording_programs.py, in Node
// and without a page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { asked, kept, Microphone, Node, open, Player, Source } from "./browser.mjs";
import { becomes, BLOCK, module, RATE, settled, Strip } from "./stage.mjs";

const { LONGEST_S, sweep } = await module("sound/latency.js");

const MEASURED = { measured_s: 0.04, output_s: 0.03 };
const know = (stored) => kept.set("omnisonic.latency", JSON.stringify({ interface: stored }));
const known = () => JSON.parse(kept.get("omnisonic.latency") ?? "{}").interface;

// A microphone that is open, with headphones that are so late.
async function listening(outputLatency) {
  const song = new Player();
  song.context.outputLatency = outputLatency;
  const strip = new Strip();
  const microphone = new Microphone(song, strip);
  await opened(microphone);
  return { microphone, context: song.context, strip };
}

async function opened(microphone) {
  const opening = microphone.open();
  await becomes(() => asked.length > 0, "the browser asks");
  asked.splice(0)[0].allow();
  await opening;
}

// The microphone hears what is played that much later, until `until_s` of its context.
function hearSweeps({ context: { currentTime } }, delay_s, until_s) {
  const heard = new Float32Array(Math.round((until_s - currentTime) * RATE));
  const played = sweep(RATE);
  for (const begins_s of Source.begins_s.splice(0)) {
    const at = Math.round((begins_s + delay_s - currentTime) * RATE);
    if (at + played.length <= heard.length) heard.set(played, at);
  }
  const from = Math.round(currentTime * RATE);
  for (let at = 0; at < heard.length; at += BLOCK) Node.made.hear(from + at, heard.subarray(at, at + BLOCK));
}

const near = (one, other) => Math.abs(one - other) < 1e-3;

test("a take is placed by what was measured, and with other headphones by how much later those are", async () => {
  const { microphone, context, strip } = await listening(0.02);
  for (const [stored, outputLatency, roundTrip_s, isOther] of [
    [MEASURED, 0.02, 0.04, false],
    [MEASURED, 0.028, 0.04, false],
    [MEASURED, 0.04, 0.06, false],
    [MEASURED, 0.19, 0.21, true],
    [{ measured_s: 0.21, output_s: 0.2 }, 0.02, 0.04, true],
    // The browser does not say it, now or then.
    [MEASURED, undefined, 0.04, false],
    [MEASURED, 0, 0.04, false],
    [{ measured_s: 0.04 }, 0.19, 0.04, false],
    [{ ...MEASURED, output_s: null }, 0.19, 0.04, false],
    // Nobody has measured.
    [{}, 0.19, 0.205, false],
    // By hand it is moved all the same.
    [{ ...MEASURED, nudge_s: 0.01 }, 0.19, 0.22, true],
    // Nothing arrives before it was played.
    [{ measured_s: 0.04, output_s: 0.2 }, 0.02, 0, true],
  ]) {
    know(stored);
    context.outputLatency = outputLatency;
    await opened(microphone);
    const what = `${JSON.stringify(stored)}, ${outputLatency}`;
    assert.ok(Math.abs(microphone.roundTrip_s - roundTrip_s) < 1e-9, `${what}: ${microphone.roundTrip_s}`);
    assert.equal(strip.timing.isOther, isOther, what);
  }
  microphone.close();
});

// The microphone brings so many blocks.
function hear(blocks) {
  for (let block = 0; block < blocks; block += 1) Node.made.hear(RATE + block * BLOCK);
}

test("headphones that are changed while the microphone is open are noticed soon, and when they are back", async () => {
  know(MEASURED);
  const { microphone, context, strip } = await listening(0.02);
  for (const [outputLatency, isOther] of [[0.19, true], [0.02, false]]) {
    context.outputLatency = outputLatency;
    hear(40);
    assert.equal(strip.timing.isOther, isOther);
  }
  microphone.close();
});

test("moments of which the browser says something odd move nothing", async () => {
  know(MEASURED);
  const { microphone, context, strip } = await listening(0.02);
  for (const outputLatency of [0.02, 0.19, 0.021, 0, 0.019, 0.4, 0.02]) {
    context.outputLatency = outputLatency;
    hear(5);
    assert.ok(near(microphone.roundTrip_s, 0.04));
    assert.equal(strip.timing.isOther, false);
  }
  microphone.close();
});

test("what is measured is kept with how late the headphones were", async () => {
  const stage = await listening(0.02);
  const { microphone, context, strip } = stage;
  const measuring = microphone.measure();
  hearSweeps(stage, 0.05, 8 * LONGEST_S + context.currentTime);
  await measuring;
  assert.ok(near(known().measured_s, 0.05) && near(microphone.roundTrip_s, 0.05));
  assert.ok(near(known().output_s, 0.03));
  context.outputLatency = 0.19;
  hear(40);
  assert.ok(near(microphone.roundTrip_s, 0.22));
  microphone.nudge(0.01);
  assert.ok(near(microphone.roundTrip_s, 0.23));
  assert.equal(strip.timing.isOther, true);
  // Measured with those, it is of those.
  const again = microphone.measure();
  hearSweeps(stage, 0.2, 8 * LONGEST_S + context.currentTime);
  await again;
  assert.ok(near(known().output_s, 0.2) && near(microphone.roundTrip_s, 0.21));
  assert.equal(strip.timing.isOther, false);
  microphone.close();
});

test("a measurement ends when the microphone is closed", async () => {
  const { microphone } = await listening(0.02);
  const measuring = microphone.measure();
  microphone.close();
  await assert.rejects(measuring, /The microphone did not hear it/);
});

test("nothing of a measurement is kept or told once the microphone is closed", async () => {
  const stage = await open();
  stage.strip.acts.measure();
  assert.equal(stage.strip.words, "Measuring…");
  Node.made.hear(RATE);
  stage.strip.acts.close();
  await stage.recording.open();
  await settled();
  assert.deepEqual([...stage.strip.told, known()], ["explaining", "", "", undefined]);
});
