// @ts-self-types="./omnisonic.d.ts"
//
// The client of Omnisonic Studio's rooms: one member in one room, with automatic reconnection and recovery.
//
// It runs in browsers, Node 22, Deno and Bun, and needs nothing else. `connect` and `ClientRoom` are the public part,
// at the end of this file; omnisonic.d.ts describes them. The sections before it, in order:
//
//   Errors              what can go wrong, each with a stable code
//   Reconnect policy    when to reconnect after a connection has ended
//   Messages            what is sent and received, as text and as bytes
//   Shared state        what the members share, as last received
//   Server clock        the server's time, by the quickest of the last heartbeats
//   Room view           what is known of the room; applies each message that arrives
//   Pending requests    messages that wait for their answer, and are sent again after a reconnection or a move
//   Inbox               received messages that the program has not read yet
//   Connection          where to connect, and one WebSocket
//   Event connection    one event stream, where WebSockets are blocked
//   Reconnector         owns the connection: opens, reads, sends, and reconnects
//   Client room         what the program uses
//
// It is one file, so that one address is all that a page has to import. Times are in milliseconds.

const MESSAGE_BYTES = 65_536;
const TYPE_LENGTH = 128;
const ID_LENGTH = 128;
const DEPTH = 64;
const JOIN_MS = 10_000; // from the call of the ticket function to the `welcome`
const HEARTBEAT_MS = 20_000;
const FIRST_BEATS = 5; // so many come quickly, so that the clock is known soon
const FIRST_BEAT_MS = 200;
const LATE_MS = 250; // a timer that is so late says that the program stood still, not that the server is silent
const CLOCK_SAMPLES = 8; // of so many heartbeats, the last, the quickest tell the server's clock
const QUICKEST = 3;
const SAME_CLOCK_MS = 2;
const CLOSE_MS = 2_000; // how long to wait for the server's answer to a close frame
const GIVE_UP_MS = 300_000;
const ACK_MS = 10_000;
const INBOX_BYTES = 4_194_304;
const QUEUE_BYTES = 1_048_576; // what `say` may have waiting while nothing can be sent
const BUFFER_BYTES = 1_048_576; // what the WebSocket may buffer before `say` waits
const LONGEST_TIMER_MS = 2_147_483_647; // timers that are longer fire at once
const DRAIN_MS = 20; // a WebSocket does not tell when its buffer is empty
const FIRST_MS = 500;
const LONGEST_MS = 15_000;
const STABLE_MS = 5_000; // after a connection that lasted this long the delays start again
const LONGEST_ADVICE_MS = 60_000;
const NORMAL = 1000;
const GOING_AWAY = 1001;
const LOST = 1006;
const TEMPORARY = new Set([429, 500, 502, 503, 504]); // HTTP statuses after which another attempt may succeed
const SUBPROTOCOL = "omnisonic";
const STREAM_HEADER = "Omnisonic-Stream"; // names the event stream in the requests that send messages
const POST_BYTES = 65_536; // the most that one such request carries
const POST_EVERY_MS = 50; // what is sent in between goes together, so that the web's rate limit is not met
const TRANSPORTS = ["auto", "websocket", "events"];
const UNOPENED = 2; // after so many WebSockets that could not be opened, an event stream is tried

// --- Errors ----------------------------------------------------------------------------------------------------------

export class OmnisonicError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

// What the program passed is not valid.
export class InvalidInput extends OmnisonicError {}

