// One member's place in one room: what `@omnisonic/client` does and says, for whoever reads the page.
//
// States, told to `handlers.state(name, detail)`:
//   joining       the first connection is being made
//   connected     told again after each reconnection, and then comes what was missed
//   reconnecting  `detail.words` says why, the next attempt is at `detail.at` (performance.now)
//   ended         `detail.words` says why; nothing more happens by itself
// Before each attempt `place()` is asked for `{ ticket, url, eventsUrl }`. When it fails with a `Problem` that will not pass
// (signed out, no longer shared) that is the end, with the problem as `detail.problem`; otherwise it is tried again.
// Every message goes to `handlers.message(message)`, round trips in milliseconds to `handlers.latency(ms)`. A `welcome`
// among them says that another gateway has taken the room over; those after `connected` are left out.

import { connect, EntryRefused, ReconnectPolicy, Unavailable } from "/client/omnisonic.js";
import { Problem } from "../controls/api.js";

// A connection that is silent is found within twice as long: five seconds at most.
const HEARTBEAT_MS = 2_400;
const LOST = "The connection was lost.";
const UNREACHABLE = "The studio cannot be reached.";
// By the close code; the others just lost the connection.
const INTERRUPTIONS = {
  1001: "The studio is restarting.",
  4008: "Your connection was too slow to keep up.",
  4009: "Too many messages came from here at once.",
};
// By the error's code; a refusal says itself why.
const ENDINGS = {
  left: LOST,
  policy: "The room did not let you in.",
  replaced: "You are in this room in another tab or window now.",
  kicked: "You were removed from this room.",
  room_closed: "This room was closed.",
};

export class Connection {
  #place;
  #handlers;
  #room = null;
  // Aborted, it is over.
  #visit = new AbortController();
  // What was received last, when it has ended.
  #since;
  // Why there was no place to go to at the last attempt.
  #trouble = "";
  #tryNow = () => {};

  constructor(place, handlers) {
    this.#place = place;
    this.#handlers = handlers;
  }

  // Names the count of offsets in the room.
  get epoch() {
    return this.#room.epoch;
  }

  get members() {
    return this.#room.members;
  }

  // The client's room; null while there is none.
  get room() {
    return this.#room;
  }

  // Come in, for the first time or after an end.
  async open() {
    this.#handlers.state("joining", {});
    const { signal } = (this.#visit = new AbortController());
    const policy = new ReconnectPolicy();
    let room = null;
    while (!room && !signal.aborted) room = await this.#connect(signal, policy);
    if (!signal.aborted) this.#enter(room, signal);
  }

  // Leave for good.
  close() {
    this.#visit.abort();
    this.#room = null;
  }

  // Do not wait for the next attempt.
  retry() {
    if (this.#room) this.#room.retryNow();
    else this.#tryNow();
  }

  // It is lost while there is no connection.
  say(type, payload) {
    if (this.#room?.connectionState === "connected") this.#room.say(type, payload);
  }

  // Say it as the message with this id, and have it kept, however long that takes. Its place in the room's order.
  ask(type, payload, id) {
    return this.#room.ask(type, payload, { id, keep: true, timeoutMs: Infinity });
  }

  // Null when it did not work and it is time for the next attempt: the client makes only one before it is in.
  async #connect(signal, policy) {
    const ticket = () => this.#ticket();
    const onRoundTrip = (ms) => signal.aborted || this.#handlers.latency(ms);
    try {
      const timing = { giveUpAfterMs: Infinity, heartbeatMs: HEARTBEAT_MS, answerMs: HEARTBEAT_MS };
      return await connect(null, { ticket, since: this.#since, onRoundTrip, signal, ...timing });
    } catch (problem) {
      if (signal.aborted) return null;
      if (problem instanceof EntryRefused && problem.retryAfterMs !== null) {
        await this.#wait(policy.nextDelay(problem.retryAfterMs));
      } else {
        this.#end(problem);
      }
      return null;
    }
  }

  #wait(delayMs) {
    this.#interrupt(UNREACHABLE, delayMs);
    return new Promise((resolve) => {
      this.#tryNow = resolve;
      setTimeout(resolve, delayMs);
    });
  }

  async #ticket() {
    this.#trouble = "";
    try {
      return await this.#place();
    } catch (problem) {
      if (!problem.isPassing) throw problem;
      this.#trouble = problem.message;
      throw new Unavailable(problem.message, { retryAfterMs: problem.retryAfter_ms });
    }
  }

  #enter(room, signal) {
    let wasIn = true;
    let isWelcome = true;
    this.#room = room;
    room.on("*", (message) => {
      // Also while it is leaving something arrives.
      if (signal.aborted) return;
      if (isWelcome || message.type !== "welcome") this.#handlers.message(message);
      isWelcome = true;
    });
    room.onConnectionState(({ state, closeCode, delayMs, error }) => {
      if (signal.aborted) return;
      if (state === "connected") this.#handlers.state("connected", {});
      else if (state === "closed") this.#end(error);
      else this.#interrupt(INTERRUPTIONS[closeCode] ?? (wasIn ? LOST : UNREACHABLE), delayMs);
      wasIn = state === "connected";
      isWelcome &&= !wasIn;
    });
    this.#handlers.state("connected", {});
  }

  #interrupt(words, delayMs) {
    this.#handlers.state("reconnecting", { words: this.#trouble || words, at: performance.now() + delayMs });
  }

  #end(error) {
    this.#since = this.#room?.since ?? this.#since;
    this.close();
    const problem = [error, error.cause].find((each) => each instanceof Problem);
    const refusal = error.cause instanceof EntryRefused ? error.cause : error;
    this.#handlers.state("ended", { problem, words: problem?.message ?? ENDINGS[error.code] ?? refusal.message });
  }
}
