// Recordings that are not uploaded yet, kept in the browser (IndexedDB), so that a crash costs seconds.
//
// A recording is `{ id, sessionId, memberId, run, pass, name, takeOf, offsetSeconds, channels, sampleRate, startedAt, place,
// bytes }`: `run` is the same for all passes of a loop, and `pass` which one it is; `place` is where its bytes go (null
// before that is known), `bytes` how many bytes of sound are kept. Its pieces are of equal length but for the last. Whoever
// records holds its lock, so that other tabs leave it alone; the lock goes with the tab. When there is no room, or no
// IndexedDB (as in some private windows), pieces stay in memory, and `isSafe` is false.

import { count, lock, lockLeft, mark, openDatabase, read, readAll, write } from "./browser_database.js";

const DATABASE = "omnisonic";
const RECORDINGS = "recordings";
const PIECES = "pieces";
// Whether there is anything, for pages that would rather not open the database.
const MARK = "omnisonic.recordings";
const LOCK = "omnisonic.recording.";
const LONGEST_DAYS = 30;
const DAY_MS = 86_400_000;

export class RecordingStore {
  // Whether what is kept outlives the tab.
  isSafe = true;
  #database;
  // By recording: pieces that could not be written.
  #inMemory = new Map();

  constructor(database) {
    this.#database = database;
    this.isSafe = database !== null;
  }

  static async open() {
    try {
      return new RecordingStore(await openDatabase(DATABASE, { [RECORDINGS]: { keyPath: "id" }, [PIECES]: {} }));
    } catch (error) {
      console.warn("recordings are not kept", error.name);
      return new RecordingStore(null);
    }
  }

  // Keep a new recording.
  async begin(recording) {
    this.#inMemory.set(recording.id, new Map());
    mark(MARK, true);
    await this.#write((transaction) => transaction.objectStore(RECORDINGS).put(recording));
  }

  // Keep the next piece; `recording` says how much there is with it.
  async append(recording, number, bytes) {
    const isWritten = await this.#write((transaction) => {
      transaction.objectStore(PIECES).put(bytes, [recording.id, number]);
      transaction.objectStore(RECORDINGS).put(recording);
    });
    if (!isWritten) this.#inMemory.get(recording.id).set(number, bytes);
  }

  // What is known of it has changed.
  async update(recording) {
    await this.#write((transaction) => transaction.objectStore(RECORDINGS).put(recording));
  }

  // One piece. Null when it is not there.
  async piece(id, number) {
    const inMemory = this.#inMemory.get(id)?.get(number);
    if (inMemory !== undefined || this.#database === null) return inMemory ?? null;
    return (await read(this.#database, PIECES, [id, number])) ?? null;
  }

  // Those of `memberId` in this session that nobody is at any more, oldest first. What is older than 30 days goes.
  async unfinished(sessionId, memberId) {
    if (this.#database === null) return [];
    const all = await readAll(this.#database, RECORDINGS);
    mark(MARK, all.length > 0);
    const found = [];
    const left = await Promise.all(all.map(({ id }) => this.#readLeft(id)));
    for (const recording of left.filter(Boolean).sort((one, other) => one.startedAt - other.startedAt)) {
      const isOld = Date.now() - recording.startedAt > LONGEST_DAYS * DAY_MS;
      if (isOld || recording.bytes === 0) await this.remove(recording.id);
      else if (recording.sessionId === sessionId && recording.memberId === memberId) found.push(recording);
    }
    return found;
  }

  async remove(id) {
    this.#inMemory.delete(id);
    if (this.#database === null) return;
    // Also when nothing more can be written: what was written before would be taken for unfinished.
    await this.#commit((transaction) => {
      transaction.objectStore(PIECES).delete(IDBKeyRange.bound([id], [id, []]));
      transaction.objectStore(RECORDINGS).delete(id);
    });
    mark(MARK, (await count(this.#database, RECORDINGS)) > 0);
  }

  // Nothing when somebody is at it, or was until now and is done with it.
  async #readLeft(id) {
    const release = await lockLeft(LOCK + id);
    if (release === null) return null;
    const recording = await read(this.#database, RECORDINGS, id);
    await release();
    return recording ?? null;
  }

  // Whether it is written. When there is no room any more, it is said once.
  async #write(act) {
    return this.isSafe && this.#commit(act);
  }

  async #commit(act) {
    try {
      await write(this.#database, [RECORDINGS, PIECES], act);
      return true;
    } catch (error) {
      console.warn("a recording is not kept", error?.name);
      this.isSafe = false;
      return false;
    }
  }
}

// How many bytes the browser has room for; null where it does not say.
export async function roomBytes() {
  try {
    const { quota, usage } = await navigator.storage.estimate();
    return Math.max(0, quota - usage);
  } catch {
    return null;
  }
}

// Hold a recording's lock, as `lock` does.
export function lockRecording(id) {
  return lock(LOCK + id);
}
