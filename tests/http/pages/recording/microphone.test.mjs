// The panel that records with its real microphone, which is closed, or whose sound device goes, at any moment: run by
// test_recording_programs.py, in Node and without a page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { asked, asking, Context, devices, held, Node, open, panel, permission } from "./browser.mjs";
import { becomes, begins, play, Request, settled } from "./stage.mjs";

const SILENT = "The sound device is gone. Use the microphone again when there is one.";
const CUT_SHORT = "The sound device is gone. What you recorded until then is kept.";
const UNPLUGGED = "The microphone is gone. Plug it in, or use another one.";

// Four seconds of a song are recorded.
async function recording() {
  const stage = await open();
  const { song, strip } = stage;
  stage.recording.toggle();
  await becomes(() => Request.waiting.length === 1, "the studio is asked");
  Request.waiting[0].accept();
  await becomes(() => song.plays === 1, "the song is told to play");
  await begins(song);
  play(song, (frame) => Node.made.hear(frame), 1, 5);
  assert.equal(strip.state, "recording");
  return stage;
}

async function saved({ strip }) {
  await becomes(() => {
    for (const request of Request.waiting) request.accept();
    return strip.state !== "saving";
  }, "it is saved");
}

// --- nothing is opened any more ----------------------------------------------------------------------------------------

for (const [what, leave] of [
  ["Close is pressed", ({ strip }) => strip.acts.close()],
  ["the session is gone", ({ recording: gone }) => gone.close()],
]) {
  test(`a microphone that is allowed after ${what} is let go at once`, async () => {
    const stage = await asking();
    leave(stage);
    assert.deepEqual([stage.strip.state, stage.strip.isShown], ["closed", false]);
    const { track } = asked[0].allow();
    await settled();
    assert.deepEqual([stage.strip.state, stage.strip.isShown, track.isLive], ["closed", false, false]);
    // R only shows the strip again.
    stage.recording.toggle();
    await settled();
    assert.deepEqual([stage.strip.state, stage.strip.isShown, stage.song.plays], ["explaining", true, 0]);
  });

  test(`a microphone that is denied after ${what} changes nothing`, async () => {
    const stage = await asking();
    leave(stage);
    asked[0].deny();
    await settled();
    assert.deepEqual([stage.strip.state, stage.strip.fault], ["closed", ""]);
  });

  test(`a microphone whose worklet is loaded after ${what} is let go before that`, async () => {
    const stage = await asking();
    const { promise, resolve } = held();
    stage.song.context.loads = promise;
    Node.made = null;
    const { track } = asked[0].allow();
    await settled();
    leave(stage);
    assert.equal(track.isLive, false);
    resolve();
    await settled();
    assert.deepEqual([stage.strip.state, Node.made], ["closed", null]);
  });

  test(`devices that are listed after ${what} are not shown`, async () => {
    const stage = await asking();
    const { promise, resolve } = held();
    devices.listed = promise;
    const { track } = asked[0].allow();
    await settled();
    leave(stage);
    resolve([]);
    await settled();
    assert.deepEqual([stage.strip.told, stage.strip.timing, track.isLive], [["closed", "Opening the microphone…", ""], null, false]);
  });

  test(`a browser whose sound begins after ${what} is not asked for the microphone`, async () => {
    const stage = panel();
    const { promise, resolve } = held();
    stage.song.opens = promise;
    await stage.recording.open();
    stage.strip.acts.allow();
    leave(stage);
    resolve();
    await settled();
    assert.deepEqual([stage.strip.state, asked.length], ["closed", 0]);
  });

  test(`a browser that gives no sound after ${what} changes nothing`, async () => {
    const stage = panel();
    const { promise, reject } = held();
    stage.song.opens = promise;
    await stage.recording.open();
    stage.strip.acts.allow();
    leave(stage);
    reject(new Error("no sound"));
    await settled();
    assert.deepEqual([stage.strip.state, stage.strip.fault], ["closed", ""]);
  });

  test(`a browser that says after ${what} that it may is not asked for the microphone`, async () => {
    const stage = panel();
    const { promise, resolve } = held();
    permission.state = promise;
    stage.recording.open();
    leave(stage);
    resolve("granted");
    await settled();
    assert.deepEqual([stage.strip.state, asked.length], ["closed", 0]);
  });
}

