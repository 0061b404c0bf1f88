// One member by `@omnisonic/client`, for a test that speaks to it: a JSON object a line, both ways.
//
// The argument is `{module, url, options, tickets, hasty, ws, handlers, abortMs}`. Then it reads `{call, method, args}` and prints
// `{call, result}` or `{call, error}`, and by itself `{message}`, `{state}` and, when the iteration has ended, `{ended}`.
// The methods are those of the room, and three more: `view` says what the program knows, `listen` begins to iterate, and
// `abort` aborts the signal that `connect` got.
import { Buffer } from "node:buffer";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { module, url, options, tickets, hasty, ws, handlers, abortMs } = JSON.parse(process.argv[2]);
const { connect, Unavailable } = await import(pathToFileURL(module));

const print = (line) => process.stdout.write(`${JSON.stringify(line, withBytes)}\n`);
const withBytes = (_, value) => (value instanceof Uint8Array ? { hex: Buffer.from(value).toString("hex") } : value);
const reviveBytes = (_, value) => (typeof value?.hex === "string" ? new Uint8Array(Buffer.from(value.hex, "hex")) : value);
const told = (error) => ({
  ...error,
  name: error.name,
  message: error.message,
  cause: error.cause ? { name: error.cause.name, message: error.cause.message } : null,
});

const controller = new AbortController();
let roundTripMs = null;

// What the ticket function answers, in turn.
async function nextTicket() {
  const given = tickets.shift();
  if (given.unavailable) throw new Unavailable(given.unavailable, { retryAfterMs: 1 });
  if (given.throws) throw new globalThis[given.throws]("no more");
  if (given.status) return Response.json(given.body, { status: given.status, headers: given.headers ?? {} });
  return given;
}

function view(room) {
  const { name, memberId, members, connectionState, closeError, isDegraded, epoch, since, dropped, unreadable, transport, clockOffsetMs } = room;
  const state = Object.fromEntries([...room.state].map(([key, value]) => [key, [value, room.state.version(key), room.state.by(key)]]));
  const closed = closeError && told(closeError);
  const rest = { dropped, unreadable, transport, clockOffsetMs, roundTripMs, state };
  return { name, memberId, members, connectionState, closed, isDegraded, epoch, since, ...rest };
}

async function answer(room, { call, method, args }) {
  try {
    const own = { view: () => view(room), listen: () => void listen(room), abort: () => controller.abort() }[method];
    const result = own ? own() : await room[method](...args);
    print({ call, result: result ?? null });
  } catch (error) {
    print({ call, error: told(error) });
  }
}

async function listen(room) {
  try {
    for await (const message of room) print({ message });
    print({ ended: null });
  } catch (error) {
    print({ ended: told(error) });
  }
}

options.signal = controller.signal;
options.onRoundTrip = (ms) => (roundTripMs = ms);
if (abortMs) setTimeout(() => controller.abort(), abortMs);
if (tickets) options.ticket = nextTicket;
if (hasty) options.reconnectPolicy = { reset() {}, delayAfter: () => 1, nextDelay: () => 1 };
if (ws) options.WebSocket = (await import(pathToFileURL(ws))).WebSocket;

let room;
try {
  room = await connect(url, options);
} catch (error) {
  print({ refused: told(error) });
  process.exit();
}
room.onConnectionState((state) => print({ state: state.error ? { ...state, error: told(state.error) } : state }));
print({ joined: true });
if (handlers) for (const type of handlers) room.on(type, (message) => print({ message, handler: type }));
else if (handlers === undefined) listen(room);
const input = createInterface({ input: process.stdin });
input.on("line", (line) => answer(room, JSON.parse(line, reviveBytes)));
input.on("close", () => process.exit());
