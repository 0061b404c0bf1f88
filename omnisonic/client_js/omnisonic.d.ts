/**
 * The client of Omnisonic Studio's rooms: one member in one room, with automatic reconnection and recovery.
 *
 * Times are in milliseconds. The protocol is docs/realtime.md of the project; names are those of the Python client.
 */

/** A member of the room. */
export interface Member {
  readonly memberId: string;
  /** The name that the member chose. Anybody may choose any name; `account` is who they really are. */
  readonly displayName: string;
  readonly status: Status;
  /** False while the member's connection is broken and the room waits for them. */
  readonly connected: boolean;
  /** The user, when the server knows who the member is. */
  readonly account?: { readonly id: string; readonly name: string | null };
}

export type Status = "active" | "away";

/** `connected`, `reconnecting`, or `closed` (final). */
export type ConnectionState = "connected" | "reconnecting" | "closed";

export type ConnectionChange =
  | { readonly state: "connected" }
  | {
      readonly state: "reconnecting";
      /** The next attempt is in so many milliseconds. */
      readonly delayMs: number;
      /** How the connection ended; 1006 when it just broke, or when an attempt has failed. */
      readonly closeCode: number;
      readonly reason: string;
    }
  | { readonly state: "closed"; readonly error: Closed };

/** The part of the transport that is repeated, in beats from 0. */
export interface Loop {
  readonly startBeat: number;
  readonly endBeat: number;
}

/** What plays, where, and how fast. `ClientRoom.position` computes the position. */
export interface Transport {
  readonly playing: boolean;
  readonly tempoBpm: number;
  readonly beatsPerBar: number;
  /** The position at `anchorTime`, in beats from 0; where it stands, when it does not play. */
  readonly anchorBeat: number;
  /** Milliseconds since 1970, on the server's clock. */
  readonly anchorTime: number;
  readonly loop: Loop | null;
  /** Counts the changes, from 0. */
  readonly version: number;
  /** Who changed it last; null for nobody, or from outside the room. */
  readonly by: string | null;
}

export interface Welcome {
  readonly roomId: string;
  readonly memberId: string;
  readonly ttl: number;
  readonly members: readonly Member[];
  readonly epoch: string;
  readonly offset: number;
  readonly serverTime: number;
  readonly transport: Transport;
  readonly state: Readonly<Record<string, { readonly value: any; readonly version: number; readonly by: string | null }>>;
  /** Everything that was missed follows. */
  readonly recovered: boolean;
}

/** One message. */
export interface Message<Payload = any> {
  /** The type; empty for a binary message. */
  readonly type: string;
  /** Any JSON value; of a binary message, a `Uint8Array`. */
  readonly payload: Payload;
  /** `memberId` of the sender; null when it came from outside the room, or from the server itself. */
  readonly from: string | null;
  /** Its place in the room's order; null for a binary message, and for one that went to you alone. */
  readonly offset: number | null;
  /** The `id` that its sender gave it. Set in a kept message. */
  readonly id: string | number | null;
}

/**
 * The payloads of the types that have a fixed meaning. Add your own types by declaration merging:
 *
 * @example
 * declare module "@omnisonic/client" {
 *   interface RoomMessages {
 *     chat: { text: string };
 *   }
 * }
 */
export interface RoomMessages {
  /** A binary message. */
  "": Uint8Array;
  /**
   * After a reconnection, before what was missed; and on an open connection, when another gateway has taken the room
   * over. Then `presence.*` follow for each member who is not as they were.
   */
  welcome: Welcome;
  "presence.join": Member;
  "presence.update": Member;
  "presence.leave": { readonly memberId: string; readonly reason: string };
  "state.changed": {
    readonly key: string;
    /** Null: the key was deleted. */
    readonly value: any;
    readonly version: number;
    readonly by: string | null;
  };
  "transport.state": Transport;
  /** Messages `from` to `to` of this epoch are lost. `to` and `lost` are null when nobody knows how many. */
  "history.gap": {
    readonly epoch: string;
    readonly from: number;
    readonly to: number | null;
    readonly lost: number | null;
  };
  /** Some members of the room cannot be heard now. */
  "room.degraded": any;
  /** All members can be heard again. */
  "room.restored": any;
  /** An error that does not answer an `ask`. */
  error: { readonly code: string; readonly message: string };
  /** The program did not read in time: so many of the oldest messages were dropped here. */
  "inbox.overflow": { readonly dropped: number };
}

