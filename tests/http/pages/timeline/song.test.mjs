// The song, the arrangement and the scale, without a page: run by test_song.py, in Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const page = new EventTarget();
globalThis.addEventListener = (...given) => page.addEventListener(...given);
globalThis.removeEventListener = (...given) => page.removeEventListener(...given);

const folder = pathToFileURL(`${process.argv[2]}/`);
const module = (path) => import(new URL(path, folder));
const { Song } = await module("room/song.js");
const { isGenuine } = await module("room/roster.js");
const { beginsAt_s, endsAt_s, groupTracks, movedTo, positionAt } = await module("room/arrangement.js");
const { gainInWords } = await module("controls/quantities.js");
const { Scale } = await module("timeline/view.js");
const { loudest, Peaks } = await module("timeline/waveform.js");
const { movedBy } = await module("timeline/marks.js");

const ME = "me";
const SESSION = { id: "jam", tempoBpm: 120, beatsPerBar: 4 };

function upload(id, values = {}) {
  return {
    id, sessionId: "jam", userId: ME, fileName: `${id}.wav`, mimeType: "audio/wav", fileSize: 1, channels: 2, durationSeconds: 10, warning: null,
    gainDb: 0, pan: 0, muted: false, offsetSeconds: 0, name: id, position: 1, takeOf: id, chosen: true,
    trimStartSeconds: 0, trimEndSeconds: 0, fadeInSeconds: 0, fadeOutSeconds: 0, createdAt: `2026-01-01T00:00:0${id.length}Z`, ...values,
  };
}

// A studio that answers as it is told: `answers` by method and path, each a value, or a function of the body.
class Studio {
  asked = [];
  uploads = [];
  answers = {};

  constructor() {
    globalThis.fetch = (path, { method, body }) => this.#answer(method, path, body && JSON.parse(body));
  }

  async #answer(method, path, body) {
    const [address, query] = path.split("?");
    this.asked.push({ method, path: address, query: new URLSearchParams(query), body });
    const usual = {
      "GET /api/upload/list": () => ({ uploads: this.uploads.map((each) => ({ upload: each })), nextBefore: null }),
      "GET /api/sessions/jam/markers": () => ({ markers: [] }),
      "GET /api/sessions/jam/comments": () => ({ comments: [], nextBefore: null }),
      "GET /api/sessions/jam/collaborators": () => ({ owner: { id: ME, name: "Ada" }, collaborators: [] }),
    };
    const answer = this.answers[`${method} ${address}`] ?? usual[`${method} ${address}`];
    const { status = 200, ...content } = (await answer?.(body, query)) ?? { status: 404, error: "Gone.", code: "upload_not_found" };
    return Response.json(content, { status });
  }

  patched(id) {
    return this.asked.filter(({ method, path }) => method === "PATCH" && path === `/api/upload/${id}`).map(({ body }) => body);
  }
}

function songOf(studio, uploads, storage = null) {
  studio.uploads = uploads;
  const told = { failures: [], lost: () => false, failed: (words) => words && told.failures.push(words) };
  const song = new Song(SESSION, ME, told, storage);
  song.told = told;
  song.events = [];
  for (const name of ["tracks", "mix", "length", "markers"]) song.addEventListener(name, () => song.events.push(name));
  return song;
}

const later = setTimeout;
const settled = () => new Promise((resolve) => later(resolve));

test("what the hand does is heard at once, and asked for one request at a time", async () => {
  const studio = new Studio();
  const song = songOf(studio, [upload("a")]);
  await song.refresh();
  let answer = null;
  studio.answers["PATCH /api/upload/a"] = (body) => new Promise((resolve) => (answer = () => resolve({ upload: upload("a", body) })));
  song.hold("a", { gainDb: -1 });
  assert.equal(song.mix("a").gainDb, -1);
  assert.deepEqual(studio.patched("a"), []);
  const changed = [song.change("a", { gainDb: -2 })];
  await settled();
  changed.push(song.change("a", { gainDb: -3 }), song.change("a", { gainDb: -4, pan: 1 }));
  // News of somebody else's hand do not move what is held here.
  song.heard("upload.changed", upload("a", { gainDb: 6, muted: true }));
  assert.deepEqual([song.mix("a").gainDb, song.mix("a").muted], [-4, true]);
  assert.deepEqual(studio.patched("a"), [{ gainDb: -2 }]);
  answer();
  await settled();
  answer();
  await Promise.all(changed);
  assert.deepEqual(studio.patched("a"), [{ gainDb: -2 }, { gainDb: -4, pan: 1 }]);
  await song.change("a", { pan: 1 });
  assert.equal(studio.patched("a").length, 2, "what is so already is not asked for");
});

