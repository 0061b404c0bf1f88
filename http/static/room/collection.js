// Things of one kind that a session has, kept as the studio has them: by what the room says, and by reading them again.
//
// What is read may be older than what was heard while it was under way; then what was heard counts.

import { ask } from "../controls/api.js";
import { LogicalClock } from "./logical_clock.js";

export class Collection {
  #path;
  #query;
  #name;
  #items = new Map();
  #clock = new LogicalClock();

  // `path` answers `{[name]: [...], nextBefore?}`, in pages. `inner` is what an item of the answer has the thing in.
  constructor(path, name, query = {}, inner = (item) => item) {
    this.#path = path;
    this.#name = name;
    this.#query = query;
    this.inner = inner;
  }

  get all() {
    return [...this.#items.values()];
  }

  get(id) {
    return this.#items.get(id);
  }

  put(item) {
    this.#clock.note(item.id);
    this.#items.set(item.id, item);
  }

  // Whether it was there.
  remove(id) {
    this.#clock.note(id);
    return this.#items.delete(id);
  }

  clear() {
    this.#items.clear();
  }

  // Make it what the studio has. Errors: `Problem`.
  async read() {
    const since = this.#clock.count;
    const items = await this.#pages();
    const isOlder = (id) => this.#clock.isSilentOn(id, since);
    const there = new Set(items.map(({ id }) => id));
    for (const id of [...this.#items.keys()]) if (!there.has(id) && isOlder(id)) this.#items.delete(id);
    for (const item of items) if (isOlder(item.id)) this.#items.set(item.id, item);
  }

  async #pages() {
    const items = [];
    let before = null;
    do {
      const query = new URLSearchParams({ ...this.#query, ...(before && { before }) });
      const answer = await ask("GET", `${this.#path}?${query}`);
      items.push(...answer[this.#name].map(this.inner));
      before = answer.nextBefore ?? null;
    } while (before);
    return items;
  }
}
