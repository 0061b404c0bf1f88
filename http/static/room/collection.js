// What the session has several of, kept as the studio has it: by what the room says, and by reading it again.

import { ask } from "../controls/api.js";
import { Edits } from "./edits.js";

// --- things of one kind ----------------------------------------------------------------------------------------------
//
// Things of one kind that a session has, kept as the studio has them: by what the room says, and by reading them again.
//
// What is read may be older than what was heard while it was under way; then what was heard counts.

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

// --- what was heard when ---------------------------------------------------------------------------------------------
//
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

// --- markers and comments --------------------------------------------------------------------------------------------
//
// What is written on a session's timeline: markers, sections and comments.

const PAGE = 200;
const NEWS = /^(?<what>marker|comment)\.(?<happening>added|changed|removed)$/u;

export class Annotations {
  #path;
  #changed;
  #isClosed = false;
  #markers;
  #comments;
  // Of markers, by id.
  #edits = new Map();

  // `changed(name)` is told that "markers" or "comments" are others.
  constructor(sessionId, changed) {
    this.#path = `/api/sessions/${sessionId}`;
    this.#changed = changed;
    this.#markers = new Collection(`${this.#path}/markers`, "markers");
    this.#comments = new Collection(`${this.#path}/comments`, "comments", { limit: PAGE });
  }

  // By their place, with what is changed here. One with `endBeat` is a section.
  get markers() {
    const markers = this.#markers.all.map((marker) => ({ ...marker, ...this.#edits.get(marker.id)?.values }));
    return markers.sort((one, other) => one.atBeat - other.atBeat);
  }

  get comments() {
    return this.#comments.all;
  }

  // Make them what the studio has. Errors: `Problem`, as of all that follow.
  async read() {
    await Promise.all([[this.#markers, "markers"], [this.#comments, "comments"]].map(async ([collection, name]) => {
      await collection.read();
      if (this.#isClosed) collection.clear();
      this.#changed(name);
    }));
  }

  async addMarker(marker) {
    this.heard("marker.added", (await ask("POST", `${this.#path}/markers`, marker)).marker);
  }

  // Shown at once, asked of the studio one after the other, and put back when it is refused.
  async changeMarker(markerId, patch) {
    try {
      await this.#editsOf(markerId).change(patch);
    } catch (problem) {
      if (problem.code === "marker_not_found") this.heard("marker.removed", { markerId });
      throw problem;
    }
  }

  #editsOf(markerId) {
    if (!this.#edits.has(markerId)) {
      this.#edits.set(markerId, new Edits({
        known: () => this.#markers.get(markerId) ?? {},
        changed: () => this.#changed("markers"),
        send: (patch) => ask("PATCH", `${this.#path}/markers/${markerId}`, patch),
        // Meanwhile somebody may have removed it.
        answered: ({ marker }) => this.#markers.get(markerId) && this.heard("marker.changed", marker),
      }));
    }
    return this.#edits.get(markerId);
  }

  async removeMarker(markerId) {
    this.#edits.get(markerId)?.drop();
    try {
      await ask("DELETE", `${this.#path}/markers/${markerId}`);
    } catch (problem) {
      if (problem.code !== "marker_not_found") throw problem;
    }
    this.heard("marker.removed", { markerId });
  }

  async addComment(comment) {
    const answer = await ask("POST", `${this.#path}/comments`, comment);
    this.heard("comment.added", answer.comment);
    return answer.comment;
  }

  // What the room says of them. Whether it was that.
  heard(type, payload) {
    const news = NEWS.exec(type);
    if (!news) return false;
    if (this.#isClosed) return true;
    const { what, happening } = news.groups;
    const collection = what === "marker" ? this.#markers : this.#comments;
    if (happening === "removed") {
      collection.remove(payload.markerId ?? payload.commentId);
      this.#edits.delete(payload.markerId);
    } else collection.put(payload);
    this.#changed(`${what}s`);
    return true;
  }

  close() {
    this.#isClosed = true;
    for (const collection of [this.#markers, this.#comments]) collection.clear();
    for (const name of ["markers", "comments"]) this.#changed(name);
  }
}