test("what is let go where it was taken is held no more, and follows the others", async () => {
  const studio = new Studio();
  const song = songOf(studio, [upload("a")]);
  await song.refresh();
  song.hold("a", { gainDb: -6 });
  song.hold("a", { gainDb: 0, offsetSeconds: 4 });
  song.release("a", ["gainDb"]);
  song.heard("upload.changed", upload("a", { gainDb: -3, offsetSeconds: 8 }));
  assert.deepEqual([song.mix("a").gainDb, song.mix("a").offsetSeconds], [-3, 4], "another hand still holds the clip");
  song.release("a");
  assert.equal(song.mix("a").offsetSeconds, 8);
  assert.deepEqual(studio.patched("a"), []);
  song.remove("a");
  song.events = [];
  song.release("a", ["gainDb"]);
  assert.deepEqual(song.events, [], "what is gone is not held");
});

test("what was told of something else stays; what could not be read is told until it is", async () => {
  const studio = new Studio();
  const told = [];
  const song = new Song(SESSION, ME, { lost: () => false, failed: (words) => told.push(words) }, null);
  await song.refresh();
  assert.deepEqual(told, []);
  studio.answers["GET /api/upload/list"] = () => ({ status: 400, error: "No.", code: "bad" });
  await song.refresh();
  delete studio.answers["GET /api/upload/list"];
  await song.refresh();
  await song.refresh();
  assert.deepEqual(told, ["No.", ""]);
});

test("whoever brings something in from outside the room is named, also when nothing of theirs was there before", async () => {
  const studio = new Studio();
  const song = songOf(studio, [upload("a")]);
  await song.refresh();
  const collaborators = [{ id: "bo", name: "Bo" }];
  studio.answers["GET /api/sessions/jam/collaborators"] = () => ({ owner: { id: ME, name: "Ada" }, collaborators });
  assert.equal(song.nameOf("bo"), "");
  assert.deepEqual([await song.learnName("bo"), await song.learnName(ME), await song.learnName("cy")], ["Bo", "Ada", ""]);
  const asked = studio.asked.length;
  assert.equal(await song.learnName("bo"), "Bo");
  assert.equal(studio.asked.length, asked, "who is known is not asked for again");
});

test("a refusal puts it back, and says why; a file that is gone is gone", async () => {
  const studio = new Studio();
  const song = songOf(studio, [upload("a"), upload("bb")]);
  await song.refresh();
  studio.answers["PATCH /api/upload/a"] = () => ({ status: 503, error: "Not now.", code: "unavailable" });
  await assert.rejects(song.change("a", { muted: true }), { message: "Not now." });
  assert.equal(song.mix("a").muted, false);
  studio.answers["PATCH /api/upload/a"] = (body) => ({ upload: upload("a", body) });
  await song.change("a", { muted: true });
  assert.equal(song.mix("a").muted, true, "afterwards it works as before");
  await assert.rejects(song.change("bb", { gainDb: 1 }), { code: "upload_not_found" });
  assert.deepEqual(song.tracks.map(({ id }) => id), ["a"]);
});