test("of two openings the second one counts, in whatever order they are allowed", async () => {
  for (const order of [[0, 1], [1, 0]]) {
    asked.splice(0);
    const stage = await asking();
    stage.strip.acts.close();
    await stage.recording.open();
    stage.strip.acts.allow();
    await becomes(() => asked.length === 2, "the browser asks again");
    const live = [];
    for (const at of order) {
      live[at] = asked[at].allow().track;
      await settled();
    }
    assert.deepEqual([stage.strip.state, live.map(({ isLive }) => isLive)], ["armed", [false, true]]);
  }
});

test("a denial that comes when the next opening was allowed closes nothing", async () => {
  const stage = await asking();
  stage.strip.acts.close();
  await stage.recording.open();
  stage.strip.acts.allow();
  await becomes(() => asked.length === 2, "the browser asks again");
  const { track } = asked[1].allow();
  await becomes(() => stage.strip.state === "armed", "it is open");
  asked[0].deny();
  await settled();
  assert.deepEqual([stage.strip.state, stage.strip.fault, track.isLive], ["armed", "", true]);
});

test("an opening that was given up touches nothing of the next one", async () => {
  const stage = await asking();
  const { promise, resolve } = held();
  stage.song.context.loads = promise;
  asked[0].allow();
  await settled();
  stage.strip.acts.close();
  stage.song.context.loads = Promise.resolve();
  await stage.recording.open();
  stage.strip.acts.allow();
  await becomes(() => asked.length === 2, "the browser asks again");
  asked[1].allow();
  await becomes(() => stage.strip.state === "armed", "it is open");
  const node = Node.made;
  resolve();
  await settled();
  assert.equal(Node.made, node);
  assert.equal(stage.strip.state, "armed");
});

test("a microphone may be closed when the devices have just changed", async () => {
  const stage = await open();
  navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
  stage.strip.acts.close();
  // A rejection that nobody handles ends this program.
  await settled();
  assert.equal(stage.strip.state, "closed");
});

test("a microphone that is unplugged while it is opened is told", async () => {
  const stage = await asking();
  stage.song.context.loads = new Promise(() => {});
  const { track } = asked[0].allow();
  await settled();
  track.dispatchEvent(new Event("ended"));
  assert.deepEqual([...stage.strip.told, track.isLive], ["explaining", "", UNPLUGGED, false]);
});

// --- the sound device is gone ------------------------------------------------------------------------------------------

test("who records when the sound device goes keeps what was recorded, and records again with the next one", async () => {
  for (const isStopping of [false, true]) {
    asked.splice(0);
    const stage = await recording();
    const { strip, song } = stage;
    if (isStopping) stage.recording.toggle();
    assert.equal(strip.state, isStopping ? "stopping" : "recording");
    song.context.close();
    assert.deepEqual([...strip.told, stage.stream.track.isLive], ["saving", "Saving…", CUT_SHORT, false]);
    await saved(stage);
    assert.deepEqual([strip.state, song.uploads.length], ["explaining", 1]);

    song.context = new Context();
    strip.acts.allow();
    await becomes(() => asked.length === 2, "the browser asks");
    asked[1].allow();
    await becomes(() => strip.state === "armed", "it is open");
    assert.equal(Node.made.context, song.context);
    stage.recording.toggle();
    await becomes(() => Request.waiting.length === 1, "the studio is asked");
    Request.waiting[0].accept();
    await becomes(() => song.plays === 2, "the song is told to play");
    await begins(song);
    play(song, (frame) => Node.made.hear(frame), 1, 4);
    assert.equal(strip.state, "recording");
    stage.recording.toggle();
    play(song, (frame) => Node.made.hear(frame), 4, 5);
    await saved(stage);
    assert.deepEqual([strip.state, song.uploads.length], ["armed", 2]);
  }
});

test("a microphone that only waits is closed with the sound device, and opened with the next one", async () => {
  const stage = await open();
  stage.song.context.close();
  assert.deepEqual([...stage.strip.told, stage.stream.track.isLive], ["explaining", "", SILENT, false]);
  stage.song.context = new Context();
  stage.strip.acts.allow();
  await becomes(() => asked.length === 2, "the browser asks");
  asked[1].allow();
  await becomes(() => stage.strip.state === "armed", "it is open");
});

test("a sound device that goes while the browser asks is told, and the microphone is let go", async () => {
  const stage = await asking();
  stage.song.context.close();
  const { track } = asked[0].allow();
  await becomes(() => stage.strip.state === "explaining", "it is told");
  assert.deepEqual([stage.strip.fault, track.isLive], ["The sound device is gone. Try again when there is one.", false]);
});