/**
 * A ticket; or what `POST /api/rooms/{roomId}/ticket` answers: `url` is the gateway's address, and `eventsUrl` that of
 * the room's event stream.
 */
export type Ticket = string | { readonly ticket: string; readonly url?: string; readonly eventsUrl?: string };

/**
 * How to connect: by a WebSocket, or by an event stream (HTTP), for where WebSockets are blocked. `auto` tries a
 * WebSocket twice, and then also an event stream, when it knows where one is.
 */
export type TransportName = "auto" | "websocket" | "events";

/**
 * Gets a ticket before each attempt to connect, because a ticket works once. It may return the `Response` of `fetch`
 * as it is: the client reads the ticket, or the refusal, from it. It may throw `Unavailable` to be called again later.
 */
export type TicketFunction = () => Promise<Ticket | Response>;

export interface ConnectOptions {
  /** Room to join, 1 to 128 characters. Not needed with a ticket. */
  room?: string;
  /** Display name that others see. Defaults to `memberId`. */
  name?: string;
  /** Your identity across reconnections. Generated when omitted. Two clients must not share one. */
  memberId?: string;
  /** When omitted, that of the URL; without one, `active`. */
  status?: Status;
  /** A ticket, or a function that gets one before each attempt. */
  ticket?: string | TicketFunction;
  /** `auto` when omitted. */
  transport?: TransportName;
  /**
   * Where the room's event stream is, such as `https://studio.example/api/rooms/night-jam/events`. Not needed with a
   * ticket that names it. A page can only use that of its own origin.
   */
  eventsUrl?: string | URL;
  /** Stop reconnecting after so many milliseconds. 300,000 when omitted. */
  giveUpAfterMs?: number;
  /** How much may wait for the iteration, in bytes. Above that the oldest messages are dropped. 4 MiB when omitted. */
  inboxBytes?: number;
  /** The interval of heartbeats. 20,000 when omitted. A shorter one finds a lost connection sooner. */
  heartbeatMs?: number;
  /**
   * A connection on which nothing arrives for so long after a heartbeat is lost. Half of `heartbeatMs` when omitted,
   * and at most `heartbeatMs`.
   */
  answerMs?: number;
  /** Called with the round trip to the server, in milliseconds, each time that a heartbeat was answered. */
  onRoundTrip?: (roundTripMs: number) => void;
  /** Recover what was missed since an earlier membership, whose `ClientRoom.since` this is. */
  since?: string;
  /** Aborting it leaves the room, as `leave` does. While `connect` waits, it throws `Closed` with the code `left`. */
  signal?: AbortSignal;
  /** When to reconnect. */
  reconnectPolicy?: Pick<ReconnectPolicy, "reset" | "delayAfter" | "nextDelay">;
  /** The class of WebSockets, where there is no global one, or to set headers. For example that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => any;
}

export interface AnswerOptions {
  /** How long to wait for the answer, reconnections included. 10,000 when omitted; `Infinity` is for ever. */
  timeoutMs?: number;
}

/** Where a message is in the room's order. */
export interface Place {
  readonly offset: number;
  /** The count that `offset` is of. For a kept message that was sent again, it can be an earlier one. */
  readonly epoch: string;
}

