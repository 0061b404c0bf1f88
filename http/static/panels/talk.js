// What is said in the room, and from outside what was said. One's own messages are shown at once, and settled when the room has answered.
//
// What is said here is kept: it has an id of its own, and is acknowledged once it is written down. A message that comes
// both from the room and from the web (`kept_talk.js`) is shown once: it has the same sender and the same id, or the same
// place in the room's order.

import { sendsByEnter } from "../controls/entering.js";
import { KeptTalk } from "./kept_talk.js";
import { Log, marked, sending, sent, unsent, waits } from "./log.js";
import { MessageIndex } from "./message_index.js";

const LOST = "The connection was lost.";
const NO_CONNECTION = "There is no connection now.";
const WAITING = "Waiting for the connection…";
// The others have it, and only the keeping failed.
const NOT_KEPT = ["keep_failed", "keep_unavailable"];

export class Talk {
  #log;
  #field;
  #me;
  #send;
  #isConnected;
  // The entries, by id: those on their way, and those that are marked as not sent.
  #unacknowledged = new Map();
  #unsent = new Map();
  #index = new MessageIndex();
  #kept;

  // `me()` is `{ memberId, name }`; `isConnected()` whether something can be sent. `send(text, id)` is its place in the
  // room's order, once it is kept; after a reconnection it is sent again. `showWords(element, text)` shows what is said.
  // `caughtUp(count)`: so many messages of others were missed, and are shown now.
  constructor(sessionId, box, composer, { me, send, isConnected, showWords, caughtUp = () => {} }) {
    this.#log = new Log(box, { showEarlier: () => this.#kept.showEarlier(), cutOff: () => this.#forgetOldest(), showWords });
    this.#kept = new KeptTalk(sessionId, this.#log, this.#index, {
      isOnItsWay: (id) => this.#unacknowledged.has(id),
      arrived: (message, entry) => this.#arrived(message, entry),
      caughtUp: (messages) => {
        const others = messages.filter(({ from }) => from !== me().memberId);
        if (others.length > 0) caughtUp(others.length);
      },
    });
    this.#field = composer.querySelector("textarea");
    this.#me = me;
    this.#send = send;
    this.#isConnected = isConnected;
    composer.addEventListener("submit", (event) => {
      event.preventDefault();
      // While there is no connection the text stays where it is.
      if (isConnected()) this.#say();
    });
    sendsByEnter(this.#field);
    // What is on its way would be lost with the page.
    addEventListener("beforeunload", (event) => this.#unacknowledged.size > 0 && event.preventDefault());
    composer.inert = false;
  }

  focus() {
    this.#field.focus();
  }

  // Begin anew, with what was not sent yet: nobody else has it.
  clear() {
    this.#kept.clear();
    this.#log.clear();
    this.#index.clear();
    for (const [id, entry] of [...this.#unsent, ...this.#unacknowledged]) {
      this.#log.again(entry);
      this.#index.add(entry, entry.dataset.member, id);
    }
  }

  event(words) {
    return this.#log.event(words);
  }

  // The newest line.
  get last() {
    return this.#log.last;
  }

  // In the room, for the first time or again: what has not arrived is being sent; read what was missed.
  connected() {
    for (const entry of this.#unacknowledged.values()) sending(entry);
    this.#kept.connected();
  }

  // Outside the room: what was said there until now.
  look() {
    this.#kept.catchUp();
  }

  interrupted() {
    this.#kept.interrupted();
    for (const entry of this.#unacknowledged.values()) waits(entry, WAITING);
  }

  // Somebody said something; whether it was not shown before. `place` is `{ epoch, offset }`.
  heard(memberId, name, text, id, place) {
    this.#kept.heard();
    if (this.#index.find(memberId, id, text, place)) return false;
    const said = { memberId, name, text, at: Date.now() };
    // The web may have been quicker than the room, and what came later is shown already.
    const isLate = this.#index.isAhead(place);
    const entry = isLate ? this.#log.insert(said, this.#log.entryBefore(place)) : this.#log.message(said);
    this.#index.add(entry, memberId, id, place);
    return true;
  }

  // The room cannot say all that was said while there was no connection.
  missed() {
    this.#kept.missed();
  }

  #say() {
    const text = this.#field.value.trim();
    if (!text) return;
    this.#field.value = "";
    this.focus();
    const { memberId, name } = this.#me();
    const entry = this.#log.message({ memberId, name, text, at: Date.now() });
    const id = newId();
    this.#index.add(entry, memberId, id);
    this.#deliver(id, entry, text);
  }

  // Perhaps it has arrived before, and only the answer was lost: the same id makes it the same message.
  async #deliver(id, entry, text) {
    if (!this.#isConnected()) return this.#fail(id, entry, text, NO_CONNECTION);
    sending(entry);
    this.#unsent.delete(id);
    this.#unacknowledged.set(id, entry);
    try {
      const place = await this.#send(text, id);
      this.#kept.heard();
      // The web may have been quicker than the room.
      if (!this.#unacknowledged.has(id)) return;
      this.#settle(id, entry, place);
      this.#sink(entry, place);
    } catch (problem) {
      if (NOT_KEPT.includes(problem.code)) this.#kept.heard();
      if (!this.#unacknowledged.delete(id)) return;
      if (NOT_KEPT.includes(problem.code)) marked(entry, problem.message);
      else this.#fail(id, entry, text, problem.name === "Closed" ? LOST : problem.message);
    }
  }

  // The web has it: perhaps it is one of mine whose answer was lost.
  #arrived(message, entry) {
    const isMine = [this.#unacknowledged, this.#unsent].some((mine) => mine.get(message.id) === entry);
    if (isMine) this.#settle(message.id, entry, message);
  }

  #settle(id, entry, place) {
    this.#unacknowledged.delete(id);
    this.#unsent.delete(id);
    sent(entry);
    this.#index.add(entry, this.#me().memberId, id, place);
  }

  #fail(id, entry, text, words) {
    this.#unsent.set(id, entry);
    unsent(entry, words, () => this.#deliver(id, entry, text));
  }

  // What was said again after an outage comes after what the others said before it.
  #sink(entry, place) {
    const line = this.#log.entryBefore(place);
    if (line && entry.compareDocumentPosition(line) & Node.DOCUMENT_POSITION_FOLLOWING) this.#log.move(entry, line);
  }

  // The oldest lines are not shown any more.
  #forgetOldest() {
    this.#index.forgetRemoved();
    for (const [id, entry] of this.#unsent) if (!entry.isConnected) this.#unsent.delete(id);
    this.#kept.forgetOldest();
  }
}

// Browsers make UUIDs only where the connection is safe.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
