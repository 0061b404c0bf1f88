// What somebody changes here of one upload: in the hand, and asked for.
//
// It is shown and heard at once, and asked of the studio one request at a time. Until the studio has answered, news of the
// same values from elsewhere does not move the control under the hand. A refusal puts all of it back.

import { ask } from "../controls/api.js";

export class Edits {
  #id;
  #held = {};
  #wanted = {};
  #asked = {};
  #running = null;
  #told;

  // `told`: `upload()` as the studio has it now, `changed()` when `values` are others, `answered(upload)`.
  constructor(id, told) {
    this.#id = id;
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

  // Nothing was meant by what was held.
  release() {
    this.#held = {};
    this.#told.changed();
  }

  // Errors: the `Problem` with which the studio has refused it.
  change(patch) {
    const before = { ...this.#told.upload(), ...this.#asked };
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
    try {
      while (Object.keys(this.#wanted).length > 0) {
        this.#asked = this.#wanted;
        this.#wanted = {};
        const { upload } = await ask("PATCH", `/api/upload/${this.#id}`, this.#asked);
        this.#asked = {};
        this.#told.answered(upload);
      }
    } finally {
      this.#asked = {};
      this.#wanted = {};
      this.#running = null;
      this.#told.changed();
    }
  }
}