/**
 * Join a room, and stay connected until `leave`, reconnecting when the connection breaks.
 *
 * Resolves once the gateway has sent `welcome`. It tries once, with each transport that is possible: when it fails it
 * throws, and you decide.
 *
 * Reconnects after the delay that the server asks for (1001), otherwise after 0.5 s, doubling up to 15 s, with jitter.
 * After a reconnection you receive what you have missed, or a `history.gap`, and what was not acknowledged is sent
 * again. A connection that is silently broken is found within 30 s.
 *
 * @param url Address of the gateway, `ws://` or `wss://`. May be null when the ticket function returns it, and with the
 *   transport `events`.
 * @throws {EntryRefused} The gateway did not let you in.
 * @throws {InvalidInput} `url` is not a WebSocket address, or there is no WebSocket here.
 * @throws {Closed} `signal` was aborted.
 * @throws What the ticket function throws, on this first attempt.
 *
 * @example
 * const room = await connect("ws://127.0.0.1:8080", { room: "night-jam", name: "Ada" });
 * room.on("chat", ({ from, payload }) => console.log(from, payload.text));
 * await room.ask("chat", { text: "Hello" });
 */
export function connect(url: string | URL | null, options?: ConnectOptions): Promise<ClientRoom>;

/**
 * A room that this program is a member of. Created by `connect`.
 *
 * Receive messages by `on`, or by `for await (const message of room)`, or both. What arrives before the first `on` or
 * the first iteration waits. Iteration ends when the program leaves, and throws `Closed` when the membership ends
 * otherwise.
 *
 * Everything that sends rejects with `Closed` once the membership has ended.
 */
export class ClientRoom implements AsyncIterable<Message> {
  private constructor();

  /** The room's id. */
  readonly name: string;
  /** Your own id in the room, the same after reconnections. */
  readonly memberId: string;
  /** The members as last received, in the order they came, yourself included. */
  readonly members: Member[];
  readonly connectionState: ConnectionState;
  /** Why the membership has ended; null before. */
  readonly closeError: Closed | null;
  /** Whether some members cannot be heard now: since a `room.degraded`, until `room.restored` or a `welcome`. */
  readonly isDegraded: boolean;
  /** Identifies the count of offsets. When it differs after a `welcome`, the count has begun anew. */
  readonly epoch: string;
  /** Up to where the messages of the room were received, for the option `since` of another `connect`. */
  readonly since: string;
  /** How many messages were dropped because the program did not read them in time. */
  readonly dropped: number;
  /** How many messages were skipped because they could not be decoded. */
  readonly unreadable: number;
  /** What the members share, as last received. */
  readonly state: SharedState;
  /** What plays, where, and how fast, as last received. */
  readonly transport: Transport;
  /** How far the server's clock is ahead of `Date.now()`. Null before the first heartbeat's answer. */
  readonly clockOffsetMs: number | null;
  /** How wrong `serverTime` may be at most: half of the quickest of the last round trips. Null before the first. */
  readonly clockUncertaintyMs: number | null;

  /** The member with this id. Null when they are not in the room. */
  member(memberId: string): Member | null;

  /** Wait until `connectionState` is `state`. Rejects with `Closed` when it will never be. */
  waitFor(state: ConnectionState): Promise<void>;

  /** Call `handler` at each change of `connectionState`. Returns a function that ends this. */
  onConnectionState(handler: (change: ConnectionChange) => void): () => void;

  /** Reconnect now, without waiting for the rest of the delay. */
  retryNow(): void;

  /**
   * Call `handler` for each message of this type; `*` is every type, and the empty type is binary messages. What a
   * handler throws is reported as an uncaught error, and does not break the client.
   *
   * @returns A function that ends this, as `off` does.
   */
  on<Type extends keyof RoomMessages>(type: Type, handler: (message: Message<RoomMessages[Type]>) => void): () => void;
  on<Payload = any>(type: string, handler: (message: Message<Payload>) => void): () => void;

  off(type: string, handler: (message: Message<any>) => void): void;

