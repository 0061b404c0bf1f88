// A recording that begins, and whatever is still waited for: run by test_recording_programs.py, in Node and without a page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { becomes, limits, Request, settled, waitingForTheSong, waitingForTheStudio } from "./stage.mjs";

const LIMIT_MS = 2_000;
const UNPLUGGED = "The microphone is gone. Plug it in, or use another one.";
const NOTHING = "Nothing was recorded.";

// Whatever was on its way has had the time to come.
async function afterAll() {
  for (const request of Request.all) request.answer(204);
  for (const { pass } of limits) pass();
  // A rejection that nobody handles ends this program.
  await settled();
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
  assert.equal(stage.strip.state, "starting");
  stage.song.position_s = 0;
});

test("who presses Stop before the song is heard is done", async () => {
  const stage = await waitingForTheSong();
  stage.recording.toggle();
  await becomes(() => stage.strip.state === "armed", "it is over");
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
