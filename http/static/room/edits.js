// What is another here than in the studio: changes on their way to it, and what is mine alone.

// --- changes ---------------------------------------------------------------------------------------------------------
//
// What somebody changes here of one upload or marker: in the hand, and asked for.
//
// It is shown and heard at once, and asked of the studio one request at a time; all that is left when the page is left.
// Until the studio has answered, news of the same values from elsewhere does not move the control under the hand. A refusal
// puts all of it back.

export class Edits {
  #held = {};
  #wanted = {};
  #asked = {};
  #running = null;
  #told;

  // `told`: `known()` as the studio has it now, `changed()` when `values` are others; `send(patch)` asks the studio, and what
  // it has answered `answered(answer)` is told.
  constructor(told) {
    this.#told = told;
  }

  // What is to be heard instead of what the studio has.
  get values() {
    return { ...this.#asked, ...this.#wanted, ...this.#held };
  }

  // Shown, while the hand is still moving.
  hold(patch) {
    Object.assign(this.#held, patch);
    this.#told.changed();
  }

  // Nothing was meant by what was held of these.
  release(names = Object.keys(this.#held)) {
    for (const name of names) delete this.#held[name];
    this.#told.changed();
  }

  // What it is of is to go: nothing more is asked for.
  drop() {
    this.#held = {};
    this.#wanted = {};
    this.#told.changed();
  }

  // Errors: the `Problem` with which the studio has refused it.
  change(patch) {
    const before = { ...this.#told.known(), ...this.#asked };
    for (const [name, value] of Object.entries(patch)) {
      delete this.#held[name];
      // Where it was before is nothing to ask for.
      if (before[name] === value) delete this.#wanted[name];
      else this.#wanted[name] = value;
    }
    this.#told.changed();
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run() {
    // So that this promise is kept before it can be over.
    await null;
    globalThis.addEventListener?.("pagehide", this.#leave);
    try {
      while (Object.keys(this.#wanted).length > 0) {
        this.#asked = this.#wanted;
        this.#wanted = {};
        const answer = await this.#told.send(this.#asked);
        this.#asked = {};
        this.#told.answered(answer);
      }
    } finally {
      globalThis.removeEventListener?.("pagehide", this.#leave);
      this.#asked = {};
      this.#wanted = {};
      this.#running = null;
      this.#told.changed();
    }
  }

  // The page is left: there is no time to wait for the answer before.
  #leave = () => {
    const patch = this.#wanted;
    if (Object.keys(patch).length === 0) return;
    this.#asked = { ...this.#asked, ...patch };
    this.#wanted = {};
    this.#told.send(patch).then((answer) => this.#told.answered(answer), () => {});
  };
}

// --- mine alone ------------------------------------------------------------------------------------------------------
//
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
