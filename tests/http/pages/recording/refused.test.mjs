// A recording that the studio does not take, and whatever happens to the page and its microphone meanwhile: run by
// test_recording_programs.py, in Node and without a page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { becomes, begins, page, play, Request, settled, waitingForTheSong } from "./stage.mjs";

const FULL = "There is no room left for your files.";
const KEEP_OPEN = "The browser has no room to keep the recording. Do not close this page before it is saved.";
const UNPLUGGED = "The microphone is gone. Plug it in, or use another one.";
const OFFERED = ["Try again", "Save as a file", "Throw it away"];
const SAVED = "Saved: Recording 1, 0:04.";

// Four seconds were recorded and are being saved; the studio has not answered.
async function saving() {
  const stage = await waitingForTheSong();
  const { recording, strip, song, microphone } = stage;
  await begins(song);
  play(song, (frame) => microphone.hear(frame), 1, 5);
  assert.equal(strip.state, "recording");
  recording.toggle();
  play(song, (frame) => microphone.hear(frame), 5, 6);
  await becomes(() => Request.waiting.length === 1, "it is sent");
  assert.deepEqual(strip.told, ["saving", "Saving…", ""]);
  return stage;
}

// The studio answers everything until the panel is done.
async function answered({ strip }, answer) {
  await becomes(() => {
    for (const request of Request.waiting) answer(request);
    return strip.state !== "saving";
  }, "the saving is over");
}

const refuse = (stage) => answered(stage, (request) => request.answer(413, {}, { error: FULL, code: "quota_exceeded" }));
const accept = (stage) => answered(stage, (request) => request.accept());

async function refused() {
  const stage = await saving();
  await refuse(stage);
  assert.deepEqual([...stage.strip.told, Object.keys(stage.strip.offers)], ["failed", KEEP_OPEN, FULL, OFFERED]);
  return stage;
}

// The recording is still asked about, and whoever leaves the page is warned.
function isOffered({ strip }, fault = FULL) {
  const leaving = new Event("beforeunload", { cancelable: true });
  page.dispatchEvent(leaving);
  assert.deepEqual([...strip.told, strip.isShown, leaving.defaultPrevented], ["failed", KEEP_OPEN, fault, true, true]);
}

test("a recording that was refused is saved when the studio takes it, and the refusal is not shown any more", async () => {
  const stage = await refused();
  stage.strip.offers["Try again"]();
  await accept(stage);
  assert.deepEqual(stage.strip.told, ["armed", SAVED, ""]);
  assert.equal(stage.song.uploads.length, 1);
});

test("it is sent by itself when the network is back", async () => {
  const stage = await refused();
  page.dispatchEvent(new Event("online"));
  await accept(stage);
  assert.deepEqual(stage.strip.told, ["armed", SAVED, ""]);
});

for (const [what, happens, fault] of [
  ["Close is pressed", ({ strip }) => strip.acts.close(), FULL],
  ["the microphone is unplugged", ({ microphone }) => microphone.unplug(), `${FULL} ${UNPLUGGED}`],
  ["the session is gone", ({ recording }) => recording.close(), FULL],
]) {
  test(`a recording that was refused stays in reach when ${what}`, async () => {
    const stage = await refused();
    happens(stage);
    isOffered(stage, fault);
    assert.equal(stage.microphone.isOpen, false);
    // Nothing takes its place.
    for (const press of [() => stage.recording.toggle(), () => stage.strip.acts.record(), () => stage.recording.arm(null)]) press();
    await settled();
    isOffered(stage, fault);
    stage.strip.offers["Try again"]();
    await accept(stage);
    assert.deepEqual([...stage.strip.told, stage.song.uploads.length], ["explaining", SAVED, "", 1]);
  });
}

test("a recording goes on being saved when the microphone is unplugged, and no other begins before it is over", async () => {
  const stage = await saving();
  stage.microphone.unplug();
  assert.deepEqual(stage.strip.told, ["saving", "Saving…", UNPLUGGED]);
  for (const press of [() => stage.recording.toggle(), () => stage.strip.acts.record(), () => stage.strip.acts.close()]) press();
  await settled();
  assert.deepEqual([stage.strip.state, stage.song.plays], ["saving", 1]);
  await accept(stage);
  assert.deepEqual([...stage.strip.told, stage.song.uploads.length], ["explaining", SAVED, UNPLUGGED, 1]);
});

test("a recording that is refused after the microphone was unplugged is offered, and the next one is another", async () => {
  const stage = await saving();
  stage.microphone.unplug();
  await refuse(stage);
  isOffered(stage);
  await stage.strip.offers["Throw it away"]();
  assert.deepEqual(stage.strip.told, ["explaining", "The recording was thrown away.", ""]);
  await stage.strip.acts.allow();
  assert.equal(stage.strip.state, "armed");
});
