// What is said in the room, and from outside what was said. One's own messages are shown at once, and settled when the room has answered.
//
// What is said here is kept: it has an id of its own, and is acknowledged once it is written down. Kept messages are
// read from the web when the room is entered, after an outage, when somebody looks from outside, and when they scroll up. A message that comes both
// ways is shown once: it has the same sender and the same id, or the same place in the room's order.

import { ask } from "../controls/api.js";
import { sendsByEnter } from "../controls/entering.js";
import { dated, Log, marked, offer, sending, sent, unsent, waits } from "./log.js";
import { MessageIndex } from "./message_index.js";

const PAGE = 50;
// So many pages are read to close a gap.
const GAP_PAGES = 20;
const LOST = "The connection was lost.";
const NO_CONNECTION = "There is no connection now.";
const WAITING = "Waiting for the connection…";
const CLOSED_GAP = "You were away. What was said meanwhile is shown; other notices may be missing.";
const OPEN_GAP = "Some of what was said while you were away is missing here.";
// The others have it, and only the keeping failed.
const NOT_KEPT = ["keep_failed", "keep_unavailable"];

export class Talk {
  #log;
  #field;
  #path;
  #me;
  #send;
  #isConnected;
  #caughtUp;
  // The entries, by id: those on their way, and those that are marked as not sent.
  #unacknowledged = new Map();
  #unsent = new Map();
  #index = new MessageIndex();
  // Where the next earlier page begins; undefined: with the newest message; null: there is none.
  #earlier = null;
  #isReading = false;
  #hasRead = false;
  // The line that says so, while a gap is open.
  #gap = null;
  // The newest line when the room was entered last; not set anew while the room has said nothing since: what the web
  // has brought meanwhile may come after a gap that the room did not tell of yet.
  #entered = null;
  #hasHeard = false;
  // Whether the room had said something before it was entered last.
  #isBack = false;
  #visit = {};

