// Files on their way, kept in the browser until the studio has them, so that a page that is loaded again goes on with them.
//
// A file is kept as `{ id, sessionId, memberId, file, begin_s, addedAt }`, and beside it the place where its bytes go, once
// that is known. Whoever sends it holds its lock, so that other tabs leave it alone. What the browser has no room for, or
// cannot keep (as in some private windows), is sent all the same, but not by a page that is loaded again.

import { count, lock, lockLeft, mark, openDatabase, read, readAll, write } from "./browser_database.js";

const DATABASE = "omnisonic.files";
const FILES = "files";
const PLACES = "places";
// As in `sending.js`.
const MARK = "omnisonic.files";
const LOCK = "omnisonic.file.";
// The studio forgets what is not finished after a day.
const LONGEST_MS = 86_400_000;

export class KeptFiles {
  #database;
  #lastAddedAt = 0;

  constructor(database) {
    this.#database = database;
  }

  // Errors: the browser keeps nothing.
  static async open() {
    return new KeptFiles(await openDatabase(DATABASE, { [FILES]: { keyPath: "id" }, [PLACES]: {} }));
  }

  // Keep a file: `about` is `{ sessionId, memberId, file, begin_s }`. Null when it cannot be kept.
  async keep(about) {
    this.#lastAddedAt = Math.max(Date.now(), this.#lastAddedAt + 1);
    const id = crypto.getRandomValues(new Uint32Array(4)).join("-");
    const entry = { ...about, id, addedAt: this.#lastAddedAt };
    const release = await lock(LOCK + id);
    try {
      await write(this.#database, [FILES], (transaction) => transaction.objectStore(FILES).put(entry));
    } catch (error) {
      console.warn("a file is not kept", error?.name);
      await release();
      return null;
    }
    mark(MARK, true);
    return new KeptFile(this.#database, entry, null, release);
  }

  // Take those of `memberId` in this session that nobody sends any more, in the order in which they were added. What is
  // older than a day goes.
  async resume(sessionId, memberId) {
    const isOld = ({ addedAt }) => Date.now() - addedAt > LONGEST_MS;
    const isMine = (entry) => entry.sessionId === sessionId && entry.memberId === memberId;
    const all = await readAll(this.#database, FILES);
    mark(MARK, all.length > 0);
    const asked = all.filter((entry) => isOld(entry) || isMine(entry)).sort((one, other) => one.addedAt - other.addedAt);
    const taken = (await Promise.all(asked.map((entry) => this.#take(entry)))).filter((kept) => kept !== null);
    const [old, mine] = [taken.filter(isOld), taken.filter((kept) => !isOld(kept))];
    for (const kept of old) await kept.remove();
    return mine;
  }

  // Null when another tab has it, or had it until now and is done with it.
  async #take({ id }) {
    const release = await lockLeft(LOCK + id);
    if (release === null) return null;
    const entry = await read(this.#database, FILES, id);
    if (entry) return new KeptFile(this.#database, entry, (await read(this.#database, PLACES, id)) ?? null, release);
    await release();
    return null;
  }
}

class KeptFile {
  file;
  begin_s;
  addedAt;
  // Where its bytes went when it was taken; null before that was known.
  place;
  #id;
  #database;
  #release;

  constructor(database, { id, file, begin_s, addedAt }, place, release) {
    [this.#database, this.#id, this.#release] = [database, id, release];
    [this.file, this.begin_s, this.addedAt, this.place] = [file, begin_s, addedAt, place];
  }

  // Its bytes go there; nowhere yet at null.
  placed(place) {
    return this.#write((transaction) => transaction.objectStore(PLACES).put(place, this.#id));
  }

  // The studio has it, or nobody wants it any more.
  async remove() {
    await this.#write((transaction) => {
      for (const name of [FILES, PLACES]) transaction.objectStore(name).delete(this.#id);
    });
    mark(MARK, (await count(this.#database, FILES).catch(() => 1)) > 0);
    await this.#release();
  }

  // What cannot be written is found a day later.
  async #write(act) {
    await write(this.#database, [FILES, PLACES], act).catch((error) => console.warn("a kept file", error?.name));
  }
}