test("an answer that is older than the news does not undo them, and a list of many pages is read to its end", async () => {
  const studio = new Studio();
  const song = songOf(studio, []);
  let answer = null;
  studio.answers["GET /api/upload/list"] = (_, query) =>
    query.includes("before=")
      ? { uploads: [{ upload: upload("ccc") }], nextBefore: null }
      : new Promise((resolve) => (answer = () => resolve({ uploads: [{ upload: upload("a") }], nextBefore: "x" })));
  const refreshed = song.refresh();
  await settled();
  song.heard("upload.added", upload("bb"));
  song.heard("upload.removed", { uploadId: "a" });
  answer();
  await refreshed;
  assert.deepEqual(song.tracks.map(({ id }) => id), ["bb", "ccc"]);
  studio.answers["GET /api/upload/list"] = () => ({ status: 400, error: "No.", code: "bad" });
  await song.refresh();
  assert.deepEqual(song.told.failures, ["No."]);
});

test("takes of one track are one track; the chosen one is heard, and choosing is shown before the answer", async () => {
  const studio = new Studio();
  const takes = [upload("a", { takeOf: "t", name: "Vox" }), upload("bb", { takeOf: "t", name: "Vox", chosen: false })];
  const song = songOf(studio, [...takes, upload("ccc", { position: 0 }), upload("dddd", { mimeType: "image/png" })]);
  await song.refresh();
  assert.deepEqual(song.tracks.map(({ id, chosen }) => [id, chosen.id]), [["ccc", "ccc"], ["t", "a"]]);
  assert.deepEqual(song.files.map(({ id }) => id), ["dddd"]);
  song.change("bb", { chosen: true }).catch(() => {});
  assert.equal(song.track("t").chosen.id, "bb");
  song.change("bb", { name: "Lead vox", position: -1 }).catch(() => {});
  assert.deepEqual([song.tracks[0].name, song.tracks[0].takes.map(({ name }) => name)], ["Lead vox", ["Lead vox", "Lead vox"]]);
  assert.deepEqual(song.sounding().map(({ id, uploadId, isHeard }) => [id, uploadId, isHeard]), [["t", "bb", true], ["ccc", "ccc", true]]);
  // Whoever is not in the room hears of the one take only.
  const alone = songOf(studio, takes);
  await alone.refresh();
  alone.put(upload("bb", { takeOf: "t", name: "Solo", position: 0.5 }));
  assert.deepEqual(alone.track("t").takes.map(({ name, chosen }) => [name, chosen]), [["Solo", false], ["Solo", true]]);
});

test("solo and my volume are mine, are kept, and are not sent", async () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const studio = new Studio();
  const song = songOf(studio, [upload("a"), upload("bb"), upload("ccc", { muted: true })], storage);
  await song.refresh();
  const asked = studio.asked.length;
  assert.deepEqual(["a", "bb", "ccc"].map((id) => song.isHeard(id)), [true, true, false]);
  song.solo("bb", true);
  song.solo("ccc", true);
  song.myVolumeDb = -6;
  assert.deepEqual(["a", "bb", "ccc"].map((id) => song.isHeard(id)), [false, true, false], "what is muted stays so");
  assert.equal(studio.asked.length, asked);
  const again = songOf(studio, [upload("a"), upload("bb")], storage);
  await again.refresh();
  assert.deepEqual([again.isHeard("a"), again.isHeard("bb"), again.myVolumeDb], [false, true, -6]);
});

// The session's activity, and its undo, as the studio has them: one value each of several things.
class Activity {
  events = [];
  asked = [];
  #studio;
  #values = new Map();

  constructor(studio) {
    this.#studio = studio;
    studio.answers["GET /api/sessions/jam/activity"] = (_, query) => this.#list(new URLSearchParams(query));
  }

  // `actor` does something to `subject`; the event's id.
  change(actor, subject, after, kind = "upload.changed", undoes = null) {
    const id = String(this.events.length + 1);
    const before = this.#values.get(subject) ?? 0;
    this.#values.set(subject, after);
    const field = kind === "upload.changed" ? "gainDb" : null;
    this.events.unshift({ id, actor: { id: actor, name: actor }, kind, field, subjectId: subject, subjectName: subject, before, after, undoes, undoneBy: null });
    return id;
  }

