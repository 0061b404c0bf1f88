// Recordings that are not uploaded yet, kept in the browser (IndexedDB), so that a crash costs seconds.
//
// A recording is `{ id, sessionId, memberId, run, pass, name, takeOf, offsetSeconds, channels, sampleRate, startedAt, place,
// bytes }`: `run` is the same for all passes of a loop, and `pass` which one it is; `place` is where its bytes go (null
// before that is known), `bytes` how many bytes of sound are kept. Its pieces are of equal length but for the last. Whoever
// records holds its lock, so that other tabs leave it alone; the lock goes with the tab. When there is no room, or no
// IndexedDB (as in some private windows), pieces stay in memory, and `isSafe` is false.

const DATABASE = "omnisonic";
const VERSION = 1;
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
      return new RecordingStore(await openDatabase());
    } catch (error) {
      console.warn("recordings are not kept", error.name);
      return new RecordingStore(null);
    }
  }

  // Keep a new recording.
  async begin(recording) {
    this.#inMemory.set(recording.id, new Map());
    this.#mark(true);
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
    const read = this.#database.transaction(PIECES).objectStore(PIECES).get([id, number]);
    return (await result(read)) ?? null;
  }

  // Those of `memberId` in this session that nobody is at any more, oldest first. What is older than 30 days goes.
  async unfinished(sessionId, memberId) {
    if (this.#database === null) return [];
    const all = await result(this.#database.transaction(RECORDINGS).objectStore(RECORDINGS).getAll());
    const found = [];
    for (const recording of all.sort((one, other) => one.startedAt - other.startedAt)) {
      if (await isLocked(recording.id)) continue;
      const isOld = Date.now() - recording.startedAt > LONGEST_DAYS * DAY_MS;
      if (isOld || recording.bytes === 0) await this.remove(recording.id);
      else if (recording.sessionId === sessionId && recording.memberId === memberId) found.push(recording);
    }
    this.#mark(all.length > 0);
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
    this.#mark((await result(this.#database.transaction(RECORDINGS).objectStore(RECORDINGS).count())) > 0);
  }

  // Whether it is written. When there is no room any more, it is said once.
  async #write(act) {
    return this.isSafe && this.#commit(act);
  }

  async #commit(act) {
    try {
      const transaction = this.#database.transaction([RECORDINGS, PIECES], "readwrite");
      act(transaction);
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = transaction.onerror = () => reject(transaction.error);
      });
      return true;
    } catch (error) {
      console.warn("a recording is not kept", error?.name);
      this.isSafe = false;
      return false;
    }
  }

  #mark(isThere) {
    if (isThere) localStorage.setItem(MARK, "1");
    else localStorage.removeItem(MARK);
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

// Hold a recording's lock until `release` is called, which waits until it is free. `release`, or null when another tab
// has it.
export function lock(id) {
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(LOCK + id, { ifAvailable: true }, (granted) => {
      if (granted === null) return resolve(null);
      return new Promise((free) => resolve(() => {
        free();
        return held;
      }));
    });
    held.catch(reject);
  });
}

async function isLocked(id) {
  const release = await lock(id);
  await release?.();
  return release === null;
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, VERSION);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(RECORDINGS, { keyPath: "id" });
      opening.result.createObjectStore(PIECES);
    };
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
    opening.onblocked = () => reject(new DOMException("blocked", "InvalidStateError"));
  });
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
