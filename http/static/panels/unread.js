// What is new since somebody was here last: how much of it is in each tab, and telling the studio that it is seen now.

import { ask } from "../controls/api.js";

const EVERY_MS = 30_000;
// As many as the list of sessions looks at, which says how many are new, too.
const LOOKED_AT = 100;

export class Unread {
  #path;
  #sessionId;
  #myId;
  #isDue = false;
  #isOver = false;
  #toldAt = -Infinity;

  constructor(sessionId, myId) {
    this.#path = `/api/sessions/${sessionId}`;
    this.#sessionId = sessionId;
    this.#myId = myId;
  }

  // Something new has come, and is seen if the page is.
  noted() {
    this.#isDue = true;
  }

  // There is nothing to come back to, and nothing more to tell.
  close() {
    this.#isOver = true;
  }

  // How many are new: `{ talk, comments, activity }`. Knowing is a comfort: what cannot be read counts nothing.
  async count() {
    const seen = await this.#begin();
    if (seen === null) return {};
    // What comes later the room says.
    const [since, until] = [Date.parse(seen.previouslySeenAt), Date.parse(seen.seenAt)];
    const isNew = (at, by) => Date.parse(at) > since && Date.parse(at) <= until && by !== this.#myId;
    const [said, written, done] = await Promise.all([
      read(`/api/rooms/${this.#sessionId}/messages`, "messages"),
      read(`${this.#path}/comments`, "comments"),
      read(`${this.#path}/activity`, "events"),
    ]);
    return {
      talk: said.filter(({ at, from, type }) => type === "chat" && isNew(at, from)).length,
      comments: written.filter(({ createdAt, author, text }) => text !== null && isNew(createdAt, author.id)).length,
      activity: done.filter(({ at, actor }) => isNew(at, actor.id)).length,
    };
  }

  // Until when everything was seen: `{ previouslySeenAt, seenAt }`, before this page and now.
  async #begin() {
    if (document.visibilityState !== "visible") {
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    }
    document.addEventListener("visibilitychange", () => this.#tell());
    addEventListener("pagehide", () => this.#tell());
    setInterval(() => this.#isDue && document.visibilityState === "visible" && this.#tell(), EVERY_MS);
    try {
      return await ask("POST", `${this.#path}/seen`);
    } catch {
      return null;
    }
  }

  // It arrives also when the page is being left.
  #tell() {
    if (this.#isOver || performance.now() - this.#toldAt < 1_000) return;
    this.#toldAt = performance.now();
    this.#isDue = false;
    ask("POST", `${this.#path}/seen`).catch(() => {});
  }
}

async function read(path, name) {
  try {
    return (await ask("GET", `${path}?limit=${LOOKED_AT}`))[name];
  } catch {
    return [];
  }
}
