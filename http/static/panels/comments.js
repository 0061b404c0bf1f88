// What is written about the song: threads, newest first, each with its pin, its replies, and whether it is settled.
//
// The song keeps the comments; this shows them, and sends what is written here.

import { ask } from "../controls/api.js";
import { sendsByEnter } from "../controls/entering.js";
import { arrange } from "../room/roster.js";
import { barInWords } from "../room/transport.js";
import { Thread } from "./comment_thread.js";

const part = (id) => document.getElementById(id);

export class Comments {
  #song;
  #path;
  #conductor;
  #lost;
  #desk;
  // By the id of the first comment.
  #threads = new Map();
  #showsSettled = false;
  // What the next comment is pinned to: `{ atBeat?, uploadId? }`.
  #pin = null;
  // Where the song was when somebody began to write: that is what they write about.
  #begunAtBeat = null;

  // `go(place)` goes to a place of the song; `lost(problem)` says whether a problem ends everything.
  constructor(sessionId, myId, { song, conductor, rights, go, lost }) {
    this.#song = song;
    this.#path = `/api/sessions/${sessionId}/comments`;
    this.#conductor = conductor;
    this.#lost = lost;
    this.#desk = {
      path: this.#path,
      // What guests wrote is also the editors' to remove.
      mayRemove: ({ author, guest }) => author.id === myId || rights.isOwner || (guest && rights.mayChange),
      go,
      beatsPerBar: () => conductor.beatsPerBar,
      send: (button, act) => this.#send(button, act),
      heard: (type, payload) => song.heard(type, payload),
      removed: (id) => this.#removed(id),
    };
    const form = part("comment-form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    sendsByEnter(part("comment-text"));
    part("comment-pinned").addEventListener("change", () => this.#drawPin());
    part("comment-text").addEventListener("focus", () => this.#drawPin());
    part("comment-text").addEventListener("input", ({ target }) => {
      this.#begunAtBeat = target.value ? (this.#begunAtBeat ?? this.#songBeat) : null;
      this.#drawPin();
    });
    part("comments-settled").addEventListener("click", () => {
      this.#showsSettled = !this.#showsSettled;
      this.draw();
    });
    song.addEventListener("comments", () => this.draw());
    conductor.addEventListener("change", () => this.#drawPin());
    this.draw();
    this.#drawPin();
    form.inert = false;
  }

  // Bring this one into sight.
  open(commentId) {
    const comment = this.#song.comments.find(({ id }) => id === commentId);
    if (!comment) return;
    if (comment.resolved) this.#showsSettled = true;
    this.draw();
    const thread = this.#threads.get(comment.parentId ?? comment.id)?.row;
    thread?.scrollIntoView({ block: "nearest" });
    thread?.querySelector("[tabindex]")?.focus();
  }

  // Write one, pinned to that.
  write(pin = {}) {
    this.#pin = pin;
    part("comment-pinned").checked = true;
    part("comment-text").focus();
    this.#drawPin();
  }

  draw() {
    const firsts = this.#song.comments.filter(({ parentId }) => parentId === null);
    const settled = firsts.filter(({ resolved }) => resolved);
    const list = part("comments");
    part("no-comments").hidden = firsts.length > 0;
    part("comments-settled").hidden = settled.length === 0;
    part("comments-settled").textContent = this.#showsSettled ? "Hide what is resolved" : `Show ${settled.length} resolved`;
    const rows = this.#drawThreads(firsts);
    list.hidden = rows.length === 0;
    arrange(list, rows, (row) => (row?.querySelector('[data-act="reply"]') ?? part("comment-text")).focus());
  }

  // The rows to show. A thread in which somebody is writing stays, whatever becomes of it.
  #drawThreads(firsts) {
    const there = new Set(firsts.map(({ id }) => id));
    const gone = [...this.#threads.values()].filter(({ comment }) => !there.has(comment.id));
    for (const { comment, isWritten } of gone) if (!isWritten) this.#threads.delete(comment.id);
    const kept = gone.filter(({ isWritten }) => isWritten).map(({ comment }) => ({ ...comment, text: null }));
    const replies = this.#replies();
    return [...firsts, ...kept].sort(newestFirst).flatMap((comment) => {
      const { id, resolved } = comment;
      if (resolved && !this.#showsSettled && !this.#threads.get(id)?.isWritten) return [];
      if (!this.#threads.has(id)) this.#threads.set(id, new Thread(this.#desk));
      const thread = this.#threads.get(id);
      thread.draw(comment, replies.get(id) ?? []);
      return [thread.row];
    });
  }

  // By the id of the first comment, oldest first.
  #replies() {
    const replies = new Map();
    for (const reply of [...this.#song.comments].sort((one, other) => newestFirst(other, one))) {
      if (reply.parentId === null) continue;
      if (!replies.has(reply.parentId)) replies.set(reply.parentId, []);
      replies.get(reply.parentId).push(reply);
    }
    return replies;
  }

  // --- writing -------------------------------------------------------------------------------------------------------

  get #place() {
    if (this.#pin?.uploadId) return { uploadId: this.#pin.uploadId, ...(this.#pin.atBeat !== undefined && { atBeat: this.#pin.atBeat }) };
    return { atBeat: this.#pin?.atBeat ?? this.#begunAtBeat ?? this.#songBeat };
  }

  get #songBeat() {
    return Math.max(0, this.#conductor.position().beat);
  }

  #drawPin() {
    const { atBeat, uploadId } = this.#place;
    const name = uploadId && this.#song.upload?.(uploadId)?.name;
    const words = atBeat === undefined ? "" : `bar ${barInWords(atBeat, this.#conductor.beatsPerBar)}`;
    part("comment-place").textContent = [name, words].filter(Boolean).join(", ");
  }

  async #add() {
    const text = part("comment-text").value.trim();
    if (!text) return;
    const pin = part("comment-pinned").checked ? this.#place : {};
    await this.#send(part("comment-send"), async () => {
      const { comment } = await ask("POST", this.#path, { text, ...pin });
      // What was typed meanwhile stays.
      if (part("comment-text").value.trim() === text) {
        part("comment-text").value = "";
        this.#pin = this.#begunAtBeat = null;
      }
      this.#song.heard("comment.added", comment);
    });
  }

  // One after the other: a second press meanwhile is none.
  async #send(button, act) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    this.#fail("");
    try {
      await act();
    } catch (problem) {
      if (!this.#lost(problem) || problem.code === "comment_not_found") this.#fail(problem.message);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  }

  #fail(words) {
    part("comments-problem").textContent = words;
    part("comments-problem").hidden = !words;
  }

  // It is there no more; with replies, only its words are gone.
  #removed(id) {
    const comment = this.#song.comments.find((each) => each.id === id);
    const hasReplies = comment?.parentId === null && this.#song.comments.some(({ parentId }) => parentId === id);
    if (hasReplies) this.#song.heard("comment.changed", { ...comment, text: null });
    else this.#song.heard("comment.removed", { commentId: id });
  }
}

function newestFirst(one, other) {
  return new Date(other.createdAt) - new Date(one.createdAt) || (one.id < other.id ? 1 : -1);
}
