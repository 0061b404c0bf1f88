// One thread of comments: the first one, its replies, and the form in which somebody writes another. Its row stays the same
// element whatever happens in the thread: whoever writes there goes on writing.

import { ask } from "../controls/api.js";
import { sendsByEnter } from "../controls/entering.js";
import { arrange, colourClass } from "../room/roster.js";
import { barInWords } from "../room/transport.js";
import { showPlaces } from "./places.js";

const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
const GONE = "This comment was removed.";

const part = (id) => document.getElementById(id);

export class Thread {
  row;
  comment = null;
  #desk;
  #words;
  #replies = new Map();
  #drawn = "";

  // `desk`: `path` of the session's comments, `mayRemove(comment)`, `go(place)`, `beatsPerBar()`, `send(button, act)` does
  // what the button is for, `heard(type, payload)` and `removed(commentId)` tell the song.
  constructor(desk) {
    this.#desk = desk;
    this.row = part("comment-thread").content.firstElementChild.cloneNode(true);
    this.#words = new Words(this.row.querySelector(".comment"), desk, this.#reply);
    this.#reply.addEventListener("click", () => {
      this.#form.hidden = false;
      this.#field.focus();
    });
    sendsByEnter(this.#field);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#act("resolve").addEventListener("click", () => this.#resolve());
  }

  // Whether somebody is writing a reply.
  get isWritten() {
    return this.#field.value.trim() !== "" || this.#form.contains(document.activeElement);
  }

  // `replies` are oldest first.
  draw(comment, replies) {
    this.comment = comment;
    const drawn = JSON.stringify([comment, replies, this.#desk.beatsPerBar()]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const { id, resolved, resolvedBy } = comment;
    this.row.dataset.id = id;
    this.row.classList.toggle("is-resolved", resolved);
    this.#words.draw(comment);
    this.#drawReplies(replies);
    this.#act("resolve").textContent = resolved ? "Open again" : "Resolve";
    const by = this.row.querySelector(".resolved-by");
    by.hidden = !resolved;
    by.textContent = resolvedBy ? `Resolved by ${resolvedBy.name}` : "Resolved";
  }

  #drawReplies(replies) {
    const there = new Set(replies.map(({ id }) => id));
    for (const id of this.#replies.keys()) if (!there.has(id)) this.#replies.delete(id);
    const rows = replies.map((reply) => {
      if (!this.#replies.has(reply.id)) this.#replies.set(reply.id, newReply(this.#desk, this.#reply));
      const { row, words } = this.#replies.get(reply.id);
      words.draw(reply);
      return row;
    });
    arrange(this.row.querySelector(".replies"), rows, () => this.#reply.focus());
  }

  #send() {
    const text = this.#field.value.trim();
    if (!text) return;
    this.#desk.send(this.#act("send"), async () => {
      const { comment } = await ask("POST", this.#desk.path, { text, parentId: this.comment.id });
      this.#sent(text);
      this.#desk.heard("comment.added", comment);
    });
  }

  // What was typed meanwhile stays, and the focus goes nowhere if it was elsewhere.
  #sent(text) {
    if (this.#field.value.trim() !== text) return;
    const hadFocus = this.#form.contains(document.activeElement);
    this.#form.reset();
    this.#form.hidden = true;
    if (hadFocus) this.#reply.focus();
  }

  #resolve() {
    const { id, resolved } = this.comment;
    this.#desk.send(this.#act("resolve"), async () => {
      const { comment } = await ask("PATCH", `/api/comments/${id}`, { resolved: !resolved });
      this.#desk.heard("comment.changed", comment);
    });
  }

  get #reply() {
    return this.#act("reply");
  }

  get #form() {
    return this.row.querySelector(".reply-form");
  }

  get #field() {
    return this.#form.querySelector("textarea");
  }

  #act(name) {
    return this.row.querySelector(`[data-act="${name}"]`);
  }
}

function newReply(desk, reply) {
  const row = document.createElement("li");
  row.append(...part("comment-words").content.cloneNode(true).children);
  return { row, words: new Words(row, desk, reply) };
}

// What somebody has written, with who and when.
class Words {
  #element;
  #desk;
  #next;
  #comment = null;
  #shown = "";

  // `next` gets the focus when the comment cannot be removed any more.
  constructor(element, desk, next) {
    this.#element = element;
    this.#desk = desk;
    this.#next = next;
    this.#find(".comment-pin").addEventListener("click", () => desk.go({ beat0: this.#comment.atBeat }));
    const remove = this.#find('[data-act="remove"]');
    remove.addEventListener("click", () => this.#remove(remove));
  }

  draw(comment) {
    this.#comment = comment;
    const { author, text, createdAt, editedAt } = comment;
    this.#element.className = `comment ${colourClass(author.id ?? author.name)}`;
    this.#find("strong").textContent = author.name;
    this.#find(".comment-guest").hidden = !comment.guest;
    const stamp = this.#find("time");
    stamp.dateTime = createdAt;
    stamp.textContent = moments.format(new Date(createdAt)) + (editedAt ? ", changed" : "");
    this.#drawText(text);
    this.#drawPin(comment);
    const remove = this.#find('[data-act="remove"]');
    const hadFocus = document.activeElement === remove;
    remove.hidden = text === null || !this.#desk.mayRemove(comment);
    if (hadFocus && remove.hidden) this.#next.focus();
  }

  // What is the same stays: one of its places may have the focus.
  #drawText(text) {
    const { go, beatsPerBar } = this.#desk;
    const shown = JSON.stringify([text, beatsPerBar()]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const words = this.#find(".comment-text");
    words.classList.toggle("quiet", text === null);
    showPlaces(words, text ?? GONE, { go, beatsPerBar });
  }

  #drawPin({ atBeat, pinnedName, parentId }) {
    const pin = this.#find(".comment-pin");
    pin.hidden = parentId !== null || (atBeat === null && !pinnedName);
    if (pin.hidden) return;
    const place = atBeat === null ? "" : `bar ${barInWords(atBeat, this.#desk.beatsPerBar())}`;
    pin.textContent = [pinnedName, place].filter(Boolean).join(", ");
    pin.disabled = atBeat === null;
  }

  #remove(button) {
    const { id, text } = this.#comment;
    if (text === null) return;
    this.#desk.send(button, async () => {
      await ask("DELETE", `/api/comments/${id}`);
      this.#desk.removed(id);
    });
  }

  #find(selector) {
    return this.#element.querySelector(selector);
  }
}