  // `me()` is `{ memberId, name }`; `isConnected()` whether something can be sent. `send(text, id)` is its place in the
  // room's order, once it is kept; after a reconnection it is sent again. `showWords(element, text)` shows what is said.
  // `caughtUp(count)`: so many messages of others were missed, and are shown now.
  constructor(sessionId, box, composer, { me, send, isConnected, showWords, caughtUp = () => {} }) {
    this.#path = `/api/rooms/${sessionId}/messages`;
    this.#log = new Log(box, { showEarlier: () => this.#showEarlier(), cutOff: () => this.#forgetOldest(), showWords });
    this.#field = composer.querySelector("textarea");
    this.#me = me;
    this.#send = send;
    this.#isConnected = isConnected;
    this.#caughtUp = caughtUp;
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
    this.#visit = {};
    this.#log.clear();
    this.#index.clear();
    this.#gap = this.#entered = null;
    this.#hasHeard = this.#isBack = false;
    this.#earlier = null;
    this.#isReading = this.#hasRead = false;
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
    if (this.#hasHeard || !this.#entered) this.#entered = this.#log.last;
    this.#isBack ||= this.#hasHeard;
    this.#hasHeard = false;
    this.#catchUp();
  }

  // Outside the room: what was said there until now.
  look() {
    this.#catchUp();
  }

  interrupted() {
    // What is being read may be said after what will be missed. It is read again.
    this.#visit = {};
    for (const entry of this.#unacknowledged.values()) waits(entry, WAITING);
  }

  // Somebody said something; whether it was not shown before. `place` is `{ epoch, offset }`.
  heard(memberId, name, text, id, place) {
    this.#hasHeard = true;
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
    this.#hasHeard = true;
    this.#gap ??= this.#log.event(OPEN_GAP, this.#entered);
    // One page may have been read by now, as if there were none.
    this.#catchUp();
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
      this.#hasHeard = true;
      // The web may have been quicker than the room.
      if (!this.#unacknowledged.has(id)) return;
      this.#settle(id, entry, place);
      this.#sink(entry, place);
    } catch (problem) {
      if (NOT_KEPT.includes(problem.code)) this.#hasHeard = true;
      if (!this.#unacknowledged.delete(id)) return;
      if (NOT_KEPT.includes(problem.code)) marked(entry, problem.message);
      else this.#fail(id, entry, text, problem.name === "Closed" ? LOST : problem.message);
    }
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

  // --- kept messages ---------------------------------------------------------------------------------------------

  // Read the newest page, and more of them while a gap is open. What was heard already gets its time.
  async #catchUp() {
    const visit = (this.#visit = {});
    const messages = [];
    let before;
    let isWhole = false;
    for (let pages = 0; !isWhole && pages < GAP_PAGES; pages += 1) {
      const page = await this.#read(before);
      if (visit !== this.#visit) return;
      if (!page) break;
      messages.unshift(...page.messages.reverse());
      before = page.nextBefore;
      isWhole = !this.#gap || before === null || page.messages.some((message) => this.#isBeforeGap(message));
    }
    const known = this.#hasRead || this.#isBack;
    const missed = this.#merge(messages).filter(({ from }) => from !== this.#me().memberId);
    if (known && missed.length > 0) this.#caughtUp(missed.length);
    if (!this.#hasRead) this.#expectEarlier(before);
    this.#hasRead ||= before !== undefined;
    if (this.#gap && isWhole) this.#closeGap();
    else if (this.#gap) this.#offerToTryAgain();
  }

  async #showEarlier() {
    if (this.#isReading || this.#earlier === null) return;
    this.#isReading = true;
    const visit = this.#visit;
    let isNew = false;
    while (!isNew && this.#earlier !== null) {
      const page = await this.#read(this.#earlier);
      if (visit !== this.#visit || !page) break;
      isNew = this.#merge(page.messages.reverse(), { isEarlier: true }).length > 0;
      this.#expectEarlier(page.nextBefore);
    }
    this.#isReading = false;
  }

  #expectEarlier(cursor) {
    this.#earlier = cursor;
    this.#log.hasEarlier = cursor !== null;
  }

  // The oldest lines are not shown any more; whoever scrolls up reads them again.
  #forgetOldest() {
    this.#index.forgetRemoved();
    for (const [id, entry] of this.#unsent) if (!entry.isConnected) this.#unsent.delete(id);
    if (!this.#gap?.isConnected) this.#gap = null;
    if (!this.#entered?.isConnected) this.#entered = null;
    this.#expectEarlier(undefined);
  }

  // A page, null when it cannot be had now.
  async #read(before) {
    try {
      return await ask("GET", `${this.#path}?limit=${PAGE}${before === undefined ? "" : `&before=${before}`}`);
    } catch {
      return null;
    }
  }

  // Show those that are missing, oldest first, each after the one before it. Those that were.
  #merge(messages, { isEarlier = false } = {}) {
    const shown = messages.filter(isTalk);
    const added = [];
    this.#log.together(() => {
      // What comes before the first that is known here goes above it.
      const first = shown.map((message) => findKept(this.#index, message)).find(Boolean);
      let after = first?.previousElementSibling;
      if (!first && !isEarlier && shown.length > 0) after = this.#gap ?? this.#lineBefore(shown[0]);
      for (const message of shown) {
        let entry = findKept(this.#index, message);
        if (entry) {
          dated(entry, Date.parse(message.at));
          if ([this.#unacknowledged, this.#unsent].some((mine) => mine.get(message.id) === entry)) this.#settle(message.id, entry, message);
        } else {
          added.push(message);
          entry = this.#log.insert(
            { memberId: message.from, name: message.displayName, text: message.payload.text, at: Date.parse(message.at) },
            after,
          );
        }
        this.#index.add(entry, message.from, message.id, message);
        after = entry;
      }
    });
    return added;
  }

  // The line after which a page comes that holds nothing of what is shown; undefined: it comes above everything.
  #lineBefore(oldest) {
    if (this.#hasRead || this.#isBack) return this.#entered ?? this.#log.last ?? undefined;
    const heard = this.#log.entryBefore(oldest);
    if (!heard) return undefined;
    // The room has told less than the web by now. If its connection breaks before it goes on, the gap begins here.
    this.#entered = heard;
    this.#hasHeard = false;
    this.#isBack = true;
    return heard;
  }

  #isBeforeGap(message) {
    const entry = isTalk(message) && !this.#unacknowledged.has(message.id) && findKept(this.#index, message);
    return Boolean(entry && entry.compareDocumentPosition(this.#gap) & Node.DOCUMENT_POSITION_FOLLOWING);
  }

  #closeGap() {
    this.#gap.textContent = CLOSED_GAP;
    this.#gap = null;
  }

  #offerToTryAgain() {
    this.#gap.textContent = `${OPEN_GAP} `;
    offer(this.#gap, "Try again", () => this.#catchUp());
  }
}

function findKept(index, { from, id, payload, epoch, offset }) {
  return index.find(from, id, payload.text, { epoch, offset });
}

function isTalk({ type, payload }) {
  return type === "chat" && typeof payload?.text === "string";
}

// Browsers make UUIDs only where the connection is safe.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
