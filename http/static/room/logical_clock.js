// When each thing was last heard of, counted in events, not in seconds.
//
// An answer may be older than what was heard while it was under way; then what was heard counts.

export class LogicalClock {
  #count = 0;
  // By id, also of what is gone.
  #heard = new Map();

  // How much has been heard so far.
  get count() {
    return this.#count;
  }

  note(id) {
    this.#count += 1;
    this.#heard.set(id, this.#count);
  }

  // Whether nothing was heard of it since there were `count` events: what was asked then may be believed.
  isSilentOn(id, count) {
    return (this.#heard.get(id) ?? 0) <= count;
  }
}
