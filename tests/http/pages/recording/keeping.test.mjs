// Recordings on their way to the studio, and what the browser keeps of them: run by test_recording_programs.py, in Node and
// without a page.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { RecordedTakes } = await import(new URL("uploading/recorded_takes.js", folder));
const { RecordingStore } = await import(new URL("uploading/recording_store.js", folder));

const PLACE = "/api/upload/tus";
const ABOUT = { run: "r", sessionId: "jam", memberId: "me", takeOf: "vox", sampleRate: 48_000, channels: 1, pieceBytes: 6, offsetSeconds: 0 };
const PIECE = new Uint8Array(6).fill(1);

function provide(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

// --- a studio --------------------------------------------------------------------------------------------------------

// It takes recordings by tus, for the tracks that it has, and says what it was asked for.
class Studio {
  tracks = new Set();
  uploads = new Map();
  asked = [];

  tus(method, path, headers, body) {
    const id = path.split("/").pop();
    const takeOf = /takeOf ([^,]+)/.exec(headers["Upload-Metadata"] ?? "")?.[1];
    this.asked.push(takeOf ? `${method} ${atob(takeOf)}` : method);
    if (method === "POST") return this.#create(takeOf ? atob(takeOf) : null);
    const upload = this.uploads.get(id);
    if (method === "PATCH") upload.size += body.length;
    return { status: method === "PATCH" ? 204 : 200, headers: { "Upload-Offset": String(upload.size) } };
  }

  #create(takeOf) {
    if (takeOf !== null && !this.tracks.has(takeOf)) return { status: 404, answer: { code: "track_not_found", error: "There is no such track." } };
    const id = `upload${this.uploads.size + 1}`;
    this.uploads.set(id, { id, takeOf: takeOf ?? id, size: 0, offsetSeconds: 0, chosen: takeOf === null });
    this.tracks.add(takeOf ?? id);
    return { status: 201, headers: { Location: `${PLACE}/${id}` } };
  }

  // How many tracks the uploads are in.
  get trackIds() {
    return [...new Set([...this.uploads.values()].map(({ takeOf }) => takeOf))];
  }
}

let studio = null;

class Request extends EventTarget {
  upload = new EventTarget();
  status = 0;
  responseText = "";
  #headers = {};
  #answered = {};

  open(method, path) {
    [this.method, this.path] = [method, path];
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  getResponseHeader(name) {
    return this.#answered[name] ?? null;
  }

  async send(body) {
    await null;
    const { status, headers = {}, answer = null } = studio.tus(this.method, this.path, this.#headers, body);
    [this.status, this.#answered, this.responseText] = [status, headers, JSON.stringify(answer)];
    this.dispatchEvent(new Event("loadend"));
  }
}

// --- a database ------------------------------------------------------------------------------------------------------

// As much of IndexedDB as the store asks for. While it is full, nothing can be put there.
class Database {
  isFull = false;
  #stores = { recordings: new Map(), pieces: new Map() };

  transaction() {
    const transaction = { error: null };
    queueMicrotask(() => (transaction.error === null ? transaction.oncomplete?.() : transaction.onabort?.()));
    transaction.objectStore = (name) => this.#access(this.#stores[name], transaction);
    return transaction;
  }

  #access(content, transaction) {
    const answered = (result) => {
      const request = { result };
      queueMicrotask(() => request.onsuccess?.());
      return request;
    };
    return {
      put: (value, key = value.id) => {
        if (this.isFull) transaction.error = new DOMException("full", "QuotaExceededError");
        else content.set(String(key), value);
      },
      delete: (key) => {
        for (const each of [...content.keys()]) if (each === key || each.startsWith(`${key.first},`)) content.delete(each);
      },
      get: (key) => answered(content.get(String(key))),
      getAll: () => answered([...content.values()]),
      count: () => answered(content.size),
    };
  }
}

const marks = new Map();
provide("IDBKeyRange", { bound: ([first]) => ({ first }) });
provide("XMLHttpRequest", Request);
provide("location", { href: "http://studio.test/" });
provide("navigator", {});
provide("localStorage", { setItem: (key, value) => marks.set(key, value), removeItem: (key) => marks.delete(key) });
provide("fetch", async (path, { method, body }) => {
  const upload = studio.uploads.get(path.split("/").pop());
  if (method === "PATCH") Object.assign(upload, JSON.parse(body));
  return Response.json({ upload });
});
// A full database is said once, and is what is tried here.
console.warn = () => {};

beforeEach(() => {
  studio = new Studio();
  marks.clear();
});

// That many passes of a loop, each of one piece.
function recorded(store, passes) {
  const takes = new RecordedTakes(store);
  for (let pass = 0; pass < passes; pass += 1) {
    takes.begin({ ...ABOUT, pass, name: `Vox ${pass}` });
    takes.add([PIECE]);
  }
  return takes;
}

// --- what is promised ------------------------------------------------------------------------------------------------

test("a take whose track was removed becomes a track of its own", async () => {
  const takes = recorded(new RecordingStore(new Database()), 1);
  await takes.send();
  const [landed] = await finished(takes);
  assert.deepEqual([landed.takeOf, landed.id], ["upload1", "upload1"]);
  assert.deepEqual(studio.asked.slice(0, 2), ["POST vox", "POST"]);
  assert.ok(takes.seconds > 0 && landed.size === 50);
});

test("all passes of a loop whose track was removed are takes of one new track", async () => {
  for (const sends of [0, 1, 2]) {
    studio = new Studio();
    const takes = recorded(new RecordingStore(new Database()), 3);
    for (let time = 0; time < sends; time += 1) await takes.send();
    await finished(takes);
    assert.deepEqual(studio.trackIds, ["upload1"], `sent ${sends} times before`);
    assert.equal(studio.uploads.size, 3);
  }
});

test("a take goes to its track while that is there", async () => {
  studio.tracks.add("vox");
  const [landed] = await finished(recorded(new RecordingStore(new Database()), 1));
  assert.deepEqual([landed.takeOf, landed.chosen], ["vox", true]);
});

test("what was sent in full is not offered again, also when the browser had no room in between", async () => {
  const database = new Database();
  const store = new RecordingStore(database);
  studio.tracks.add("vox");
  const takes = recorded(store, 1);
  await takes.send();
  database.isFull = true;
  takes.add([PIECE]);
  await takes.send();
  assert.equal(store.isSafe, false);
  await finished(takes);
  assert.deepEqual(await new RecordingStore(database).unfinished("jam", "me"), []);
  assert.equal(marks.size, 0);
});

test("what was not sent is offered again", async () => {
  const database = new Database();
  await recorded(new RecordingStore(database), 1).send();
  const [offered] = await new RecordingStore(database).unfinished("jam", "me");
  assert.deepEqual([offered.name, offered.bytes, marks.size], ["Vox 0", 6, 1]);
});

async function finished(takes) {
  const landed = [];
  await takes.finish({ landed: (upload) => landed.push(upload) });
  return landed;
}
