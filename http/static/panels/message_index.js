// Which messages are shown, so that one that comes twice is shown once: live and read from the web, or relayed again after
// a crash of the gateway. The same message has the same place in the room's order, or the same sender and id, and the
// same text: a program may give one id to everything that it says.

export class MessageIndex {
  // The entries in the log, by place and by sender and id.
  #entries = new Map();
  // The newest place of each numbering.
  #newest = new Map();

  clear() {
    this.#entries.clear();
    this.#newest.clear();
  }

  // Whether a message with a later place is shown.
  isAhead({ epoch, offset }) {
    return (this.#newest.get(epoch) ?? 0) > offset;
  }

  // The entry of this message, undefined when it is not shown. `place` is `{ epoch, offset }`.
  find(memberId, id, text, { epoch, offset }) {
    const entry = this.#entries.get(`${epoch}:${offset}`) ?? this.#entries.get(nameOf(memberId, id));
    return entry?.isConnected && entry.querySelector(".said-text").textContent === text ? entry : undefined;
  }

  // It is shown by this entry. What is not known of it yet may be left out.
  add(entry, memberId, id, place) {
    if (id !== undefined) this.#entries.set(nameOf(memberId, id), entry);
    if (!place) return;
    this.#entries.set(`${place.epoch}:${place.offset}`, entry);
    entry.dataset.epoch = place.epoch;
    entry.dataset.offset = place.offset;
    this.#newest.set(place.epoch, Math.max(this.#newest.get(place.epoch) ?? 0, place.offset));
  }

  // Forget entries that are not in the log any more.
  forgetRemoved() {
    for (const [key, entry] of this.#entries) if (!entry.isConnected) this.#entries.delete(key);
  }
}

function nameOf(memberId, id) {
  return `${memberId} ${JSON.stringify(id)}`;
}
