// What is mine alone of a session: which tracks I have soloed, and how loud I hear it. Kept in this browser, never sent.

export class Mine {
  #key;
  #storage;
  #values = { solo: [], volumeDb: 0 };

  constructor(sessionId, storage) {
    this.#key = `omnisonic.mine.${sessionId}`;
    this.#storage = storage;
    try {
      Object.assign(this.#values, JSON.parse(storage?.getItem(this.#key) ?? "{}"));
    } catch {
      // Not ours, or storage is switched off: it is as if nothing was kept.
    }
  }

  get volumeDb() {
    return this.#values.volumeDb;
  }

  set volumeDb(volumeDb) {
    this.#keep({ volumeDb });
  }

  isSoloed(trackId) {
    return this.#values.solo.includes(trackId);
  }

  solo(trackId, on) {
    const others = this.#values.solo.filter((id) => id !== trackId);
    this.#keep({ solo: on ? [...others, trackId] : others });
  }

  #keep(change) {
    Object.assign(this.#values, change);
    try {
      this.#storage?.setItem(this.#key, JSON.stringify(this.#values));
    } catch {
      // Full or switched off: it holds until the page is left.
    }
  }
}
