// One member's place in one room, kept through lost connections.
//
// States, told to `handlers.state(name, detail)`:
//   joining       the first connection is being made
//   connected     `detail.members` is the roster; told again after each reconnection, and then comes what was missed
//   reconnecting  `detail.words` says why, the next attempt is at `detail.at` (performance.now)
//   ended         `detail.words` says why; nothing more happens by itself
// Before each attempt `address()` is asked for `{ url, protocols }`. When it fails with a `Problem` that will not pass
// (signed out, no longer shared) that is the end, with the problem as `detail.problem`; otherwise it is tried again.
// A reconnection says what was received last (`since`); what the room cannot say any more comes as `history.gap`.
// Every other message goes to `handlers.message(envelope)`, round trips in milliseconds to `handlers.latency(ms)`.

const HEARTBEAT_EVERY_MS = 20_000;
const HEARTBEAT_TIMEOUT_MS = 10_000;
const OPENING_TIMEOUT_MS = 10_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;

// Close codes after which coming back by oneself would be wrong.
const ENDINGS = new Map([
  [1008, "The room did not let you in."],
  [4001, "You are in this room in another tab or window now."],
  [4003, "You were removed from this room."],
  [4004, "This room was closed."],
]);
const INTERRUPTIONS = new Map([
  [1001, "The studio is restarting."],
  [4008, "Your connection was too slow to keep up."],
  [4009, "Too many messages came from here at once."],
]);
const LOST = "The connection was lost.";
const UNREACHABLE = "The studio cannot be reached.";

export class Connection {
  #handlers;
  #address;
  #attempt = null;
  #socket = null;
  #attempts = 0;
  #welcomed = false;
  // The place in the room's order up to which everything was received; none before the first welcome.
  #epoch = "";
  #offset = 0;
  #refusal = "";
  #timers = new Set();
  #unanswered = 0;

  constructor(address, handlers) {
    this.#address = address;
    this.#handlers = handlers;
  }

  // Names the count of offsets in the room.
  get epoch() {
    return this.#epoch;
  }

  open() {
    this.#handlers.state("joining", {});
    this.#connect();
  }

  // Leave for good.
  close() {
    this.#drop();
  }

  // Do not wait for the next attempt.
  retry() {
    this.#drop();
    this.#connect();
  }

  // Whether it was sent; not while there is no connection.
  send(message) {
    if (!this.#welcomed || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  async #connect() {
    const attempt = (this.#attempt = {});
    this.#refusal = "";
    this.#after(OPENING_TIMEOUT_MS, () => this.#welcomed || this.#lost(1006, ""));
    let place;
    try {
      place = await this.#address();
    } catch (problem) {
      if (attempt === this.#attempt) this.#refused(problem);
      return;
    }
    // Meanwhile somebody may have left, or run out of patience.
    if (attempt !== this.#attempt) return;
    const url = new URL(place.url);
    if (this.#epoch) url.searchParams.set("since", `${this.#epoch}:${this.#offset}`);
    const socket = new WebSocket(url.href, place.protocols);
    this.#socket = socket;
    socket.addEventListener("message", (event) => socket === this.#socket && this.#heard(event.data));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#lost(event.code, event.reason));
  }

  #heard(data) {
    if (typeof data !== "string") return;
    const message = JSON.parse(data);
    if (typeof message.offset === "number") this.#offset = message.offset;
    if (message.type === "welcome") {
      this.#welcomed = true;
      this.#attempts = 0;
      this.#epoch = message.payload.epoch ?? "";
      this.#offset = message.payload.offset ?? 0;
      this.#handlers.state("connected", { members: message.payload.members });
      this.#beat();
    } else if (message.type === "heartbeat") {
      this.#answered(message.payload?.echo?.sent);
    } else {
      if (message.type === "error" && !this.#welcomed) this.#refusal = message.payload.message;
      this.#handlers.message(message);
    }
  }

  #beat() {
    if (!this.send({ type: "heartbeat", payload: { sent: performance.now() } })) return;
    this.#unanswered = this.#after(HEARTBEAT_TIMEOUT_MS, () => this.#lost(1006, ""));
    this.#after(HEARTBEAT_EVERY_MS, () => this.#beat());
  }

  #answered(sent) {
    if (typeof sent !== "number") return;
    this.#cancel(this.#unanswered);
    this.#handlers.latency(performance.now() - sent);
  }

  #lost(code, reason) {
    const wasIn = this.#welcomed;
    this.#drop();
    if (ENDINGS.has(code)) {
      this.#handlers.state("ended", { code, words: this.#refusal || ENDINGS.get(code), wasIn });
      return;
    }
    this.#again(INTERRUPTIONS.get(code) ?? (wasIn ? LOST : UNREACHABLE), advisedDelay(reason) ?? this.#backoff());
  }

  // There is no way in: for good, or for now.
  #refused(problem) {
    this.#drop();
    if (problem.isPassing) this.#again(problem.message, Math.max(problem.retryAfter_ms, this.#backoff()));
    else this.#handlers.state("ended", { code: 0, problem, words: problem.message, wasIn: false });
  }

  #again(words, delay_ms) {
    this.#handlers.state("reconnecting", { words, at: performance.now() + delay_ms });
    this.#after(delay_ms, () => this.#connect());
  }

  // Doubling, bounded, with jitter over the upper half, so that a room does not come back all at once.
  #backoff() {
    const step_ms = Math.min(FIRST_DELAY_MS * 2 ** this.#attempts, LONGEST_DELAY_MS);
    this.#attempts += 1;
    return step_ms * (0.5 + Math.random() / 2);
  }

  #drop() {
    const socket = this.#socket;
    this.#attempt = this.#socket = null;
    this.#welcomed = false;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    socket?.close();
  }

  #after(delay_ms, act) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delay_ms);
    this.#timers.add(timer);
    return timer;
  }

  #cancel(timer) {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

function advisedDelay(reason) {
  try {
    const { reconnectMs } = JSON.parse(reason);
    return Number.isFinite(reconnectMs) && reconnectMs >= 0 ? reconnectMs : null;
  } catch {
    return null;
  }
}