// For ticket functions to throw: call me again later.
export class Unavailable extends OmnisonicError {
  constructor(message, { code = "unavailable", retryAfterMs = 0, ...options } = {}) {
    super(code, message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

export class EntryRefused extends OmnisonicError {
  constructor(code, message, { status = null, retryAfterMs = null, ...options } = {}) {
    super(code, message, options);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export class Closed extends OmnisonicError {
  constructor(code, message, { closeCode = LOST, reason = "", ...options } = {}) {
    super(code, message, options);
    this.closeCode = closeCode;
    this.reason = reason;
  }
}

export class NotTaken extends OmnisonicError {
  constructor(code, message, { version = null, ...options } = {}) {
    super(code, message, options);
    this.version = version;
  }
}

// --- Reconnect policy ------------------------------------------------------------------------------------------------

// The close codes after which the client does not reconnect by itself.
const FINAL = new Map([
  [1000, ["left", "The member left."]],
  [1008, ["policy", "The member was not admitted; the error message before the close says why."]],
  [4001, ["replaced", "Another connection with the same memberId took over."]],
  [4003, ["kicked", "The member was removed from the room."]],
  [4004, ["room_closed", "The room was closed."]],
]);

function finalError({ code, reason }) {
  const row = FINAL.get(code);
  if (!row) return null;
  const [word, meaning] = row;
  const detail = reason && reason !== word ? ` The server says: ${reason}.` : "";
  return new Closed(word, meaning + detail, { closeCode: code, reason });
}

function leftError() {
  return new Closed("left", "The program has left the room.", { closeCode: NORMAL });
}

export class ReconnectPolicy {
  #jitter;
  #nextMs = FIRST_MS;

  constructor(jitter = Math.random) {
    this.#jitter = jitter;
  }

  reset() {
    this.#nextMs = FIRST_MS;
  }

  // With 1001 the server may name the delay itself.
  delayAfter({ code, reason }) {
    const advisedMs = code === GOING_AWAY ? parseJson(reason)?.reconnectMs : undefined;
    if (!Number.isFinite(advisedMs)) return this.nextDelay();
    return Math.min(Math.max(advisedMs, 0), LONGEST_ADVICE_MS);
  }

  // Twice as long each time, less a random part of up to half of it, so that a room does not return all at once.
  nextDelay(atLeastMs = 0) {
    const stepMs = this.#nextMs;
    this.#nextMs = Math.min(2 * stepMs, LONGEST_MS);
    return Math.max(stepMs * (1 - this.#jitter() / 2), Math.min(atLeastMs, LONGEST_ADVICE_MS));
  }
}

// --- Messages --------------------------------------------------------------------------------------------------------

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// In what `JSON.stringify` writes only half a character is escaped so.
const HALF = /[^\\](?:\\\\)*\\ud[89a-f]/;

// The message as JSON. Throws `InvalidInput` for what no room would take.
function encodeMessage({ type, payload = null, to, id, keep }) {
  if (typeof type !== "string" || type.length === 0 || type.length > TYPE_LENGTH) {
    throw new InvalidInput("invalid_message", `type must have 1 to ${TYPE_LENGTH} characters.`);
  }
  if (id !== undefined && (typeof id !== "string" || id.length === 0 || id.length > ID_LENGTH)) {
    throw new InvalidInput("invalid_message", `id must be a string of 1 to ${ID_LENGTH} characters.`);
  }
  if (typeof (to ?? "") !== "string") throw new InvalidInput("invalid_message", "to must be a string.");
  if (typeof (keep ?? false) !== "boolean") throw new InvalidInput("invalid_message", "keep must be true or false.");
  let text;
  try {
    text = JSON.stringify({ type, payload, to: to ?? undefined, id, keep: keep || undefined });
  } catch (problem) {
    throw new InvalidInput("invalid_message", `The payload is not JSON: ${problem.message}.`, { cause: problem });
  }
  const size = 3 * text.length > MESSAGE_BYTES ? utf8.encode(text).length : text.length;
  if (size > MESSAGE_BYTES) throw tooLarge(size);
  if (text.includes("\\ud") && HALF.test(text)) {
    throw new InvalidInput("invalid_message", "This message has half a character, such as half of an emoji.");
  }
  if (nestingDepth(text) > DEPTH) {
    throw new InvalidInput("too_deep", `A message must be nested at most ${DEPTH} deep.`);
  }
  return text;
}

function tooLarge(size) {
  return new InvalidInput("too_large", `A message has at most ${MESSAGE_BYTES} bytes; this one has ${size}.`);
}

function nestingDepth(json) {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let index = 0; index < json.length; index += 1) {
    const character = json[index];
    if (isInString) {
      if (character === "\\") index += 1;
      else if (character === '"') isInString = false;
    } else if (character === '"') isInString = true;
    else if (character === "{" || character === "[") deepest = Math.max(deepest, (depth += 1));
    else if (character === "}" || character === "]") depth -= 1;
  }
  return deepest;
}

// A message of the server, or null when it cannot be read.
function readMessage(data) {
  return typeof data === "string" ? readText(data) : readBinary(data);
}

function readText(text) {
  const fields = parseJson(text);
  if (typeof fields?.type !== "string") return null;
  const { type, payload = null, from = null, offset = null, id = null } = fields;
  return { type, payload, from, offset, id };
}

// One byte with the length of the sender's name, the name, the bytes. Its type is empty.
function readBinary(data) {
  const bytes = new Uint8Array(data);
  const body = 1 + (bytes[0] ?? 0);
  if (bytes.length < body || body === 1) return null;
  try {
    const from = strictUtf8.decode(bytes.subarray(1, body));
    return { type: "", payload: bytes.slice(body), from, offset: null, id: null };
  } catch {
    return null;
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// Throws when `value` is not what the server sends; then the message counts as unreadable.
function check(isValid) {
  if (!isValid) throw new RangeError("not as the protocol says");
}

// --- Shared state ----------------------------------------------------------------------------------------------------

class SharedState {
  #entries;

  constructor(entries) {
    this.#entries = entries;
  }

  get size() {
    return this.#entries.size;
  }

  has(key) {
    return this.#entries.has(key);
  }

  get(key) {
    return this.#entries.get(key)?.value;
  }

  keys() {
    return this.#entries.keys();
  }

  *[Symbol.iterator]() {
    for (const [key, { value }] of this.#entries) yield [key, value];
  }

  version(key) {
    return this.#entries.get(key)?.version ?? 0;
  }

  by(key) {
    return this.#entries.get(key)?.by ?? null;
  }
}

// --- Server clock ----------------------------------------------------------------------------------------------------

// Unlike `Date.now()` it has fractions, and does not jump when this machine's clock is set.
function nowMs() {
  return performance.timeOrigin + performance.now();
}

// A clock drifts, so the quickest heartbeat of all is soon too old: the quickest of the last few count. Half of the
// quickest round trip is how wrong it may be at most.
class ServerClock {
  // What the last heartbeats said: `{ roundTripMs, offsetMs }`.
  #samples = [];
  #welcomeOffsetMs = 0;
  // How far `nowMs` is from `Date.now()`: nothing, unless this machine's clock was set.
  #steppedMs = 0;

  begin(serverTimeMs) {
    this.#samples = [];
    this.#welcomeOffsetMs = serverTimeMs - nowMs() || 0;
    this.#noteSteps();
  }

  // Returns the round trip.
  add(sentMs, serverTimeMs) {
    const receivedMs = nowMs();
    const roundTripMs = receivedMs - sentMs;
    this.#samples.push({ roundTripMs, offsetMs: serverTimeMs - (sentMs + receivedMs) / 2 });
    if (this.#samples.length > CLOCK_SAMPLES) this.#samples.shift();
    this.#noteSteps();
    return roundTripMs;
  }

  // Ahead of `Date.now()`; null before the first heartbeat's answer.
  get offsetMs() {
    return this.#samples.length ? this.#offsetMs + this.#steppedMs : null;
  }

  get uncertaintyMs() {
    return this.#samples.length ? this.#quickest()[0].roundTripMs / 2 : null;
  }

  // At a moment of `Date.now()`.
  at(atMs) {
    return atMs + this.#steppedMs + this.#offsetMs;
  }

  // At a moment of `performance.now()`.
  atPerformance(performanceMs) {
    return performance.timeOrigin + performanceMs + this.#offsetMs;
  }

  // A little late until a heartbeat was answered.
  get #offsetMs() {
    if (this.#samples.length === 0) return this.#welcomeOffsetMs;
    const offsets = this.#quickest().map(({ offsetMs }) => offsetMs).sort((one, other) => one - other);
    return offsets[offsets.length >> 1];
  }

  #quickest() {
    return [...this.#samples].sort((one, other) => one.roundTripMs - other.roundTripMs).slice(0, QUICKEST);
  }

  #noteSteps() {
    const steppedMs = nowMs() - Date.now();
    this.#steppedMs = Math.abs(steppedMs) < SAME_CLOCK_MS ? 0 : steppedMs;
  }
}

// --- Room view -------------------------------------------------------------------------------------------------------

const STANDING = Object.freeze({
  playing: false,
  tempoBpm: 120,
  beatsPerBar: 4,
  anchorBeat: 0,
  anchorTime: 0,
  loop: null,
  version: 0,
  by: null,
});

// The position at this time of the server's clock, in beats.
function beatAt({ playing, tempoBpm, anchorBeat, anchorTime, loop }, timeMs) {
  if (!playing || timeMs <= anchorTime) return anchorBeat;
  const beat = anchorBeat + ((timeMs - anchorTime) * tempoBpm) / 60_000;
  if (!loop || anchorBeat >= loop.endBeat || beat < loop.endBeat) return beat;
  return loop.startBeat + ((beat - loop.endBeat) % (loop.endBeat - loop.startBeat));
}

class RoomView {
  pending = new PendingRequests();
  roster = new Map();
  entries = new Map();
  state = new SharedState(this.entries);
  transport = STANDING;
  roomId = "";
  memberId = "";
  epoch = "";
  offset = 0; // the last message of the room's order that is known to have been received, or sent
  unreadable = 0;
  clock = new ServerClock();
  isWelcome = false;
  isDegraded = false; // the room has said that some members cannot be heard now
  refusal = null; // the `error` that the server sent in place of a `welcome`
  welcomes = 0; // on all connections; more than one comes on a connection when the room has moved
  #start;
  // Where to recover from, after a `welcome`, until it is known whether a `history.gap` follows: it comes before anything
  // else, but for `room.degraded`. None follows when a room has moved that we had entered just before.
  #beforeGap = null;
  #onRoundTrip;

  // `since` is from where the first connection recovers.
  constructor(since = null, onRoundTrip = () => {}) {
    this.#start = since;
    this.#onRoundTrip = onRoundTrip;
  }

  // Prepare for a new connection. Returns from where to recover; null: from now on.
  beginConnection() {
    this.isWelcome = false;
    this.refusal = null;
    return this.since;
  }

  get since() {
    if (this.welcomes === 0) return this.#start;
    return this.#beforeGap ?? `${this.epoch}:${this.offset}`;
  }

  heartbeat() {
    return JSON.stringify({ type: "heartbeat", payload: { sentMs: nowMs() } });
  }

  // Apply what arrived. Returns the messages for the program. One member's bad message must not end the membership of
  // the others, so it is counted and skipped.
  receive(data) {
    const message = readMessage(data);
    try {
      check(message !== null && (message.offset === null || Number.isSafeInteger(message.offset)));
      if (message.type === "welcome") return this.#applyWelcome(message);
      const isForProgram = this.#apply(message);
      if (message.type !== "room.degraded") this.#beforeGap = null;
      if (message.offset !== null) this.offset = message.offset;
      return isForProgram ? [message] : [];
    } catch (problem) {
      if (!(problem instanceof RangeError)) throw problem;
      this.unreadable += 1;
      return [];
    }
  }

  #apply({ type, payload }) {
    switch (type) {
      case "presence.join":
      case "presence.update":
        check(isMember(payload));
        this.roster.set(payload.memberId, payload);
        return true;
      case "presence.leave":
        this.roster.delete(payload?.memberId);
        return true;
      case "state.changed":
        this.#applyState(payload);
        return true;
      case "transport.state":
        check(isObject(payload));
        this.transport = Object.freeze({ ...STANDING, ...payload });
        return true;
      case "room.degraded":
      case "room.restored":
        this.isDegraded = type === "room.degraded";
        return true;
      case "heartbeat":
        return !this.#applyHeartbeat(payload);
      case "ack":
        return !this.#applyAck(payload);
      case "error":
        if (this.isWelcome) return !this.pending.resolve("error", payload);
        this.refusal = new EntryRefused(String(payload?.code ?? "policy"), String(payload?.message ?? "Refused."));
        return false;
      default:
        return true;
    }
  }

  // Replace what is known. On an open connection the program is told of the members who differ, too.
  #applyWelcome(message) {
    const { payload } = message;
    check(isObject(payload) && Array.isArray(payload.members) && payload.members.every(isMember));
    const { roomId, memberId, epoch, offset = 0, members, state = {}, transport = {}, serverTime, recovered } = payload;
    check(Number.isSafeInteger(offset) && isObject(state) && isObject(transport));
    // A connection that ends before the gap was told must not hide it: the next one asks from the same place.
    this.#beforeGap = recovered ? null : this.since;
    const before = this.isWelcome ? new Map(this.roster) : null;
    this.roster.clear();
    for (const member of members) this.roster.set(member.memberId, member);
    this.entries.clear();
    for (const [key, entry] of Object.entries(state)) this.entries.set(key, entry);
    Object.assign(this, { roomId, memberId, epoch, offset, isWelcome: true, isDegraded: false });
    this.transport = Object.freeze({ ...STANDING, ...transport });
    this.clock.begin(Number(serverTime));
    this.welcomes += 1;
    if (this.welcomes === 1) return [];
    return before ? [message, ...differences(before, this.roster)] : [message];
  }

  #applyState(payload) {
    check(typeof payload?.key === "string");
    const { key, value, version, by } = payload;
    if (value === null) this.entries.delete(key);
    else this.entries.set(key, { value, version, by });
  }

  // Resolve the request that this answers, and move on to its message. Returns false when it answers none.
  #applyAck(payload) {
    check(isObject(payload));
    const { offset, epoch = this.epoch } = payload;
    if (epoch === this.epoch && Number.isSafeInteger(offset)) this.offset = Math.max(this.offset, offset);
    return this.pending.resolve("ack", { ...payload, epoch });
  }

  // Measure the clock by the heartbeats of this connection. Returns false for those of the program.
  #applyHeartbeat(payload) {
    const sentMs = payload?.echo?.sentMs;
    if (!Number.isFinite(sentMs)) return false;
    check(Number.isFinite(payload.ts));
    callSafely(this.#onRoundTrip, this.clock.add(sentMs, payload.ts));
    return true;
  }
}

function isMember(value) {
  return typeof value?.memberId === "string" && typeof value.displayName === "string";
}

// The messages that the room would have sent for what differs between two rosters: who left, then who changed and who
// joined. Why somebody left nobody knows any more.
function differences(before, after) {
  const told = [];
  const tell = (type, payload) => told.push({ type, payload, from: null, offset: null, id: null });
  for (const memberId of before.keys()) if (!after.has(memberId)) tell("presence.leave", { memberId, reason: "lost" });
  for (const [memberId, member] of after) {
    if (!before.has(memberId)) tell("presence.join", member);
    else if (!isSameMember(before.get(memberId), member)) tell("presence.update", member);
  }
  return told;
}

function isSameMember(one, other) {
  const { account = null } = one;
  const { account: otherAccount = null } = other;
  const isSame = ["displayName", "status", "connected"].every((name) => one[name] === other[name]);
  return isSame && account?.id === otherAccount?.id && account?.name === otherAccount?.name;
}

// --- Pending requests ------------------------------------------------------------------------------------------------

// The codes of messages that were dropped before anybody looked whether they were accepted earlier.
const DROPPED = new Set(["rate_limited", "room_busy"]);

// A message that is not answered when its connection ends is sent again on the next one, with the same id and the same
// content: the room says it once. It is also sent again when another `welcome` comes on an open connection.
class PendingRequests {
  #pending = new Map();
  #run = randomHex(6); // an id names one message for ever, also when the program is started again
  #last = 0;

  add({ type, payload, to, id = `${this.#run}-${(this.#last += 1)}`, keep, timeoutMs }) {
    if (this.#pending.has(id)) throw new InvalidInput("invalid_message", `A message with the id ${id} waits for its answer.`);
    const request = { id, text: encodeMessage({ type, payload, to, id, keep }), connection: null, sent: 0 };
    request.answer = new Promise((resolve, reject) => Object.assign(request, { resolve, reject }));
    request.timer = setTimeout(() => {
      this.#pending.delete(id);
      request.reject(new NotTaken("no_answer", `The room did not answer within ${timeoutMs / 1000} s.`));
    }, Math.min(timeoutMs, LONGEST_TIMER_MS));
    this.#pending.set(id, request);
    return request;
  }

  has(request) {
    return this.#pending.has(request.id);
  }

  // Take all as not sent: who answers on this connection now may not know them.
  forgetConnections() {
    for (const request of this.#pending.values()) request.connection = null;
  }

  // Those that were not sent on this connection yet, oldest first.
  notSentOn(connection) {
    return [...this.#pending.values()].filter((request) => request.connection !== connection);
  }

  // Complete the request that this `ack` or `error` answers. Returns false when it answers none.
  resolve(type, payload) {
    const request = this.#pending.get(payload?.id);
    if (!request) return false;
    this.#pending.delete(request.id);
    clearTimeout(request.timer);
    const { code, message, version = null } = payload;
    if (type === "ack") request.resolve(payload);
    else if (request.sent > 1 && DROPPED.has(code)) {
      const sentence = "The room had too much to do to say whether it has this message.";
      request.reject(new NotTaken("no_answer", sentence));
    } else request.reject(new NotTaken(String(code), String(message), { version }));
    return true;
  }

  failAll(error) {
    for (const request of this.#pending.values()) {
      clearTimeout(request.timer);
      request.reject(error);
    }
    this.#pending.clear();
  }
}

function randomHex(bytes) {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// --- Inbox -----------------------------------------------------------------------------------------------------------

// Above its limit the oldest messages are dropped, and one `inbox.overflow` in their place says how many they were.
class Inbox {
  dropped = 0;
  #limitBytes;
  #messages = new Queue();
  #size = 0;
  #missing = 0;
  #readers = [];
  #end = null;

  constructor(limitBytes) {
    this.#limitBytes = limitBytes;
  }

  put(message, size) {
    this.#messages.push([message, size]);
    this.#size += size;
    while (this.#size > this.#limitBytes && this.#messages.length > 1) {
      this.#size -= this.#messages.shift()[1];
      this.#missing += 1;
      this.dropped += 1;
    }
    if (this.#readers.length > 0) this.#readers.shift().resolve(this.#take());
  }

  // Accept nothing more. Readers get what is there, and then this error; after `left` it just ends.
  close(error) {
    this.#end = error;
    for (const reader of this.#readers.splice(0)) reader.resolve(this.#ended());
  }

  // The next message, as an iterator's result.
  next() {
    const message = this.#take();
    if (message) return Promise.resolve(message);
    if (this.#end) return Promise.resolve().then(() => this.#ended());
    return new Promise((resolve) => this.#readers.push({ resolve }));
  }

  // All messages; removed unless they shall stay for whoever iterates.
  all({ areKept }) {
    const messages = [...this.#messages].map(([message]) => message);
    if (this.#missing > 0) messages.unshift(overflow(this.#missing));
    if (!areKept) {
      this.#messages = new Queue();
      this.#size = this.#missing = 0;
    }
    return messages;
  }

  #take() {
    if (this.#missing > 0) {
      const value = overflow(this.#missing);
      this.#missing = 0;
      return { value, done: false };
    }
    if (this.#messages.length === 0) return null;
    const [value, size] = this.#messages.shift();
    this.#size -= size;
    return { value, done: false };
  }

  #ended() {
    if (this.#end.code === "left") return { value: undefined, done: true };
    return Promise.reject(this.#end);
  }
}

function overflow(dropped) {
  return { type: "inbox.overflow", payload: { dropped }, from: null, offset: null, id: null };
}

// First in, first out, in constant time.
class Queue {
  #items = [];
  #first = 0;

  get length() {
    return this.#items.length - this.#first;
  }

  get first() {
    return this.#items[this.#first];
  }

  push(item) {
    this.#items.push(item);
  }

  shift() {
    const item = this.#items[this.#first];
    this.#items[this.#first] = undefined;
    this.#first += 1;
    if (this.#first > 64 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  *[Symbol.iterator]() {
    for (let index = this.#first; index < this.#items.length; index += 1) yield this.#items[index];
  }
}

// Passes received messages on: to the handlers, and to the inbox when somebody iterates. Until there is either, the
// inbox holds them, so that nothing is missed between `connect` and the first `on`.
class Receivers {
  inbox;
  #handlers = new Map();
  #isHolding = true;
  #isReleasing = false;
  #isIterated = false;

  constructor(limitBytes) {
    this.inbox = new Inbox(limitBytes);
  }

  put(message, size) {
    if (this.#isHolding || this.#isIterated) this.inbox.put(message, size);
    if (!this.#isHolding) this.#call(message);
  }

  add(type, handler) {
    if (typeof handler !== "function") throw new InvalidInput("invalid_handler", "A handler must be a function.");
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    this.#handlers.get(type).add(handler);
    if (this.#isHolding && !this.#isReleasing) {
      this.#isReleasing = true;
      queueMicrotask(() => this.#release()); // so that handlers that are added together get the same
    }
  }

  remove(type, handler) {
    this.#handlers.get(type)?.delete(handler);
  }

  beginIteration() {
    this.#isIterated = true;
    if (this.#isReleasing) this.#release();
    this.#isHolding = false;
  }

  #release() {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    for (const message of this.inbox.all({ areKept: this.#isIterated })) this.#call(message);
  }

  #call(message) {
    for (const type of [message.type, "*"]) {
      for (const handler of [...(this.#handlers.get(type) ?? [])]) callSafely(handler, message);
    }
  }
}

// What a handler throws is reported as that of an event listener is. It does not break the client.
function callSafely(handler, argument) {
  try {
    handler(argument);
  } catch (error) {
    if (globalThis.reportError) globalThis.reportError(error);
    else queueMicrotask(() => { throw error; });
  }
}

// --- Connection ------------------------------------------------------------------------------------------------------

// Which room to join, and as whom. The same for all reconnections of one membership.
class JoinRequest {
  name;
  status;
  #url;
  #room;
  #memberId;
  #ticket;
  #WebSocket;
  #transport;
  #eventsUrl;
  #unopened = 0; // attempts in a row, by either transport, in which nothing could be opened
  #hasFallenBack = false;
  #webSocketWorks = false; // it was opened once in this membership

  constructor(url, options) {
    const { room, name, memberId, status, ticket, transport = "auto", eventsUrl = null } = options;
    const { WebSocket = globalThis.WebSocket } = options;
    if (!TRANSPORTS.includes(transport)) {
      throw new InvalidInput("invalid_transport", `transport must be one of ${TRANSPORTS.join(", ")}.`);
    }
    if (typeof WebSocket !== "function" && transport !== "events") {
      throw new InvalidInput("no_websocket", "There is no WebSocket here: use Node 22 or newer, or pass `WebSocket`.");
    }
    const isNamedLater = ticket || (transport === "events" && eventsUrl);
    const { searchParams } = parseUrl(url ?? (isNamedLater ? "ws://named.by.the.ticket" : url));
    this.#transport = transport;
    this.#eventsUrl = eventsUrl && parseUrl(eventsUrl, ["http:", "https:"]);
    this.#url = url;
    this.#room = room;
    this.#ticket = ticket;
    this.#WebSocket = WebSocket;
    this.#memberId = memberId ?? (ticket || searchParams.has("memberId") ? undefined : randomHex(8));
    this.name = name ?? (ticket || searchParams.has("displayName") ? undefined : this.#memberId);
    this.status = status;
  }

  get hasTicket() {
    return Boolean(this.#ticket);
  }

  // Whether to try an event stream now. While nothing can be opened, both transports are tried in turn.
  get usesEvents() {
    if (this.#transport !== "auto") return this.#transport === "events";
    if (!this.#eventsUrl) return false;
    return this.#hasFallenBack || (this.#unopened >= UNOPENED && this.#unopened % 2 === 0);
  }

  // Whether to go on after an attempt that failed, until an event stream was tried as well.
  get hasAlternative() {
    return this.#transport === "auto" && Boolean(this.#eventsUrl) && this.#unopened > 0 && this.#unopened <= UNOPENED;
  }

  noteFailure(connection) {
    if (connection) this.#unopened = connection.wasOpened ? 0 : this.#unopened + 1;
  }

  // An event stream is kept to when no WebSocket could be opened before. Otherwise the next attempt is a WebSocket again.
  noteSuccess(connection) {
    this.#unopened = 0;
    if (connection instanceof EventConnection) this.#hasFallenBack = !this.#webSocketWorks;
    else this.#webSocketWorks = true;
  }

  // Open a connection this time, with a ticket of its own. Throws `EntryRefused`, and what the ticket function throws.
  async prepare(since) {
    const { ticket, url, eventsUrl } = await this.#getTicket();
    if (eventsUrl) this.#eventsUrl = parseUrl(eventsUrl, ["http:", "https:"]);
    if (!this.usesEvents) {
      const address = this.#address(url ?? this.#url, ticket, since);
      return (handlers) => new Connection(this.#openWebSocket(address), handlers);
    }
    if (!this.#eventsUrl) {
      throw new InvalidInput("no_events_url", "`transport: \"events\"` needs `eventsUrl`, or a ticket that names it.");
    }
    const address = new URL(this.#eventsUrl);
    const fields = { memberId: this.#memberId, displayName: this.name, status: this.status };
    setQuery(address, fields);
    const headers = {};
    if (ticket) headers.Authorization = `Bearer ${ticket}`;
    if (since) headers["Last-Event-ID"] = since;
    return (handlers) => new EventConnection(address, headers, handlers);
  }

  #address(url, ticket, since) {
    const address = parseUrl(url);
    const fields = { roomId: this.#room, memberId: this.#memberId, displayName: this.name, status: this.status, since };
    setQuery(address, fields);
    return { url: address, protocols: ticket ? [SUBPROTOCOL, `ticket.${ticket}`] : [SUBPROTOCOL] };
  }

  #openWebSocket({ url, protocols }) {
    try {
      const socket = new this.#WebSocket(url.href, protocols);
      socket.binaryType = "arraybuffer";
      return socket;
    } catch (problem) {
      // Such as a page over https that wants ws://
      throw new EntryRefused("unreachable", `${url.host} cannot be opened: ${problem.message}`, { cause: problem });
    }
  }

  async #getTicket() {
    if (typeof this.#ticket !== "function") return { ticket: this.#ticket };
    let given;
    try {
      given = await this.#ticket();
    } catch (problem) {
      // `fetch` fails with a TypeError while the network, or the web, is down.
      const isPassing = problem instanceof Unavailable || problem instanceof TypeError;
      if (!isPassing) throw problem;
      const { code, retryAfterMs } = problem instanceof Unavailable ? problem : new Unavailable(problem.message);
      throw new EntryRefused(code, `There is no ticket now: ${problem.message}`, { retryAfterMs, cause: problem });
    }
    if (typeof given === "string") return { ticket: given };
    return readTicket(isResponse(given) ? await readResponse(given) : given);
  }
}

function setQuery(address, fields) {
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null) address.searchParams.set(name, value);
  }
}

function readTicket(given) {
  if (typeof given?.ticket === "string") return given;
  throw new InvalidInput("invalid_ticket", "The ticket function must return a ticket, {ticket, url}, or a Response.");
}

function isResponse(value) {
  return typeof value?.json === "function" && typeof value.status === "number";
}

// What the web answered to a request for a ticket. Throws `EntryRefused` with its code and its sentence.
async function readResponse(response) {
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  throw webRefusal(response, body, "no_ticket", "a ticket");
}

function webRefusal(response, body, code, wanted) {
  const { status } = response;
  const retryAfterMs = TEMPORARY.has(status) ? retryAfter(response) : null;
  const sentence = body?.error ?? `The web answered ${status} to the request for ${wanted}.`;
  return new EntryRefused(body?.code ?? code, sentence, { status, retryAfterMs });
}

function retryAfter(response) {
  return 1000 * Number(response.headers.get("Retry-After") ?? 0) || 0;
}

function parseUrl(url, protocols = ["ws:", "wss:"]) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    parsed = null;
  }
  if (!parsed || !protocols.includes(parsed.protocol) || parsed.username || parsed.password) {
    throw new InvalidInput("invalid_url", `${JSON.stringify(String(url))} is not a URL such as ${protocols[0]}//127.0.0.1:8080.`);
  }
  parsed.hash = ""; // a WebSocket has none
  return parsed;
}

// One WebSocket: what it tells goes to `hear()`, at each sign of life, to `receive(data)` and, once, to
// `end({code, reason})`.
class Connection {
  wasOpened = false;
  #socket;
  #end;

  constructor(socket, { hear, receive, end }) {
    this.#socket = socket;
    this.#end = end;
    socket.addEventListener("open", () => (this.wasOpened = true));
    socket.addEventListener("message", ({ data }) => {
      if (!this.#end) return;
      hear();
      receive(data);
    });
    // Deno's code is 0 when there was no close frame.
    socket.addEventListener("close", ({ code, reason }) => this.#finish({ code: code || LOST, reason: String(reason) }));
    // Without a listener some WebSockets throw. The close event follows.
    socket.addEventListener("error", () => {});
  }

  get isFull() {
    return this.#socket.bufferedAmount >= BUFFER_BYTES;
  }

  // What is sent while it closes is lost, as what is on its way is.
  send(data) {
    if (this.#socket.readyState === 1) this.#socket.send(data);
  }

  close() {
    this.#socket.close(NORMAL);
  }

  // It is of no use any more. Its end is not waited for, because a dead connection ends late.
  abandon() {
    this.#end = null;
    if (this.#socket.terminate) this.#socket.terminate();
    else this.#socket.close();
  }

  // Nothing arrives, though it should: end it as lost.
  giveUp() {
    const end = this.#end;
    this.abandon();
    end?.({ code: LOST, reason: "" });
  }

  #finish(disconnect) {
    const end = this.#end;
    this.#end = null;
    end?.(disconnect);
  }
}

// --- Event connection ------------------------------------------------------------------------------------------------

// One event stream, with the methods of a `Connection`. What is sent goes by requests of its own, one after another, so
// that the order is kept. A request that fails ends the connection, as nobody knows what has arrived.
class EventConnection {
  wasOpened = false;
  #url;
  #hear;
  #receive;
  #end;
  #abort = new AbortController();
  #stream = null; // the id of the stream, once its first event has told it
  #waiting = new Queue();
  #waitingBytes = 0;
  #isPosting = false;
  #isClosing = false;

  constructor(url, headers, { hear, receive, end }) {
    this.#url = url;
    this.#hear = hear;
    this.#receive = receive;
    this.#end = end;
    this.#open(headers);
  }

  get isFull() {
    return this.#waitingBytes >= BUFFER_BYTES;
  }

  send(data) {
    this.#waiting.push(data);
    this.#waitingBytes += sizeOf(data);
    this.#post();
  }

  close() {
    this.#isClosing = true;
    this.#post();
  }

  abandon() {
    this.#end = null;
    this.#abort.abort();
  }

  giveUp() {
    const end = this.#end;
    this.abandon();
    end?.({ code: LOST, reason: "" });
  }

  // Receiving

  async #open(headers) {
    try {
      const { signal } = this.#abort;
      const response = await fetch(this.#url, { headers, signal, cache: "no-store", redirect: "error" });
      if (!response.ok) {
        const body = await response.json().catch(() => null);
        this.#finish({ code: LOST, reason: "", problem: webRefusal(response, body, "no_events", "an event stream") });
      } else if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        this.wasOpened = true;
        await this.#read(response.body);
      }
    } catch {
      // The connection broke, or was given up.
    }
    this.giveUp(); // unless it has ended
  }

  async #read(body) {
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let rest = "";
    let event = { name: "", data: [] };
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      this.#hear();
      const lines = (rest + decoder.decode(part.value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "" || line === "\r") {
          this.#take(event.name, event.data.join("\n"));
          event = { name: "", data: [] };
        } else if (line.startsWith("event: ")) event.name = line.slice(7).trim();
        else if (line.startsWith("data: ")) event.data.push(line.slice(6));
      }
    }
  }

  #take(name, data) {
    if (!this.#end || data === "") return;
    if (name === "stream") {
      this.#stream = parseJson(data)?.stream;
      this.#post();
    } else if (name === "close") {
      const { code = LOST, reason = "" } = parseJson(data) ?? {};
      this.#finish({ code, reason });
    } else if (name === "binary") {
      this.#receive(Uint8Array.from(atob(data), (character) => character.charCodeAt(0)).buffer);
    } else this.#receive(data);
  }

  #finish(disconnect) {
    const end = this.#end;
    this.abandon();
    end?.(disconnect);
  }

  // Sending

  async #post() {
    if (this.#isPosting) return;
    this.#isPosting = true;
    try {
      while (this.#stream && this.#end && this.#waiting.length > 0) {
        const nextAtMs = performance.now() + POST_EVERY_MS;
        await this.#request("POST", new URL("messages", this.#url), this.#nextBody());
        await delay(nextAtMs - performance.now());
      }
      if (this.#isClosing && this.#stream && this.#end) await this.#request("DELETE", this.#url, null);
    } catch {
      this.giveUp();
    }
    this.#isPosting = false;
  }

  // One binary message, or the text messages before the next one, one a line: JSON has no line breaks of its own.
  #nextBody() {
    const first = this.#shift();
    if (typeof first !== "string") return { type: "application/octet-stream", data: first };
    const lines = [first];
    let size = sizeOf(first);
    while (typeof this.#waiting.first === "string" && size + 1 + sizeOf(this.#waiting.first) <= POST_BYTES) {
      size += 1 + sizeOf(this.#waiting.first);
      lines.push(this.#shift());
    }
    return { type: "application/x-ndjson", data: lines.join("\n") };
  }

  #shift() {
    const data = this.#waiting.shift();
    this.#waitingBytes -= sizeOf(data);
    return data;
  }

  async #request(method, url, body) {
    const headers = { [STREAM_HEADER]: this.#stream };
    if (body) headers["Content-Type"] = body.type;
    const options = { method, headers, body: body?.data, signal: this.#abort.signal, redirect: "error" };
    let response = await fetch(url, options);
    while (response.status === 429) {
      await response.body?.cancel();
      await delay(Math.max(retryAfter(response), POST_EVERY_MS));
      response = await fetch(url, options);
    }
    await response.body?.cancel();
    if (!response.ok) throw new TypeError(`The web answered ${response.status}.`);
  }
}

// In bytes of UTF-8.
function sizeOf(data) {
  return typeof data === "string" ? utf8.encode(data).length : data.byteLength;
}

function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(ms, 0)));
}

// --- Reconnector -----------------------------------------------------------------------------------------------------

// Keeps one member in one room. After a reconnection, and after another `welcome` on an open connection (the room has
// moved), it first sends again what was not answered, in the order in which it was sent, and then what waited to be sent.
class Reconnector {
  state = "reconnecting";
  closeError = null;
  #request;
  #view;
  #receivers;
  #policy;
  #giveUpAfterMs;
  #heartbeatMs;
  #answerMs;
  #connection = null;
  #connectedAtMs = 0;
  #lostAtMs = 0;
  #isLeaving = false;
  #cancelAttempt = null;
  #timers = { retry: 0, beat: 0, answer: 0, drain: 0 };
  #queue = new Queue();
  #queueBytes = 0;
  #watchers = new Set();

  constructor(request, view, receivers, { reconnectPolicy, giveUpAfterMs, heartbeatMs, answerMs }) {
    this.#request = request;
    this.#view = view;
    this.#receivers = receivers;
    this.#policy = reconnectPolicy;
    this.#giveUpAfterMs = giveUpAfterMs;
    this.#heartbeatMs = heartbeatMs;
    this.#answerMs = Math.min(answerMs, heartbeatMs);
  }

  // Join the room for the first time, with one attempt; more while a WebSocket cannot be opened, and an event stream
  // may be. Throws `EntryRefused`.
  async join() {
    for (;;) {
      try {
        await this.#attemptJoin();
        return;
      } catch (problem) {
        if (problem?.code !== "unreachable" || !this.#request.hasAlternative) throw problem;
      }
    }
  }

  watch(handler) {
    this.#watchers.add(handler);
    return () => this.#watchers.delete(handler);
  }

  // Do not wait for the next attempt.
  retryNow() {
    if (this.state !== "reconnecting" || this.#cancelAttempt) return;
    clearTimeout(this.#timers.retry);
    this.#tryAgain();
  }

  async leave() {
    if (this.state === "closed") return;
    this.#isLeaving = true;
    if (!this.#connection) {
      this.#close(leftError());
      return;
    }
    const ended = new Promise((resolve) => this.watch(({ state }) => state === "closed" && resolve()));
    const timer = setTimeout(() => this.#close(leftError()), CLOSE_MS);
    this.#connection.close();
    await ended;
    clearTimeout(timer);
  }

  // Sending

  // Send what needs no answer, now or on the next connection.
  say(data, size) {
    if (this.closeError) return Promise.reject(this.closeError);
    if (this.#queueBytes + size > QUEUE_BYTES) {
      const sentence = "Too much waits to be sent. Wait for `say`, or say less while the connection is lost.";
      return Promise.reject(new NotTaken("send_queue_full", sentence));
    }
    const said = new Promise((resolve, reject) => this.#queue.push({ data, size, resolve, reject }));
    said.catch(() => {}); // whoever does not wait for it does not want to know
    this.#queueBytes += size;
    this.#drain();
    return said;
  }

  // Send a message that waits for its answer, now, or with the others on the next connection.
  async ask(message) {
    if (this.closeError) throw this.closeError;
    const request = this.#view.pending.add(message);
    if (this.#connection) {
      this.#queue.push({ request });
      this.#drain();
    }
    return request.answer;
  }

  #drain() {
    clearTimeout(this.#timers.drain);
    while (this.#connection && this.#queue.length > 0) {
      if (this.#connection.isFull) {
        this.#timers.drain = setTimeout(() => this.#drain(), DRAIN_MS);
        return;
      }
      const { request, data, size, resolve } = this.#queue.shift();
      if (request) {
        this.#sendRequest(request);
      } else {
        this.#queueBytes -= size;
        this.#connection.send(data);
        resolve();
      }
    }
  }

  // Unless it was answered, or its time is over, or it was sent with the others after the reconnection.
  #sendRequest(request) {
    if (!this.#view.pending.has(request) || request.connection === this.#connection) return;
    request.connection = this.#connection;
    request.sent += 1;
    this.#connection.send(request.text);
  }

  // Joining

  // Connect once and wait for the `welcome`, for `JOIN_MS`. Throws `EntryRefused`.
  #attemptJoin() {
    const since = this.#view.beginConnection();
    return new Promise((resolve, reject) => {
      let connection = null;
      let isOver = false;
      const finish = (act, value) => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        this.#cancelAttempt = null;
        act(value);
      };
      const fail = (problem) => {
        if (!isOver) {
          this.#request.noteFailure(connection);
          connection?.abandon();
        }
        finish(reject, problem);
      };
      const late = `The server did not let anybody in within ${JOIN_MS / 1000} s.`;
      const timer = setTimeout(() => fail(new EntryRefused("unreachable", late, { retryAfterMs: 0 })), JOIN_MS);
      this.#cancelAttempt = () => fail(leftError());
      const hear = () => {
        if (connection === this.#connection) this.#stopWaiting();
      };
      const receive = (data) => {
        const { welcomes } = this.#view;
        const messages = this.#view.receive(data);
        if (!isOver && this.#view.isWelcome) {
          finish(resolve);
          this.#request.noteSuccess(connection);
          this.#setConnected(connection);
        } else if (this.#view.welcomes !== welcomes && connection === this.#connection) {
          this.#handleMove();
        }
        for (const message of messages) this.#receivers.put(message, data.byteLength ?? data.length);
      };
      const end = (disconnect) => {
        if (isOver) this.#handleEnd(disconnect);
        else fail(this.#refusal(disconnect));
      };
      const open = async () => {
        const openConnection = await this.#request.prepare(since);
        if (!isOver) connection = openConnection({ hear, receive, end });
      };
      open().catch(fail);
    });
  }

  // The error for a connection that ended before the `welcome`.
  #refusal(disconnect) {
    if (this.#view.refusal) return this.#view.refusal;
    if (disconnect.problem) return disconnect.problem;
    const final = finalError(disconnect);
    if (final) return new EntryRefused(final.code, final.message);
    // A WebSocket does not tell whether nobody was there, or somebody refused.
    const sentence = "The gateway cannot be reached, or does not let this page in. Its log says if it refused.";
    const retryAfterMs = disconnect.code === LOST ? 0 : this.#policy.delayAfter(disconnect);
    return new EntryRefused("unreachable", sentence, { retryAfterMs });
  }

  #setConnected(connection) {
    this.#connection = connection;
    this.#connectedAtMs = performance.now();
    this.#sendAgain();
    this.#setState("connected");
  }

  // Another `welcome` came on the open connection.
  #handleMove() {
    this.#view.pending.forgetConnections();
    clearTimeout(this.#timers.beat);
    this.#sendAgain();
  }

  // What was not answered, and then what waits. Whoever answers now has a clock of their own.
  #sendAgain() {
    for (const request of this.#view.pending.notSentOn(this.#connection)) this.#sendRequest(request);
    this.#drain();
    this.#beat(FIRST_BEATS);
  }

  // The life of a connection

  // A browser does not show pings to a page, so a silent connection is found by heartbeats.
  #beat(quick = 0) {
    this.#connection.send(this.#view.heartbeat());
    if (!this.#timers.answer) this.#awaitAnswer(this.#answerMs);
    const everyMs = quick > 1 ? Math.min(FIRST_BEAT_MS, this.#heartbeatMs) : this.#heartbeatMs;
    this.#timers.beat = setTimeout(() => this.#beat(quick - 1), everyMs);
  }

  // One timer, since the first heartbeat after which nothing has arrived; whatever arrives stops it. A program that
  // stood still finds the timer before what has arrived meanwhile, so it looks once more.
  #awaitAnswer(ms) {
    const dueMs = performance.now() + ms;
    this.#timers.answer = setTimeout(() => {
      if (performance.now() - dueMs > LATE_MS) this.#awaitAnswer(LATE_MS);
      else this.#connection.giveUp();
    }, ms);
  }

  #stopWaiting() {
    clearTimeout(this.#timers.answer);
    this.#timers.answer = 0;
  }

  #handleEnd(disconnect) {
    this.#connection = null;
    this.#stopTimers();
    const final = this.#isLeaving ? leftError() : finalError(disconnect);
    if (final) {
      this.#close(final);
      return;
    }
    if (performance.now() - this.#connectedAtMs >= STABLE_MS) this.#policy.reset();
    this.#lostAtMs = performance.now();
    this.#retryAfter(this.#policy.delayAfter(disconnect), disconnect);
  }

  #retryAfter(delayMs, { code, reason }) {
    this.#timers.retry = setTimeout(() => this.#tryAgain(), delayMs);
    this.#setState("reconnecting", { delayMs, closeCode: code, reason });
  }

  async #tryAgain() {
    try {
      await this.#attemptJoin();
    } catch (problem) {
      if (this.state === "closed") return;
      if (!(problem instanceof EntryRefused)) {
        const sentence = `The client cannot reconnect: ${problem?.message ?? problem}`;
        this.#close(new Closed("internal", sentence, { cause: problem }));
      } else if (problem.retryAfterMs === null) {
        const sentence = `The server does not let you in again: ${problem.message}`;
        this.#close(new Closed(problem.code, sentence, { cause: problem }));
      } else if (performance.now() - this.#lostAtMs >= this.#giveUpAfterMs) {
        const sentence = `The room could not be reached again for ${this.#giveUpAfterMs / 1000} s: ${problem.message}`;
        this.#close(new Closed("unreachable", sentence, { cause: problem }));
      } else {
        this.#retryAfter(this.#policy.nextDelay(problem.retryAfterMs), { code: LOST, reason: problem.message });
      }
    }
  }

  // End the membership with this error, unless it has ended before.
  #close(error) {
    if (this.closeError) return;
    this.closeError = error;
    this.#stopTimers();
    const connection = this.#connection;
    this.#connection = null;
    connection?.abandon();
    this.#cancelAttempt?.();
    this.#view.pending.failAll(error);
    for (const { reject } of this.#queue) reject?.(error);
    this.#queue = new Queue();
    this.#receivers.inbox.close(error);
    this.#setState("closed", { error });
  }

  #stopTimers() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers.answer = 0;
  }

  #setState(state, detail = {}) {
    this.state = state;
    for (const watcher of [...this.#watchers]) callSafely(watcher, { state, ...detail });
  }
}

// --- Client room -----------------------------------------------------------------------------------------------------

export class ClientRoom {
  #reconnector;
  #view;
  #receivers;
  #request;

  constructor(reconnector, view, receivers, request) {
    this.#reconnector = reconnector;
    this.#view = view;
    this.#receivers = receivers;
    this.#request = request;
  }

  // What is known

  get name() {
    return this.#view.roomId;
  }

  get memberId() {
    return this.#view.memberId;
  }

  get members() {
    return [...this.#view.roster.values()];
  }

  member(memberId) {
    return this.#view.roster.get(memberId) ?? null;
  }

  get connectionState() {
    return this.#reconnector.state;
  }

  get closeError() {
    return this.#reconnector.closeError;
  }

  get isDegraded() {
    return this.#view.isDegraded;
  }

  get epoch() {
    return this.#view.epoch;
  }

  get since() {
    return this.#view.since;
  }

  get dropped() {
    return this.#receivers.inbox.dropped;
  }

  get unreadable() {
    return this.#view.unreadable;
  }

  waitFor(state) {
    if (this.connectionState === state) return Promise.resolve();
    if (this.closeError) return Promise.reject(this.closeError);
    return new Promise((resolve, reject) => {
      const stop = this.#reconnector.watch((change) => {
        if (change.state !== state && change.state !== "closed") return;
        stop();
        if (change.state === state) resolve();
        else reject(change.error);
      });
    });
  }

  onConnectionState(handler) {
    return this.#reconnector.watch(handler);
  }

  retryNow() {
    this.#reconnector.retryNow();
  }

  // Receiving

  on(type, handler) {
    this.#receivers.add(type, handler);
    return () => this.off(type, handler);
  }

  off(type, handler) {
    this.#receivers.remove(type, handler);
  }

  [Symbol.asyncIterator]() {
    this.#receivers.beginIteration();
    return {
      next: () => this.#receivers.inbox.next(),
      return: async (value) => ({ value, done: true }),
    };
  }

  // Sending

  async say(type, payload, { to } = {}) {
    const text = encodeMessage({ type, payload, to });
    return this.#reconnector.say(text, text.length);
  }

  async sayBytes(data) {
    const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data;
    if (bytes.byteLength > MESSAGE_BYTES) throw tooLarge(bytes.byteLength);
    return this.#reconnector.say(bytes.slice(), bytes.byteLength); // the program may change its own meanwhile
  }

  async ask(type, payload, { to, id, keep, timeoutMs = ACK_MS } = {}) {
    const { offset, epoch } = await this.#reconnector.ask({ type, payload, to, id, keep, timeoutMs });
    return { offset, epoch };
  }

  async setPresence({ status, name, timeoutMs = ACK_MS }) {
    await this.#reconnector.ask({ type: "presence.set", payload: { status, displayName: name }, timeoutMs });
    this.#request.status = status ?? this.#request.status;
    // A ticket says the name itself.
    if (!this.#request.hasTicket) this.#request.name = name ?? this.#request.name;
  }

  async leave() {
    await this.#reconnector.leave();
  }

  // Shared state

  get state() {
    return this.#view.state;
  }

  async setState(key, value, { ifVersion, ephemeral, timeoutMs = ACK_MS } = {}) {
    const payload = { key, value: value ?? null, ifVersion, ephemeral: ephemeral || undefined };
    const { version = 0 } = await this.#reconnector.ask({ type: "state.set", payload, timeoutMs });
    return version;
  }

  // Transport

  get transport() {
    return this.#view.transport;
  }

  get clockOffsetMs() {
    return this.#view.clock.offsetMs;
  }

  get clockUncertaintyMs() {
    return this.#view.clock.uncertaintyMs;
  }

  serverTime(atMs = Date.now()) {
    return this.#view.clock.at(atMs);
  }

  serverTimeAt(performanceMs = performance.now()) {
    return this.#view.clock.atPerformance(performanceMs);
  }

  position(atMs = Date.now()) {
    return beatAt(this.transport, this.serverTime(atMs));
  }

  async play(atBeat, { timeoutMs = ACK_MS } = {}) {
    await this.#setTransport({ playing: true, atBeat }, timeoutMs);
  }

  async stop({ timeoutMs = ACK_MS } = {}) {
    await this.#setTransport({ playing: false }, timeoutMs);
  }

  async setTransport({ tempoBpm, beatsPerBar, atBeat, loop, timeoutMs = ACK_MS }) {
    await this.#setTransport({ tempoBpm, beatsPerBar, atBeat, loop }, timeoutMs);
  }

  async #setTransport(payload, timeoutMs) {
    await this.#reconnector.ask({ type: "transport.set", payload, timeoutMs });
  }
}

export async function connect(url, options = {}) {
  const {
    giveUpAfterMs = GIVE_UP_MS,
    heartbeatMs = HEARTBEAT_MS,
    answerMs = heartbeatMs / 2,
    inboxBytes = INBOX_BYTES,
    reconnectPolicy = new ReconnectPolicy(),
    since,
    onRoundTrip,
    signal,
  } = options;
  if (signal?.aborted) throw leftError();
  const request = new JoinRequest(url, options);
  const view = new RoomView(since, onRoundTrip);
  const receivers = new Receivers(inboxBytes);
  const reconnector = new Reconnector(request, view, receivers, { reconnectPolicy, giveUpAfterMs, heartbeatMs, answerMs });
  signal?.addEventListener("abort", () => reconnector.leave(), { once: true });
  await reconnector.join();
  return new ClientRoom(reconnector, view, receivers, request);
}
