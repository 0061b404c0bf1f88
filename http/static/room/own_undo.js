// Undoing, through the session's activity, what I have done last; and doing it again.
//
// An undo is an event, too, and doing it again is to undo that. So a change that was undone, and done again, is three events,
// of which each but the first undoes the one before. How long such a chain is says what its last event is: with an odd
// number of events the change is done, with an even number undone. Of a chain, only the last event has an `undo`.

import { ask, Problem } from "../controls/api.js";

const PAGE = 100;
const CHANGES = /^(?:session\.changed|(?:upload|marker)\.(?:changed|removed|restored))$/u;
const CHANGED_TWICE = "The same thing was changed more than once. Only the newest of these changes can be undone.";

// Undo what I have done last. The event of what was undone; null when there is none.
// What somebody else has overwritten is passed over: it is not there to be undone.
// Errors: `Problem`, also when the last change of mine that holds cannot be undone any more.
export async function undoMyLast(sessionId, myId) {
  const log = new ActivityLog(sessionId);
  const isMine = ({ actor }) => actor.id === myId;
  // Of which values there are newer events, and newer changes that hold.
  const told = new Set();
  const overwritten = new Set();
  for await (const event of log) {
    const value = `${event.subjectId} ${event.field}`;
    if (isMine(event) && (await log.isDone(event, isMine))) {
      if (event.undo !== null) {
        await ask("POST", event.undo.url);
        return event;
      }
      if (told.has(value) && !overwritten.has(value) && !isAsBefore(event)) throw new Problem(409, "changed_since", CHANGED_TWICE);
    }
    told.add(value);
    if (await log.isDone(event)) overwritten.add(value);
  }
  return null;
}

// Do again what I have undone last, unless I have changed something since. The event of it; null when there is none.
// Errors: `Problem`.
export async function redoMyLast(sessionId, myId) {
  const log = new ActivityLog(sessionId);
  const isMine = ({ actor }) => actor.id === myId;
  for await (const event of log) {
    if (!isMine(event) || !CHANGES.test(event.kind)) continue;
    const depth = await log.depth(event, isMine);
    if (depth === 0) return null;
    if (depth % 2 === 1 && event.undo !== null) return (await ask("POST", event.undo.url)).event;
  }
  return null;
}

function isAsBefore({ before, after }) {
  return JSON.stringify(before) === JSON.stringify(after);
}

// The activity, newest first, read as far as it is asked for.
class ActivityLog {
  #path;
  #events = [];
  #byId = new Map();
  // Where the next page begins; null behind the last.
  #before = "";

  constructor(sessionId) {
    this.#path = `/api/sessions/${sessionId}/activity`;
  }

  async *[Symbol.asyncIterator]() {
    for (let place = 0; place < this.#events.length || (await this.#readOn()); place += 1) yield this.#events[place];
  }

  // How many events there are before this one in its chain, up to the first that does not `count`.
  async depth({ undoes }, count = () => true) {
    if (undoes === null) return 0;
    while (!this.#byId.has(undoes) && (await this.#readOn()));
    const undone = this.#byId.get(undoes);
    // What is too old to be kept was a change.
    if (!undone) return 1;
    return count(undone) ? 1 + (await this.depth(undone, count)) : 0;
  }

  // Whether it is a change that holds, as far as that is known: nobody has undone it, and it is no undo.
  async isDone(event, count) {
    return CHANGES.test(event.kind) && event.undoneBy === null && (await this.depth(event, count)) % 2 === 0;
  }

  // Whether there was more.
  async #readOn() {
    if (this.#before === null) return false;
    const query = new URLSearchParams({ limit: PAGE, ...(this.#before && { before: this.#before }) });
    const { events, nextBefore } = await ask("GET", `${this.#path}?${query}`);
    this.#before = nextBefore;
    this.#events.push(...events);
    for (const event of events) this.#byId.set(event.id, event);
    return events.length > 0;
  }
}