  undo(actor, id) {
    const event = this.events.find((each) => each.id === id);
    this.asked.push(id);
    if (!this.#undoOf(event)) return { status: 409, error: "Changed since.", code: "changed_since" };
    event.undoneBy = { id: actor, name: actor };
    const undoing = this.change(actor, event.subjectId, event.before, event.kind, id);
    return { event: this.events.find((each) => each.id === undoing) };
  }

  value(subject) {
    return this.#values.get(subject) ?? 0;
  }

  #undoOf(event) {
    const isLatest = this.events.find(({ subjectId, field }) => subjectId === event.subjectId && field === event.field) === event;
    if (event.field === null || event.undoneBy || !isLatest || event.before === event.after) return null;
    this.#studio.answers[`POST /undo/${event.id}`] = () => this.undo(ME, event.id);
    return { url: `/undo/${event.id}`, allowedTo: null };
  }

  #list(query) {
    const from = query.has("before") ? Number(query.get("before")) : 0;
    const until = from + Math.min(Number(query.get("limit")), 100);
    const events = this.events.slice(from, until).map((event) => ({ ...event, undo: this.#undoOf(event) }));
    return { events, nextBefore: until < this.events.length ? String(until) : null };
  }
}

function undoing() {
  const studio = new Studio();
  return { studio, song: songOf(studio, []), activity: new Activity(studio) };
}

test("undo takes back what I did last, not what others did, and redo does it again", async () => {
  const { song, activity } = undoing();
  activity.change(ME, "vox", -3);
  activity.change(ME, "new", 1, "upload.added");
  activity.change("bo", "drums", -6);
  assert.equal(await song.undo(true), null, "what I did last is no undo");
  const undone = await song.undo();
  assert.deepEqual([undone.subjectId, undone.after, activity.value("vox"), activity.value("drums")], ["vox", -3, 0, -6]);
  const again = await song.undo(true);
  assert.deepEqual([again.subjectId, again.after, activity.value("vox")], ["vox", -3, -3], "it is told as it is done");
});

test("undo and redo go back and forth along what I did", async () => {
  const { song, activity } = undoing();
  activity.change(ME, "bass", -1);
  activity.change(ME, "vox", -3);
  const step = async (isAgain) => [(await song.undo(isAgain))?.subjectId ?? null, activity.value("bass"), activity.value("vox")];
  assert.deepEqual(await step(), ["vox", -1, 0]);
  assert.deepEqual(await step(true), ["vox", -1, -3]);
  assert.deepEqual(await step(true), [null, -1, -3], "it was done again already");
  assert.deepEqual(await step(), ["vox", -1, 0], "what was done again is undone again, and nothing else");
  assert.deepEqual(await step(), ["bass", 0, 0]);
  assert.deepEqual(await step(), [null, 0, 0]);
  assert.deepEqual(await step(true), ["bass", -1, 0]);
  assert.deepEqual(await step(true), ["vox", -1, -3]);
  assert.deepEqual(await step(), ["vox", -1, 0]);
  activity.change(ME, "bass", -9);
  assert.deepEqual(await step(true), [null, -9, 0], "after another change there is nothing to do again");
  // Two presses at once are one after the other.
  await Promise.all([song.undo(), song.undo()]).catch(() => {});
  assert.equal(new Set(activity.asked).size, activity.asked.length);
});

test("where the last change of mine cannot be undone any more, undo says so, and undoes nothing else", async () => {
  const { song, activity } = undoing();
  activity.change(ME, "bass", -1);
  activity.change(ME, "vox", -3);
  activity.change(ME, "vox", -5);
  assert.equal((await song.undo()).after, -5);
  await assert.rejects(song.undo(), { code: "changed_since" });
  assert.deepEqual([activity.value("bass"), activity.value("vox")], [-1, -3]);
  assert.equal((await song.undo(true)).after, -5);
  // What somebody else has overwritten does not hold any more.
  activity.change("bo", "vox", 2);
  assert.equal((await song.undo()).subjectId, "bass");
});

test("an undo of what somebody else did is mine, and is undone", async () => {
  const { song, activity } = undoing();
  activity.change(ME, "bass", -1);
  const theirs = activity.change("bo", "vox", -3);
  activity.undo(ME, theirs);
  await song.undo();
  assert.deepEqual([activity.value("bass"), activity.value("vox")], [-1, -3]);
  await song.undo(true);
  assert.deepEqual([activity.value("bass"), activity.value("vox")], [-1, 0]);
});

test("what I did long ago is found behind what others did since, and so is what an undo has undone", async () => {
  const { song, activity } = undoing();
  activity.change(ME, "bass", -1);
  for (let count = 0; count < 130; count += 1) activity.change("bo", "drums", -count);
  assert.equal((await song.undo()).subjectId, "bass");
  for (let count = 0; count < 130; count += 1) activity.change("bo", "drums", count);
  assert.equal(await song.undo(), null);
  assert.equal((await song.undo(true)).subjectId, "bass");
  assert.equal(activity.value("bass"), -1);
});

test("markers move at once, and back when that is refused", async () => {
  const studio = new Studio();
  const song = songOf(studio, []);
  const marker = { id: "m", name: "Chorus", atBeat: 64, endBeat: 96 };
  song.heard("marker.added", marker);
  studio.answers["PATCH /api/sessions/jam/markers/m"] = () => ({ status: 503, error: "Not now.", code: "unavailable" });
  const changed = song.annotations.changeMarker("m", movedBy(marker, -4, false));
  assert.deepEqual([song.markers[0].atBeat, song.markers[0].endBeat], [60, 92]);
  await assert.rejects(changed, { message: "Not now." });
  assert.deepEqual(song.markers, [marker]);
  song.close();
  assert.deepEqual([song.markers, song.tracks], [[], []]);
});

test("a marker that moves again before the answer is asked for once more, and does not jump back", async () => {
  const studio = new Studio();
  const song = songOf(studio, []);
  const marker = { id: "m", name: "Chorus", atBeat: 64, endBeat: null };
  song.heard("marker.added", marker);
  const answers = [];
  studio.answers["PATCH /api/sessions/jam/markers/m"] = (body) =>
    new Promise((resolve) => answers.push(() => resolve({ marker: { ...marker, ...body } })));
  const places = [];
  song.addEventListener("markers", () => places.push(song.markers[0].atBeat));
  const moves = [song.annotations.changeMarker("m", { atBeat: 65 })];
  await settled();
  for (const atBeat of [66, 67]) moves.push(song.annotations.changeMarker("m", { atBeat }));
  await settled();
  assert.equal(answers.length, 1);
  answers[0]();
  await settled();
  assert.equal(answers.length, 2);
  answers[1]();
  await Promise.all(moves);
  const asked = studio.asked.filter(({ method }) => method === "PATCH").map(({ body }) => body.atBeat);
  assert.deepEqual([asked, song.markers[0].atBeat], [[65, 67], 67]);
  assert.deepEqual(places, places.toSorted((one, other) => one - other), "it never goes back");
});

test("a marker that is removed while it moves leaves nothing", async () => {
  const studio = new Studio();
  const song = songOf(studio, []);
  song.heard("marker.added", { id: "m", name: "Chorus", atBeat: 64, endBeat: null });
  song.heard("marker.removed", { markerId: "m" });
  let answer = null;
  const gone = { status: 404, error: "There is no such marker.", code: "marker_not_found" };
  studio.answers["PATCH /api/sessions/jam/markers/m"] = () => new Promise((resolve) => (answer = () => resolve(gone)));
  const moved = song.annotations.changeMarker("m", { atBeat: 65 });
  await settled();
  assert.deepEqual(song.markers, []);
  answer();
  await assert.rejects(moved, { code: "marker_not_found" });
  assert.deepEqual(song.markers, []);
  const marker = { id: "n", name: "Verse", atBeat: 0, endBeat: null };
  song.heard("marker.added", marker);
  studio.answers["PATCH /api/sessions/jam/markers/n"] = () => new Promise((resolve) => (answer = () => resolve({ marker })));
  const late = song.annotations.changeMarker("n", { atBeat: 1 });
  await settled();
  song.heard("marker.removed", { markerId: "n" });
  answer();
  await late;
  assert.deepEqual(song.markers, [], "nor does an answer that comes late");
});

test("what is put away is asked for no change any more, and goes behind the one that is under way", async () => {
  const ofMarker = {
    change: ({ annotations }, atBeat) => annotations.changeMarker("m", { atBeat }),
    remove: ({ annotations }) => annotations.removeMarker("m"),
    left: ({ markers }) => markers,
  };
  const ofUpload = {
    change: (song, gainDb) => song.change("a", { gainDb }),
    remove: (song) => song.discard("a"),
    left: ({ tracks }) => tracks,
  };
  for (const [path, { change, remove, left }] of [["/api/sessions/jam/markers/m", ofMarker], ["/api/upload/a", ofUpload]]) {
    const studio = new Studio();
    const song = songOf(studio, [upload("a")]);
    await song.refresh();
    const marker = { id: "m", name: "Chorus", atBeat: 64, endBeat: null };
    song.heard("marker.added", marker);
    let answer = null;
    studio.answers[`PATCH ${path}`] = () => new Promise((resolve) => (answer = () => resolve({ marker, upload: upload("a") })));
    studio.answers[`DELETE ${path}`] = () => ({ ok: true });
    const changes = [change(song, -1)];
    await settled();
    changes.push(change(song, -2));
    const removed = remove(song);
    await settled();
    const asked = () => studio.asked.filter((each) => each.path === path).map(({ method, body }) => [method, body && Object.values(body)]);
    assert.deepEqual(asked(), [["PATCH", [-1]]], path);
    answer();
    await Promise.all([...changes, removed]);
    assert.deepEqual(asked(), [["PATCH", [-1]], ["DELETE", undefined]], path);
    assert.deepEqual(left(song), [], path);
  }
});

test("what somebody else has put away already is put away", async () => {
  const studio = new Studio();
  const song = songOf(studio, []);
  song.heard("marker.added", { id: "m", name: "Chorus", atBeat: 64, endBeat: null });
  const answers = [{ status: 503, error: "Not now.", code: "unavailable" }, { status: 404, error: "Gone.", code: "marker_not_found" }];
  studio.answers["DELETE /api/sessions/jam/markers/m"] = () => answers.shift();
  await assert.rejects(song.annotations.removeMarker("m"), { message: "Not now." });
  assert.equal(song.markers.length, 1);
  await song.annotations.removeMarker("m");
  assert.deepEqual(song.markers, []);
});

test("undo waits for what is on its way to the studio: it is what I did last", async () => {
  const { studio, song, activity } = undoing();
  activity.change(ME, "bass", -1);
  song.put(upload("vox"));
  let answer = null;
  studio.answers["PATCH /api/upload/vox"] = ({ gainDb }) => new Promise((resolve) => {
    answer = () => {
      activity.change(ME, "vox", gainDb);
      resolve({ upload: upload("vox", { gainDb }) });
    };
  });
  const changes = [song.change("vox", { gainDb: -3 })];
  await settled();
  changes.push(song.change("vox", { gainDb: -5 }));
  const undone = song.undo();
  await settled();
  answer();
  await settled();
  answer();
  await Promise.all(changes);
  assert.equal((await undone).after, -5);
  assert.deepEqual([activity.value("bass"), activity.value("vox")], [-1, -3]);
});

test("changes of one thing are asked for one after the other, also behind one that failed; what is new or of others does not wait", async () => {
  const studio = new Studio();
  const { ask } = await module("controls/api.js");
  const answers = [];
  studio.answers["PATCH /share"] = () => new Promise((resolve) => answers.push(resolve));
  studio.answers["PATCH /other"] = () => ({ ok: true });
  studio.answers["GET /share"] = () => ({ ok: true });
  studio.answers["POST /share"] = () => ({ ok: true });
  const turns = [true, false, true].map((download) => ask("PATCH", "/share", { download }));
  await Promise.all([ask("PATCH", "/other", {}), ask("GET", "/share"), ask("POST", "/share", {})]);
  const asked = () => studio.asked.filter(({ method, path }) => method === "PATCH" && path === "/share").map(({ body }) => body.download);
  assert.deepEqual(asked(), [true]);
  answers[0]({ status: 503, error: "Not now.", code: "unavailable" });
  await assert.rejects(turns[0], { message: "Not now." });
  await settled();
  assert.deepEqual(asked(), [true, false]);
  answers[1]({ ok: true });
  await settled();
  answers[2]({ ok: true });
  assert.deepEqual(await Promise.all(turns.slice(1)), [{ ok: true }, { ok: true }]);
  assert.deepEqual(asked(), [true, false, true]);
});

test("whoever leaves the page loses no change: what waits for its turn is asked for then, of one thing in one request", async () => {
  const studio = new Studio();
  const { ask } = await module("controls/api.js");
  const answers = [];
  const answer = () => new Promise((resolve) => answers.push(resolve));
  Object.assign(studio.answers, { "PATCH /jam": answer, "PATCH /share": answer, "DELETE /share": answer, "PATCH /api/upload/vox": answer });
  const asked = () => studio.asked.map(({ method, path, body }) => [method, path, body]);
  const song = songOf(studio, [upload("vox")]);
  await song.refresh();
  studio.asked.length = 0;
  const turns = [{ tempoBpm: 90 }, { tempoBpm: 91, name: "Dawn" }, { tempoBpm: 92 }].map((patch) => ask("PATCH", "/jam", patch));
  turns.push(ask("PATCH", "/share", { download: true }), ask("DELETE", "/share"));
  turns.push(song.change("vox", { gainDb: -1 }));
  await settled();
  turns.push(song.change("vox", { pan: 1 }), song.change("vox", { gainDb: -2 }));
  await settled();
  const sent = [["PATCH", "/jam", { tempoBpm: 90 }], ["PATCH", "/share", { download: true }], ["PATCH", "/api/upload/vox", { gainDb: -1 }]];
  assert.deepEqual(asked(), sent);
  page.dispatchEvent(new Event("pagehide"));
  sent.push(["PATCH", "/jam", { tempoBpm: 92, name: "Dawn" }], ["DELETE", "/share", undefined], ["PATCH", "/api/upload/vox", { pan: 1, gainDb: -2 }]);
  assert.deepEqual(asked(), sent);
  // The browser may keep the page, and show it again.
  page.dispatchEvent(new Event("pageshow"));
  for (const resolve of answers) resolve({ upload: upload("vox", { pan: 1, gainDb: -2 }) });
  await Promise.all(turns);
  assert.deepEqual([song.mix("vox").pan, song.mix("vox").gainDb, asked()], [1, -2, sent]);
  ask("PATCH", "/jam", { tempoBpm: 93 });
  ask("PATCH", "/jam", { tempoBpm: 94 });
  assert.equal(asked().length, sent.length + 1);
});

test("only what the studio says changes the song, and only what it is known to say", async () => {
  for (const type of ["upload.changed", "upload.x", "marker.removed.x", "comment.added", "session.updated", "", "export.progress"]) {
    assert.ok(!isGenuine({ type, from: "bo" }), type);
    assert.ok(isGenuine({ type, from: null }), type);
  }
  assert.ok(isGenuine({ type: "chat", from: "bo" }));
  const song = songOf(new Studio(), [upload("a")]);
  await song.refresh();
  song.heard("marker.added", { id: "m", name: "Chorus", atBeat: 64, endBeat: null });
  song.events = [];
  assert.equal(song.heard("upload.x", { sessionId: "jam", id: "bb" }), false);
  assert.equal(song.heard("upload.changed.x", upload("a", { gainDb: 6 })), false);
  assert.equal(song.heard("marker.removed.x", { markerId: "m" }), false);
  assert.equal(song.heard("marker.x", { id: "n" }), false);
  assert.equal(song.heard("comment.x", { id: "c", author: { id: "bo" } }), false);
  assert.deepEqual([song.tracks.length, song.mix("a").gainDb, song.markers.length, song.comments, song.events], [1, 0, 1, [], []]);
});

test("a clip moves, is trimmed and faded within what is possible", () => {
  const clip = upload("a", { offsetSeconds: 4, trimStartSeconds: 1, trimEndSeconds: 2 });
  assert.deepEqual([beginsAt_s(clip), endsAt_s(clip)], [5, 12]);
  assert.deepEqual(movedTo(clip, "place", 8), { offsetSeconds: 7 });
  assert.deepEqual(movedTo(clip, "place", -3), { offsetSeconds: 0 });
  assert.deepEqual(movedTo(clip, "trim-start", 4.5), { trimStartSeconds: 0.5 });
  assert.deepEqual(movedTo(clip, "trim-start", 99), { trimStartSeconds: 7.99 });
  assert.deepEqual(movedTo(clip, "trim-end", 13.5), { trimEndSeconds: 0.5 });
  assert.deepEqual(movedTo(clip, "fade-in", 6), { fadeInSeconds: 1 });
  assert.deepEqual(movedTo(clip, "fade-out", -6), { fadeOutSeconds: 7 });
});

test("a track comes to stand between its new neighbours", () => {
  const tracks = groupTracks([upload("a", { position: 1 }), upload("bb", { position: 2 }), upload("ccc", { position: 3 })]);
  assert.deepEqual([0, 1, 2].map((place) => positionAt(tracks, "ccc", place)), [0, 1.5, 3]);
});

test("places and lengths are told in bars and beats", () => {
  const scale = new Scale(120, 4, 100);
  assert.deepEqual([scale.placeInWords(0), scale.placeInWords(4.5), scale.placeInWords(4.62)], ["bar 1", "bar 3.2", "bar 3.2 and 120 ms"]);
  const lengths = { 24: "12 bars", 1.5: "3 beats", 2.5: "1 bar and 1 beat", 0.7: "0.7 seconds", 0.96: "1 second" };
  for (const [seconds, words] of Object.entries(lengths)) assert.equal(scale.lengthInWords(Number(seconds)), words);
  assert.deepEqual([-0.04, 0.04, -0.05, 0.5, -6].map(gainInWords), ["0 dB", "0 dB", "−0.1 dB", "+0.5 dB", "−6 dB"]);
  assert.deepEqual(["17", "17.3", "bar 17.3.25", "0", "17.5", "x"].map((each) => scale.beatOfText(each)), [64, 66, 66.25, null, null, null]);
  assert.deepEqual([64, 66, 66.25].map((beat) => scale.placeAsText(beat)), ["17", "17.3", "17.3.25"]);
  assert.deepEqual([scale.snapped_s(4.6), new Scale(120, 4, 1).snapped_s(4.6)], [4.5, 4], "beats, or bars where they are too narrow");
  assert.deepEqual(new Scale(120, 4, 2).grid, { barsPerLine: 4, barsPerLabel: 16, hasBeats: false });
  assert.deepEqual(new Scale(120, 4, 100).grid, { barsPerLine: 1, barsPerLabel: 1, hasBeats: true });
});

test("nearer, finer peaks are asked for, and until they are there the overview stands in", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const studio = new Studio();
  studio.answers["GET /api/upload/a/peaks"] = (_, query) =>
    query ? { durationSeconds: 10, peaks: [0.25, 0.75] } : { durationSeconds: 10, peaks: [0, 1] };
  let changes = 0;
  const peaks = new Peaks(upload("a"), { changed: () => (changes += 1), heard: () => {}, failed: assert.fail });
  assert.equal(studio.asked.length, 0, "what is not seen is not asked for");
  peaks.ask();
  peaks.ask();
  await settled();
  assert.deepEqual([...peaks.columns(0, 0.2, 2)], [0, 1]);
  peaks.columns(0, 50, 1);
  assert.deepEqual([...peaks.columns(0, 100, 3)], [0, 0, 0]);
  assert.equal(studio.asked.length, 1, "not while somebody zooms on");
  t.mock.timers.tick(500);
  assert.equal(studio.asked.length, 2);
  const [, asked] = studio.asked;
  assert.deepEqual(Object.fromEntries(asked.query), { from: "0", to: "8", points: "1024" });
  await settled();
  assert.deepEqual([...peaks.columns(7.99, 100, 1)], [0.75]);
  assert.equal(changes, 2);
  assert.equal(loudest({ from_s: 0, to_s: 4, peaks: [0, 1, 0, 0.5] }, 1, 4), 1);
  peaks.close();
});
