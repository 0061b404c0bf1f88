// When a connection counts as lost, by a clock that only these tests move: run by test_heartbeats.py, in Node.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { pathToFileURL } from "node:url";

const { connect } = await import(pathToFileURL(process.argv[2]));

const PAGE = { heartbeatMs: 2_400, answerMs: 2_400 };
const WELCOME = { roomId: "jam", memberId: "ada", epoch: "e", offset: 0, serverTime: 0, members: [], recovered: true };

let now = 0;
performance.now = () => now;
mock.timers.enable({ apis: ["setTimeout"] });

const settled = () => new Promise((resolve) => setImmediate(resolve));

async function pass(ms) {
  for (const end = now + ms; now < end; ) {
    now += 1;
    mock.timers.tick(1);
  }
  await settled();
}

// The program gets no time at all for so long.
function stand(ms) {
  now += ms;
  mock.timers.tick(ms);
}

// A gateway, and a program in a room of it. `gateway.roundTripMs` is how long an answer takes; null: for ever.
async function stage(options, roundTripMs) {
  const gateway = { roundTripMs, sockets: [] };
  class FakeSocket extends EventTarget {
    readyState = 1;
    bufferedAmount = 0;

    constructor() {
      super();
      gateway.sockets.push(this);
      queueMicrotask(() => {
        this.dispatchEvent(new Event("open"));
        this.tell("welcome", WELCOME);
      });
    }

    send(text) {
      const { payload } = JSON.parse(text);
      if (gateway.roundTripMs === null) return;
      setTimeout(() => this.tell("heartbeat", { ts: 0, echo: payload }), gateway.roundTripMs);
    }

    tell(type, payload) {
      this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify({ type, payload }) }));
    }

    close() {
      this.readyState = 3;
    }
  }
  const room = await connect("ws://gateway", { room: "jam", WebSocket: FakeSocket, ...options });
  const beganMs = now;
  const changes = [];
  room.onConnectionState(({ state }) => changes.push([state, now - beganMs]));
  return { gateway, room, changes, tell: (...message) => gateway.sockets.at(-1).tell(...message) };
}

test("a connection that answers is kept, however the heartbeats and their answers overlap", async () => {
  for (const heartbeatMs of [300, 1_000, 2_400]) {
    for (const roundTripMs of [1, 120, 149, 150, 199, 201, 250]) {
      for (const answerMs of [heartbeatMs, Math.max(heartbeatMs / 2, roundTripMs + 1)]) {
        const { changes, room } = await stage({ heartbeatMs, answerMs }, roundTripMs);
        await pass(3 * heartbeatMs + 1_000);
        assert.deepEqual(changes, [], `${heartbeatMs} ${answerMs} ${roundTripMs}`);
        room.leave();
        await pass(2_001);
      }
    }
  }
});

test("a room that moves just before an answer is due keeps its connection", async () => {
  for (const movesAtMs of [1, 190, 790, 2_350, 2_399, 3_199, 5_500]) {
    const { changes, room, tell } = await stage(PAGE, 60);
    await pass(movesAtMs);
    tell("welcome", WELCOME);
    await pass(10_000);
    assert.deepEqual(changes, [], `${movesAtMs}`);
    room.leave();
    await pass(2_001);
  }
});

test("the first heartbeat after which nothing arrives decides when each connection is lost", async () => {
  const reconnectPolicy = { reset() {}, delayAfter: () => 10 };
  const { changes, gateway, room } = await stage({ ...PAGE, reconnectPolicy }, 20);
  await pass(300);
  gateway.roundTripMs = null;
  await pass(2_499);
  assert.deepEqual(changes, []);
  await pass(1);
  assert.deepEqual(changes, [["reconnecting", 2_800]]);
  await pass(10);
  await pass(2_400);
  assert.deepEqual(changes.slice(1), [["connected", 2_810], ["reconnecting", 5_210]]);
  room.leave();
});

test("a connection that falls silent after a move is lost as soon", async () => {
  const { changes, gateway, room, tell } = await stage(PAGE, 60);
  await pass(2_350);
  gateway.roundTripMs = null;
  tell("welcome", WELCOME);
  await pass(2_399);
  assert.deepEqual(changes, []);
  await pass(1);
  assert.deepEqual(changes, [["reconnecting", 4_750]]);
  room.leave();
});

test("a program that stood still looks once more before it gives its connection up", async () => {
  const { changes, gateway, room, tell } = await stage(PAGE, 20);
  await pass(1_000);
  gateway.roundTripMs = null;
  await pass(2_300);
  stand(20_000);
  await pass(240);
  tell("note");
  await pass(2_400);
  assert.deepEqual(changes, []);
  stand(20_000);
  await pass(249);
  assert.deepEqual(changes, []);
  await pass(1);
  assert.equal(changes[0][0], "reconnecting", "nothing was there");
  room.leave();
});

test("no timer is left when the program has left", async () => {
  const { changes, gateway, room } = await stage(PAGE, 20);
  await pass(100);
  gateway.roundTripMs = null;
  await pass(300);
  room.leave();
  await pass(2_000);
  assert.deepEqual(changes.map(([state]) => state), ["closed"]);
  await pass(10_000);
  assert.equal(gateway.sockets.length, 1);
});
