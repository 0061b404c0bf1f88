// What is written on a session's timeline: markers, sections and comments.

import { ask } from "../controls/api.js";
import { Collection } from "./collection.js";

const PAGE = 200;

export class Annotations {
  #path;
  #changed;
  #isClosed = false;
  #markers;
  #comments;

  // `changed(name)` is told that "markers" or "comments" are others.
  constructor(sessionId, changed) {
    this.#path = `/api/sessions/${sessionId}`;
    this.#changed = changed;
    this.#markers = new Collection(`${this.#path}/markers`, "markers");
    this.#comments = new Collection(`${this.#path}/comments`, "comments", { limit: PAGE });
  }

  // By their place. One with `endBeat` is a section.
  get markers() {
    return this.#markers.all.sort((one, other) => one.atBeat - other.atBeat);
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

  // Shown at once, and put back when it is refused.
  async changeMarker(markerId, patch) {
    const before = this.#markers.get(markerId);
    this.heard("marker.changed", { ...before, ...patch });
    try {
      this.heard("marker.changed", (await ask("PATCH", `${this.#path}/markers/${markerId}`, patch)).marker);
    } catch (problem) {
      if (problem.code === "marker_not_found") this.heard("marker.removed", { markerId });
      else this.heard("marker.changed", before);
      throw problem;
    }
  }

  async removeMarker(markerId) {
    await ask("DELETE", `${this.#path}/markers/${markerId}`);
    this.heard("marker.removed", { markerId });
  }

  async addComment(comment) {
    const answer = await ask("POST", `${this.#path}/comments`, comment);
    this.heard("comment.added", answer.comment);
    return answer.comment;
  }

  // What the room says of them. Whether it was that.
  heard(type, payload) {
    const [what, happening] = type.split(".");
    const collection = { marker: this.#markers, comment: this.#comments }[what];
    if (!collection) return false;
    if (this.#isClosed) return true;
    if (happening === "removed") collection.remove(payload.markerId ?? payload.commentId);
    else collection.put(payload);
    this.#changed(`${what}s`);
    return true;
  }

  close() {
    this.#isClosed = true;
    for (const collection of [this.#markers, this.#comments]) collection.clear();
    for (const name of ["markers", "comments"]) this.#changed(name);
  }
}