  [Symbol.asyncIterator](): AsyncIterableIterator<Message>;

  /**
   * Send a message to everybody else, or to one member. Waits while the client reconnects.
   *
   * The message arrives at most once: it is lost when the connection breaks before the room has received it. Use `ask`
   * when it must arrive. A rejection that nobody waits for is not reported, unless it is `InvalidInput`.
   *
   * @param type 1 to 128 characters.
   * @param payload Any JSON value, up to 64 KiB, nested at most 64 deep, without halves of characters.
   * @throws {InvalidInput} `invalid_message`, `too_large` or `too_deep`.
   * @throws {NotTaken} `send_queue_full`: more than 1 MiB waits to be sent.
   */
  say(type: string, payload?: unknown, options?: { to?: string }): Promise<void>;

  /**
   * Send a binary message to everybody else. It has less overhead than `say`, and is not remembered by the room.
   *
   * @param data Up to 64 KiB. Others receive a message with an empty `type` and these bytes as `payload`.
   */
  sayBytes(data: ArrayBuffer | ArrayBufferView): Promise<void>;

  /**
   * Send a message, and wait until the room has accepted it.
   *
   * When the connection breaks before the answer, the message is sent again after the reconnection, with the same `id`.
   * The room relays it once.
   *
   * @param options `to`: the only member who receives it. `keep`: wait until the message is also written down, as the
   *   talk of the page is; in a session's room, and not with `to`. `id`: the id of the message, 1 to 128 characters,
   *   unique for ever; made when omitted. Give the same id and the same content when you ask again after an error: the
   *   room relays the message once. Others see the id of a kept message.
   * @returns The place of the message in the room's order. With `to`, that of the last message before.
   * @throws {NotTaken} With the server's code, such as `unknown_member`. With `no_answer` (not within `timeoutMs`) the
   *   message may have been relayed, and kept, or not.
   * @throws {InvalidInput} As `say`.
   */
  ask(
    type: string,
    payload?: unknown,
    options?: AnswerOptions & { to?: string; id?: string; keep?: boolean },
  ): Promise<Place>;

  /**
   * Change your status or your display name. The change is kept after reconnections.
   *
   * @throws {NotTaken} With the codes of `presence.set`, such as `name_refused`.
   */
  setPresence(change: AnswerOptions & { status?: Status; name?: string }): Promise<void>;

  /**
   * Change one key of the shared state, for everybody. Sent again after a reconnection, as by `ask`.
   *
   * @param value Any JSON value, up to 8 KiB. Null: delete the key.
   * @param options `ifVersion`: change the key only if it has this version; 0: only if it is not there. `ephemeral`:
   *   delete the key when you leave.
   * @returns The version of the change.
   * @throws {NotTaken} `state_conflict`: the key has another version, which is the error's `version`. Also
   *   `state_too_large`, `invalid_state_key` and `no_answer`.
   */
  setState(
    key: string,
    value: unknown,
    options?: AnswerOptions & { ifVersion?: number; ephemeral?: boolean },
  ): Promise<number>;

  /** Start the transport for everybody, 150 ms from now: at this beat, or where it stands. */
  play(atBeat?: number, options?: AnswerOptions): Promise<void>;

  /** Stop the transport for everybody, where it is. */
  stop(options?: AnswerOptions): Promise<void>;

  /**
   * Change the transport for everybody. What you leave out stays as it is; a `loop` of null ends the loop.
   *
   * @throws {NotTaken} `invalid_transport`: something is out of its range, or nothing is given; or `no_answer`.
   */
  setTransport(
    change: AnswerOptions & { tempoBpm?: number; beatsPerBar?: number; atBeat?: number; loop?: Loop | null },
  ): Promise<void>;

  /**
   * The position of the transport in beats from 0, the same for all members at the same moment.
   *
   * @param atMs The moment, on the clock of `Date.now()`. Now, when omitted.
   */
  position(atMs?: number): number;

