// The messages of the talk that are kept: read from the web when the room is entered, after an outage, when somebody
// looks from outside, and when they scroll up; and the gaps that the room tells of, which are filled with them.

import { ask } from "../controls/api.js";
import { dated, offer } from "./log.js";

const PAGE = 50;
// So many pages are read to close a gap.
const GAP_PAGES = 20;
const CLOSED_GAP = "You were away. What was said meanwhile is shown; other notices may be missing.";
const OPEN_GAP = "Some of what was said while you were away is missing here.";

export class KeptTalk {
  #path;
  #log;
  #index;
  #mine;
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

  // `mine`: `isOnItsWay(id)` whether I have sent that and it is not acknowledged, `arrived(message, entry)` for what may be
  // that, and `caughtUp(messages)` with what is shown only now.
  constructor(sessionId, log, index, mine) {
    this.#path = `/api/rooms/${sessionId}/messages`;
    this.#log = log;
    this.#index = index;
    this.#mine = mine;
  }

  // Begin anew.
  clear() {
    this.#visit = {};
    this.#gap = this.#entered = null;
    this.#hasHeard = this.#isBack = false;
    this.#earlier = null;
    this.#isReading = this.#hasRead = false;
  }

  // In the room, for the first time or again: read what was missed.
  connected() {
    if (this.#hasHeard || !this.#entered) this.#entered = this.#log.last;
    this.#isBack ||= this.#hasHeard;
    this.#hasHeard = false;
    this.catchUp();
  }

  interrupted() {
    // What is being read may be said after what will be missed. It is read again.
    this.#visit = {};
  }

  // The room has said something.
  heard() {
    this.#hasHeard = true;
  }

  // The room cannot say all that was said while there was no connection.
  missed() {
    this.#hasHeard = true;
    this.#gap ??= this.#log.event(OPEN_GAP, this.#entered);
    // One page may have been read by now, as if there were none.
    this.catchUp();
  }

  // Read the newest page, and more of them while a gap is open. What was heard already gets its time.
  async catchUp() {
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
    const added = this.#merge(messages);
    if (known) this.#mine.caughtUp(added);
    if (!this.#hasRead) this.#expectEarlier(before);
    this.#hasRead ||= before !== undefined;
    if (this.#gap && isWhole) this.#closeGap();
    else if (this.#gap) this.#offerToTryAgain();
  }

  async showEarlier() {
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

  // The oldest lines are not shown any more; whoever scrolls up reads them again.
  forgetOldest() {
    if (!this.#gap?.isConnected) this.#gap = null;
    if (!this.#entered?.isConnected) this.#entered = null;
    this.#expectEarlier(undefined);
  }

  #expectEarlier(cursor) {
    this.#earlier = cursor;
    this.#log.hasEarlier = cursor !== null;
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
          this.#mine.arrived(message, entry);
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
    const entry = isTalk(message) && !this.#mine.isOnItsWay(message.id) && findKept(this.#index, message);
    return Boolean(entry && entry.compareDocumentPosition(this.#gap) & Node.DOCUMENT_POSITION_FOLLOWING);
  }

  #closeGap() {
    this.#gap.textContent = CLOSED_GAP;
    this.#gap = null;
  }

  #offerToTryAgain() {
    this.#gap.textContent = `${OPEN_GAP} `;
    offer(this.#gap, "Try again", () => this.catchUp());
  }
}

function findKept(index, { from, id, payload, epoch, offset }) {
  return index.find(from, id, payload.text, { epoch, offset });
}

function isTalk({ type, payload }) {
  return type === "chat" && typeof payload?.text === "string";
}
