// What is written about the song: threads, newest first, each with its pin, its replies, and whether it is settled.
//
// The song keeps the comments; this shows them, and sends what is written here.

import { ask } from "../controls/api.js";
import { colourClass } from "../room/roster.js";
import { barInWords } from "../room/transport.js";
import { showPlaces } from "./places.js";

const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
const GONE = "This comment was removed.";

const part = (id) => document.getElementById(id);

export class Comments {
  #song;
  #path;
  #myId;
  #rights;
  #go;
  #conductor;
  #lost;
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
    this.#myId = myId;
    this.#rights = rights;
    this.#go = go;
    this.#conductor = conductor;
    this.#lost = lost;
    const form = part("comment-form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    part("comment-text").addEventListener("keydown", submitsByEnter);
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
    const { comments } = this.#song;
    const firsts = comments.filter(({ parentId }) => parentId === null).sort(newestFirst);
    const settled = firsts.filter(({ resolved }) => resolved);
    const shown = this.#showsSettled ? firsts : firsts.filter(({ resolved }) => !resolved);
    const list = part("comments");
    const there = new Set(firsts.map(({ id }) => id));
    for (const [id, thread] of this.#threads) {
      if (there.has(id)) continue;
      thread.row.remove();
      this.#threads.delete(id);
    }
    shown.forEach((comment, place) => {
      const replies = comments.filter(({ parentId }) => parentId === comment.id).sort((one, other) => newestFirst(other, one));
      const { row } = this.#threadOf(comment, replies);
      if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
    });
    while (list.children.length > shown.length) list.lastElementChild.remove();
    list.hidden = shown.length === 0;
    part("no-comments").hidden = firsts.length > 0;
    part("comments-settled").hidden = settled.length === 0;
    part("comments-settled").textContent = this.#showsSettled ? "Hide what is resolved" : `Show ${settled.length} resolved`;
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
    if (!text || part("comment-send").getAttribute("aria-disabled") === "true") return;
    const pin = part("comment-pinned").checked ? this.#place : {};
    await this.#send(part("comment-send"), async () => {
      const { comment } = await ask("POST", this.#path, { text, ...pin });
      part("comment-text").value = "";
      this.#pin = this.#begunAtBeat = null;
      this.#song.heard("comment.added", comment);
    });
  }

  async #send(button, act) {
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

  // --- a thread ------------------------------------------------------------------------------------------------------

  #threadOf(comment, replies) {
    const key = JSON.stringify([comment, replies, this.#conductor.beatsPerBar]);
    const before = this.#threads.get(comment.id);
    if (before?.key === key) return before;
    const row = part("comment-thread").content.firstElementChild.cloneNode(true);
    row.dataset.id = comment.id;
    row.classList.toggle("is-resolved", comment.resolved);
    this.#fill(row.querySelector(".comment"), comment);
    row.querySelector(".replies").replaceChildren(...replies.map((reply) => this.#reply(reply)));
    this.#wire(row, comment);
    // What somebody writes there is not lost when the thread changes.
    const written = before?.row.querySelector("textarea");
    if (written?.value) {
      row.querySelector("textarea").value = written.value;
      row.querySelector(".reply-form").hidden = false;
    }
    before?.row.replaceWith(row);
    const thread = { key, row };
    this.#threads.set(comment.id, thread);
    return thread;
  }

  #reply(reply) {
    const item = document.createElement("li");
    item.className = "comment";
    item.append(...part("comment-words").content.cloneNode(true).children);
    this.#fill(item, reply);
    return item;
  }

  #fill(element, comment) {
    const { author, text, createdAt, editedAt } = comment;
    const name = element.querySelector("strong");
    name.textContent = author.name;
    element.classList.add(colourClass(author.id ?? author.name));
    element.querySelector(".comment-guest").hidden = !comment.guest;
    const stamp = element.querySelector("time");
    stamp.dateTime = createdAt;
    stamp.textContent = moments.format(new Date(createdAt)) + (editedAt ? ", changed" : "");
    const words = element.querySelector(".comment-text");
    words.classList.toggle("quiet", text === null);
    const options = { go: this.#go, beatsPerBar: () => this.#conductor.beatsPerBar };
    showPlaces(words, text ?? GONE, options);
    this.#fillPin(element.querySelector(".comment-pin"), comment);
    const remove = element.querySelector('[data-act="remove"]');
    remove.hidden = text === null || !(author.id === this.#myId || this.#rights.isOwner);
    remove.addEventListener("click", () => this.#remove(comment, remove));
  }

  #fillPin(pin, { atBeat, pinnedName, parentId }) {
    pin.hidden = parentId !== null || (atBeat === null && !pinnedName);
    if (pin.hidden) return;
    const place = atBeat === null ? "" : `bar ${barInWords(atBeat, this.#conductor.beatsPerBar)}`;
    pin.textContent = [pinnedName, place].filter(Boolean).join(", ");
    pin.disabled = atBeat === null;
    pin.addEventListener("click", () => this.#go({ beat0: atBeat }));
  }

  #wire(row, comment) {
    const find = (act) => row.querySelector(`[data-act="${act}"]`);
    const form = row.querySelector(".reply-form");
    const field = form.querySelector("textarea");
    find("reply").addEventListener("click", () => {
      form.hidden = false;
      field.focus();
    });
    field.addEventListener("keydown", submitsByEnter);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = field.value.trim();
      if (!text) return;
      this.#send(find("send"), async () => {
        const answer = await ask("POST", this.#path, { text, parentId: comment.id });
        this.#clearReply(comment.id);
        this.#song.heard("comment.added", answer.comment);
      });
    });
    const resolve = find("resolve");
    resolve.textContent = comment.resolved ? "Open again" : "Resolve";
    resolve.addEventListener("click", () =>
      this.#send(resolve, async () => {
        const answer = await ask("PATCH", `/api/comments/${comment.id}`, { resolved: !comment.resolved });
        this.#song.heard("comment.changed", answer.comment);
      }),
    );
    const by = row.querySelector(".resolved-by");
    by.hidden = !comment.resolved;
    by.textContent = comment.resolvedBy ? `Resolved by ${comment.resolvedBy.name}` : "Resolved";
  }

  // The room may have told of the reply before it was answered: then the thread is drawn anew already.
  #clearReply(commentId) {
    const row = this.#threads.get(commentId)?.row;
    if (!row) return;
    const form = row.querySelector(".reply-form");
    form.reset();
    form.hidden = true;
    row.querySelector('[data-act="reply"]').focus();
  }

  #remove({ id, parentId, text }, button) {
    if (text === null) return;
    this.#send(button, async () => {
      await ask("DELETE", `/api/comments/${id}`);
      part("comment-text").focus();
      const hasReplies = parentId === null && this.#song.comments.some((each) => each.parentId === id);
      const comment = this.#song.comments.find((each) => each.id === id);
      if (hasReplies) this.#song.heard("comment.changed", { ...comment, text: null });
      else this.#song.heard("comment.removed", { commentId: id });
    });
  }
}

function newestFirst(one, other) {
  return new Date(other.createdAt) - new Date(one.createdAt) || (one.id < other.id ? 1 : -1);
}

function submitsByEnter(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}