  /** The server's clock at this moment of `Date.now()`, or now. A little late until a heartbeat was answered. */
  serverTime(atMs?: number): number;

  /** The server's clock at this moment of `performance.now()`, or now, with fractions of a millisecond. */
  serverTimeAt(performanceMs?: number): number;

  /** Leave the room for good. Iteration ends, and nothing can be sent any more. */
  leave(): Promise<void>;
}

/** The shared state of a room, as last received. `Object.fromEntries(room.state)` copies it. */
export interface SharedState extends Iterable<[string, any]> {
  readonly size: number;
  has(key: string): boolean;
  /** The value of this key; undefined when it is not there. Do not change it. */
  get(key: string): any;
  keys(): IterableIterator<string>;
  /** The version of this key, for `ifVersion`. 0 when it is not there. */
  version(key: string): number;
  /** The member who set this key last. Null when it is not there, or came from outside the room. */
  by(key: string): string | null;
}

/** When to reconnect after a connection has ended. */
export class ReconnectPolicy {
  /** @param jitter Returns numbers from 0 to 1. `Math.random` when omitted. */
  constructor(jitter?: () => number);
  /** Start again at the shortest delay, after a connection that lasted. */
  reset(): void;
  /** How long to wait after a connection ended. With 1001 the server may name the delay itself. */
  delayAfter(disconnect: { code: number; reason: string }): number;
  /** How long to wait after an attempt failed: twice as long each time. */
  nextDelay(atLeastMs?: number): number;
}

/** The base of all errors here. */
export class OmnisonicError extends Error {
  constructor(code: string, message: string, options?: { cause?: unknown });
  /** Stable, in snake_case. */
  readonly code: string;
}

/** What the program passed is not valid. */
export class InvalidInput extends OmnisonicError {}

/** For ticket functions to throw: there is no ticket now, call me again later. */
export class Unavailable extends OmnisonicError {
  constructor(message: string, options?: { code?: string; retryAfterMs?: number; cause?: unknown });
  readonly retryAfterMs: number;
}

/**
 * The client could not join the room. Thrown by `connect`.
 *
 * `code` is the server's code, or that of the web's answer to the request for a ticket, or `unreachable`. A WebSocket
 * does not tell a program why its handshake was refused, so a refusal before it (401, 403, 503) is `unreachable`, too.
 */
export class EntryRefused extends OmnisonicError {
  constructor(
    code: string,
    message: string,
    options?: { status?: number | null; retryAfterMs?: number | null; cause?: unknown },
  );
  /** The HTTP status of the web's answer to the request for a ticket. Otherwise null. */
  readonly status: number | null;
  /** Another attempt may succeed after so many milliseconds. Null: another attempt will not help. */
  readonly retryAfterMs: number | null;
}

/**
 * The membership has ended, and the client does not reconnect.
 *
 * `code` is the name of the close code (`kicked`, `replaced`, `room_closed`, …), the code of the refusal that ended the
 * reconnection, `unreachable` when it took too long, `left` when the program itself left, or `internal` when the ticket
 * function failed; its error is the `cause`.
 */
export class Closed extends OmnisonicError {
  constructor(code: string, message: string, options?: { closeCode?: number; reason?: string; cause?: unknown });
  /** The WebSocket close code; 1006 when the connection just broke. */
  readonly closeCode: number;
  /** The reason that the server sent with the close code; may be empty. */
  readonly reason: string;
}

/**
 * The room did not accept a message.
 *
 * `code` is the server's: the message was not relayed, and nothing has changed. With `no_answer` nobody knows. With
 * `rate_limited` and `room_busy` you can ask again later.
 */
export class NotTaken extends OmnisonicError {
  constructor(code: string, message: string, options?: { version?: number | null; cause?: unknown });
  /** The version that the key has, with the code `state_conflict`; 0 when it is not there. Otherwise null. */
  readonly version: number | null;
}
