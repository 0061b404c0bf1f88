// The conductor, the transport's arithmetic and the places in a text, without a page: run by test_conductor.py, in Node.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const module = (path) => import(new URL(path, folder));
const { barInWords, beatAt, changed, nextBarLine, retuned, STANDING, tenthsInWords } = await module("room/transport.js");
const { findPlaces } = await module("panels/places.js");
const { Conductor } = await module("room/conductor.js");
const { Recordings } = await module("room/recordings.js");

// The page's clock, in milliseconds; the server's is so far ahead.
let now = 1_000;
const AHEAD = 5_000;
performance.now = () => now;
mock.timers.enable({ apis: ["setTimeout", "setInterval"] });

function pass(ms) {
  for (let passed = 0; passed < ms; passed += 1) {
    now += 1;
    mock.timers.tick(1);
  }
}

const ROOM_LEAD = 150;
// How long a player needs for its sound, and what it plays then to be heard.
const READY = 40;
const LATENCY = 130;
const SOON = READY + LATENCY;

// As `sound/player.js`, but nothing sounds: it writes down what it is told, and what would be heard. It needs time: what is
// to begin too soon is missed, unless it says itself when it begins.
class Player extends EventTarget {
  told = [];
  state = "stopped";
  isSteady = false;
  click = { countInBars: 0 };
  // What is heard: `{ position_s, at_ms }`; and how much of the beginnings was not.
  plays = null;
  missed_ms = 0;
  #getsReady = 0;

  prepare() {}

  start({ position_s, atPerformance_ms }) {
    this.told.push(["start", position_s, atPerformance_ms]);
    clearTimeout(this.#getsReady);
    this.#getsReady = setTimeout(() => this.#begin(position_s, atPerformance_ms), READY);
  }

  #begin(position_s, atPerformance_ms) {
    const { countInBars, beatsPerBar, tempoBpm } = this.click;
    const counted_ms = countInBars ? (countInBars * beatsPerBar * 60_000) / tempoBpm : 0;
    const at_ms = atPerformance_ms ?? now + LATENCY + counted_ms;
    this.missed_ms = Math.max(0, now + LATENCY - (at_ms - counted_ms));
    this.plays = { position_s, at_ms };
    if (atPerformance_ms === null) this.dispatchEvent(new CustomEvent("begins", { detail: { at_ms } }));
  }

  stop() {
    clearTimeout(this.#getsReady);
    this.plays = null;
    this.told.push(["stop"]);
  }

  setSteady(isSteady) {
    this.isSteady = isSteady;
  }

  setLoop(loop) {
    this.told.push(["loop", loop]);
  }

  setClick(click) {
    this.click = click;
  }

  end() {
    this.state = "ended";
    this.dispatchEvent(new Event("state"));
  }

  get starts() {
    return this.told.filter(([what]) => what === "start").map(([, ...rest]) => rest);
  }

  get position_s() {
    return this.plays && this.plays.position_s + Math.max(0, now - this.plays.at_ms) / 1000;
  }
}

// As the client's: also who has set a key.
class State extends Map {
  setters = new Map();

  by(key) {
    return this.has(key) ? this.setters.get(key) : null;
  }
}

// As the client's room: what is asked of it, it answers by `conductor.heard`, once it `answers`.
class Room {
  transport = { ...STANDING, version: 0 };
  state = new State();
  clockUncertaintyMs = 2;
  conductors = [];
  refusal = null;
  // Resolves when it answers; it does so at once.
  answers = null;

  serverTimeAt(at = now) {
    return at + AHEAD;
  }

  member(memberId) {
    return ["ada", "bo"].includes(memberId) ? { memberId, displayName: memberId } : null;
  }

  async #set(wanted, by = "ada") {
    if (this.refusal) throw this.refusal;
    if (this.answers !== null) await this.answers;
    this.transport = { ...changed(this.transport, wanted, this.serverTimeAt(), ROOM_LEAD), by };
    for (const each of this.conductors) each.heard({ type: "transport.state", payload: this.transport });
  }

  play(atBeat, by) {
    return this.#set({ playing: true, atBeat }, by);
  }

  stop(by) {
    return this.#set({ playing: false }, by);
  }

  setTransport(wanted, by) {
    return this.#set(wanted, by);
  }

  // Members set their own keys, unless it is said who does.
  async setState(key, value, { by = key.split(".")[1] ?? "ada" } = {}) {
    if (value === null) this.state.delete(key);
    else this.state.set(key, value);
    this.state.setters.set(key, by);
    for (const each of this.conductors) each.heard({ type: "state.changed", payload: { key, value, by } });
  }
}

function stage({ role = "owner", memberId = "ada", room = new Room() } = {}) {
  const player = new Player();
  const song = { tempoBpm: 120, beatsPerBar: 4, lengthSeconds: 60 };
  const rights = { isOwner: role === "owner", mayChange: role !== "listener" };
  const conductor = new Conductor({ player, song, rights, memberId });
  room.conductors.push(conductor);
  const problems = [];
  conductor.addEventListener("problem", ({ detail }) => problems.push(detail.words));
  return { conductor, player, room, problems, song };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a place is read as bar and beat, and as minutes and tenths", () => {
  assert.deepEqual([0, 3, 4, 16.999999999, 66, -1, -4].map((beat) => barInWords(beat, 4)), ["1.1", "1.4", "2.1", "5.2", "17.3", "−1.4", "−1.1"]);
  assert.deepEqual([0, 32.45, 59.96, 3661].map(tenthsInWords), ["0:00.0", "0:32.4", "0:59.9", "61:01.0"]);
});

test("a bar line is the next one, also where a loop ends before it", () => {
  const playing = { ...STANDING, playing: true, anchorBeat: 1, anchorTime: 1_000 };
  assert.deepEqual(nextBarLine(playing, 1_000), { beat: 4, time_ms: 2_500 });
  assert.deepEqual(nextBarLine(playing, 2_500), { beat: 4, time_ms: 2_500 });
  const looping = { ...playing, loop: { startBeat: 1, endBeat: 3 } };
  assert.deepEqual(nextBarLine(looping, 1_100), { beat: 1, time_ms: 2_000 });
  assert.equal(beatAt(looping, 2_250), 1.5);
});

test("in another tempo the seconds stay", () => {
  const playing = { ...STANDING, playing: true, anchorBeat: 8, anchorTime: 0 };
  const slower = retuned(playing, { tempoBpm: 60, beatsPerBar: 4 }, 1_000);
  assert.equal((beatAt(slower, 1_000) * 60) / 60, (beatAt(playing, 1_000) * 60) / 120);
  const looping = { ...playing, anchorBeat: 5, loop: { startBeat: 4, endBeat: 8 } };
  assert.equal(beatAt(retuned(looping, { tempoBpm: 240, beatsPerBar: 4 }, 1_000), 1_000), 6);
});

test("another tempo of the session jumps nowhere: the room keeps the second, and the page asks it for nothing", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  conductor.play();
  await settled();
  pass(ROOM_LEAD + 60_000);
  const told = player.told.length;
  const { version } = room.transport;
  conductor.setTempo({ tempoBpm: 100, beatsPerBar: 3 });
  await settled();
  assert.equal(room.transport.version, version);
  pass(40);
  room.transport = { ...retuned(room.transport, { tempoBpm: 100, beatsPerBar: 3 }, room.serverTimeAt()), version: version + 1, by: null };
  conductor.heard({ type: "transport.state", payload: room.transport });
  assert.deepEqual(player.told.slice(told), []);
  assert.deepEqual([conductor.tempoBpm, conductor.beatsPerBar], [100, 3]);
  assert.ok(Math.abs(conductor.position().seconds - 60.04) < 1e-6);
});

test("another tempo of the session jumps nowhere for who listens alone", () => {
  const { conductor, player } = stage();
  conductor.locate(8);
  conductor.play();
  pass(SOON + 1_000);
  const told = player.told.length;
  conductor.setTempo({ tempoBpm: 60, beatsPerBar: 4 });
  assert.deepEqual(player.told.slice(told), []);
  assert.equal(conductor.position().seconds, 5);
});

test("alone it plays from where it stands, and stops where it is", () => {
  const { conductor, player } = stage();
  conductor.locate(8);
  conductor.play();
  assert.ok(conductor.isPlaying);
  const at_ms = now + SOON;
  pass(READY / 2);
  assert.deepEqual(conductor.position(), { beat: 8, seconds: 4 });
  pass(SOON - READY / 2 + 1_000);
  assert.deepEqual([player.plays, player.missed_ms, player.starts.length], [{ position_s: 4, at_ms }, 0, 1]);
  assert.equal(conductor.position().seconds, 5);
  conductor.stop();
  assert.equal(player.told.at(-1)[0], "stop");
  assert.ok(Math.abs(conductor.position().beat - 10) < 1e-9);
});

test("alone it jumps when the player can, and stands there until then", () => {
  const { conductor, player } = stage();
  conductor.play();
  pass(SOON + 1_000);
  conductor.locate(60);
  assert.equal(conductor.position().seconds, 30);
  pass(READY / 2);
  assert.equal(conductor.position().seconds, 30);
  // What is left behind may come to its end meanwhile.
  player.end();
  // What it does not know yet, it keeps.
  conductor.setTempo({ tempoBpm: 60, beatsPerBar: 4 });
  assert.deepEqual(conductor.position(), { beat: 30, seconds: 30 });
  pass(SOON + 500);
  assert.deepEqual([player.plays.position_s, player.missed_ms, player.starts.length], [30, 0, 2]);
  assert.equal(conductor.position().seconds, 30 + (now - player.plays.at_ms) / 1000);
  conductor.play();
  conductor.stop();
  pass(1_000);
  assert.deepEqual([player.plays, conductor.isPlaying], [null, false]);
});

test("together it begins when the room says, on the server's clock", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  conductor.play();
  assert.ok(conductor.isPlaying, "what is pressed is shown at once");
  await settled();
  assert.deepEqual(player.starts, [[0, now + ROOM_LEAD]]);
  pass(500);
  conductor.stop();
  assert.equal(player.told.at(-1)[0], "stop", "stopping does not wait");
  await settled();
  assert.equal(room.transport.playing, false);
});

test("whoever comes later falls in at the moment that was said", async () => {
  const { room } = stage();
  await room.play(4);
  const late = stage({ memberId: "bo", room });
  const at_ms = now + ROOM_LEAD;
  pass(3_000);
  late.conductor.connected(room);
  assert.deepEqual(late.player.starts, [[2, at_ms]]);
});

test("a take goes on over an outage, and ends together", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  conductor.play();
  await settled();
  conductor.isRecording = true;
  pass(2_000);
  conductor.disconnected();
  const back = new Room();
  conductor.connected(back);
  pass(1_000);
  assert.deepEqual([conductor.isPlaying, conductor.isTogether, player.starts.length], [true, false, 1]);
  conductor.stop();
  conductor.isRecording = false;
  assert.deepEqual([conductor.isPlaying, conductor.isTogether], [false, true]);
  assert.equal(back.transport.playing, false);
});

test("what is refused is as it was, and says why", async () => {
  const { conductor, player, room, problems } = stage();
  conductor.connected(room);
  room.refusal = Object.assign(new Error("Not now."), { code: "invalid_transport" });
  conductor.play();
  await settled();
  assert.deepEqual([conductor.isPlaying, player.starts, problems], [false, [], ["Not now."]]);
});

test("a listener follows the room, and moves alone", async () => {
  const { conductor, player, room, problems } = stage({ role: "listener" });
  conductor.connected(room);
  conductor.play();
  assert.equal(problems.length, 1);
  assert.equal(conductor.canMove, false);
  await room.play(0, "bo");
  assert.equal(player.starts.length, 1);
  conductor.listenAlone();
  conductor.stop();
  assert.deepEqual([room.transport.playing, conductor.isPlaying], [true, false]);
});

test("alone in the room it goes on where it is, and shows the others where", async () => {
  const { conductor, player, room } = stage();
  const other = stage({ memberId: "bo", room });
  conductor.connected(room);
  other.conductor.connected(room);
  conductor.play();
  await settled();
  conductor.listenAlone();
  assert.equal(player.starts.length, 1, "no gap");
  const [place] = other.conductor.others;
  assert.deepEqual([place.memberId, place.isPlaying], ["ada", true]);
  pass(1_150);
  assert.ok(Math.abs(place.beat() - 2) < 1e-9);
  conductor.locate(32);
  assert.equal(room.transport.anchorBeat, 0, "the room is where it was");
  conductor.listenTogether();
  assert.equal(other.conductor.others.length, 0);
});

test("coming back it falls in at the room's next bar line", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  conductor.listenAlone();
  conductor.play();
  await room.play(0, "bo");
  pass(1_000);
  conductor.listenTogether();
  // The room is at beat 1.7, and in half a second past 2.2: the next line is beat 4, 2,000 ms after its start.
  assert.deepEqual(player.starts.at(-1), [2, now - 1_000 + ROOM_LEAD + 2_000]);
});

test("following a member is to hear what they hear", async () => {
  const { conductor, player, room } = stage();
  const other = stage({ memberId: "bo", room });
  conductor.connected(room);
  other.conductor.connected(room);
  other.conductor.listenAlone();
  other.conductor.locate(16);
  other.conductor.play();
  conductor.follow("bo");
  assert.deepEqual([conductor.following, conductor.isTogether], ["bo", false]);
  assert.deepEqual(player.starts, [], "nobody knows yet when they begin");
  pass(SOON);
  assert.deepEqual(player.starts, [[8, other.player.plays.at_ms]]);
  other.conductor.stop();
  assert.equal(conductor.isPlaying, false);
  conductor.play();
  assert.equal(conductor.following, null, "whoever moves by themselves follows no more");
});

test("after an outage one follows on, from where they are now", async () => {
  const { conductor, player, room } = stage();
  const other = stage({ memberId: "bo", room });
  conductor.connected(room);
  other.conductor.connected(room);
  other.conductor.listenAlone();
  other.conductor.locate(16);
  conductor.follow("bo");
  room.conductors = [other.conductor];
  conductor.disconnected();
  other.conductor.locate(32);
  other.conductor.play();
  pass(SOON);
  room.conductors.push(conductor);
  conductor.connected(room);
  assert.equal(conductor.following, "bo");
  assert.deepEqual(player.starts.at(-1), [16, other.player.plays.at_ms]);
});

test("where somebody is, only they themselves say", async () => {
  const { conductor, player, room } = stage();
  const other = stage({ memberId: "bo", room });
  conductor.connected(room);
  other.conductor.connected(room);
  const place = { ...STANDING, playing: true, anchorBeat: 64, anchorTime: room.serverTimeAt() };
  await room.setState("place.bo", place, { by: "eve" });
  assert.deepEqual(conductor.others, []);
  other.conductor.listenAlone();
  other.conductor.locate(16);
  conductor.follow("bo");
  await room.setState("place.bo", place, { by: "eve" });
  assert.deepEqual([conductor.following, player.starts], ["bo", []]);
  other.conductor.locate(24);
  assert.equal(conductor.position().beat, 24);
});

test("a place from before the page was loaded again is taken out, unless one is there", async () => {
  const room = new Room();
  await room.setState("place.ada", { ...STANDING, playing: true });
  const bo = stage({ memberId: "bo", room });
  bo.conductor.connected(room);
  assert.equal(bo.conductor.others.length, 1);
  const { conductor } = stage({ room });
  conductor.connected(room);
  assert.deepEqual([[...room.state.keys()], bo.conductor.others], [[], []]);
  conductor.listenAlone();
  conductor.disconnected();
  conductor.listenTogether();
  conductor.connected(room);
  assert.deepEqual(bo.conductor.others, [], "also when somebody has come back while there was no connection");
  conductor.listenAlone();
  conductor.disconnected();
  conductor.connected(room);
  assert.equal(bo.conductor.others.length, 1);
});

test("a recording is its member's own, and ends with them", () => {
  const told = [];
  const clip = { push: (peaks, seconds) => told.push(seconds), finish: () => told.push("end") };
  const timeline = { growingClip: () => clip };
  const recordings = new Recordings({ memberId: "ada", timeline, nameOf: (id) => id, tell: (words) => told.push(words) });
  const value = { id: "one", trackId: null, name: "Take", atSeconds: 0, seconds: 1, peaks: [] };
  recordings.heard("recording.bo", value, "eve");
  assert.deepEqual(told, []);
  recordings.heard("recording.bo", value, "bo");
  recordings.heard("recording.bo", null, "eve");
  assert.deepEqual(told.splice(0), ["bo is recording.", 1]);
  const state = new State([["recording.bo", value]]);
  state.setters.set("recording.bo", "eve");
  recordings.left("bo");
  recordings.seen(state);
  assert.deepEqual(told, ["end"]);
});

test("what plays goes on when the room moves, and follows what has changed meanwhile", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  await room.play(0, "bo");
  const welcome = { type: "welcome", payload: {} };
  room.serverTimeAt = (at = now) => at + AHEAD - 30; // known less well for a moment
  conductor.heard(welcome);
  assert.equal(player.starts.length, 1);
  room.serverTimeAt = (at = now) => at + AHEAD;
  pass(2_000);
  assert.equal(player.starts.length, 1);
  room.transport = { ...room.transport, anchorBeat: 40, version: room.transport.version + 1 };
  conductor.heard(welcome);
  assert.equal(player.starts.length, 2);
  assert.equal(player.starts[1][0], 20);
});

test("without a connection it plays on, and falls in when the room is back", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  conductor.play();
  await settled();
  conductor.disconnected();
  assert.deepEqual([conductor.isPlaying, conductor.isTogether], [true, false]);
  conductor.connected(room);
  assert.equal(player.starts.length, 1, "it is the same, and goes on");
  conductor.disconnected();
  await room.stop("bo");
  conductor.connected(room);
  assert.equal(conductor.isPlaying, false);
});

test("what the room has not answered when the connection is lost is done here", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  room.play = () => new Promise(() => {});
  conductor.play();
  await settled();
  assert.deepEqual(player.starts, []);
  conductor.disconnected();
  assert.ok(conductor.isPlaying);
  assert.deepEqual(player.starts, [[0, now + ROOM_LEAD]]);
});

test("a count-in is heard before the place, and the room starts when it is over", async () => {
  const { conductor, player, room } = stage();
  conductor.connected(room);
  conductor.locate(8);
  await settled();
  conductor.play({ countInBars: 1 });
  const at_ms = now + SOON + 2_000;
  pass(READY);
  assert.deepEqual([player.plays, player.missed_ms, player.click.countInBars], [{ position_s: 4, at_ms }, 0, 1]);
  assert.equal(room.transport.playing, false);
  pass(at_ms - ROOM_LEAD - 2 - now);
  await settled();
  assert.ok(Math.abs(room.transport.anchorTime - AHEAD - at_ms) <= 2);
  assert.deepEqual([conductor.isCountingIn, conductor.isPlaying, player.click.countInBars], [false, true, 0]);
  conductor.stop();
  conductor.play({ countInBars: 1 });
  conductor.stop();
  await settled();
  pass(5_000);
  await settled();
  assert.equal(room.transport.playing, false, "stopped in the count-in, nothing begins");
});

test("a count-in goes on as long as the room stands where it leads up to", async () => {
  const acts = {
    loop: (conductor) => conductor.setLoop({ startBeat: 8, endBeat: 24 }),
    "a loop of somebody else": (_, room) => room.setTransport({ loop: { startBeat: 0, endBeat: 8 } }, "bo"),
    "another tempo of the session": (conductor, room) => {
      conductor.setTempo({ tempoBpm: 60, beatsPerBar: 4 });
      room.transport = retuned(room.transport, { tempoBpm: 60, beatsPerBar: 4 }, room.serverTimeAt());
      conductor.heard({ type: "transport.state", payload: room.transport });
    },
    "the others hear no more of it": (conductor) => conductor.listenAlone(),
    "an outage": (conductor) => conductor.disconnected(),
  };
  for (const [name, act] of Object.entries(acts)) {
    const { conductor, player, room } = stage();
    conductor.connected(room);
    conductor.locate(8);
    await settled();
    conductor.setLoop({ startBeat: 8, endBeat: 9 });
    await settled();
    conductor.isRecording = true;
    const loops = () => player.told.filter(([what]) => what === "loop").map(([, loop]) => loop);
    // As a take does first when the loop is too short. The answer comes in the count-in.
    room.answers = settled();
    conductor.setLoop(null);
    conductor.play({ countInBars: 1 });
    assert.equal(loops().at(-1), null, name);
    const at_ms = now + SOON + 2_000;
    await settled();
    await settled();
    room.answers = null;
    pass(500);
    const told = loops().length;
    act(conductor, room);
    await settled();
    assert.deepEqual([conductor.isCountingIn, player.plays], [true, { position_s: 4, at_ms }], name);
    assert.equal(loops().length - told, conductor.loop ? 1 : 0, name);
    pass(at_ms - 100 - now);
    assert.equal(conductor.isCountingIn, !conductor.isTogether, name);
    pass(100);
    await settled();
    pass(1_000);
    assert.deepEqual([conductor.isCountingIn, conductor.isPlaying], [false, true], name);
    assert.ok(Math.abs(conductor.position().seconds - 5) < 0.005, `${name}: ${conductor.position().seconds}`);
    assert.equal(player.plays.position_s, 4, name);
    if (conductor.isTogether) assert.ok(Math.abs(room.transport.anchorTime - AHEAD - at_ms) <= 2, name);
    if (conductor.loop) assert.deepEqual(player.told.findLast(([what]) => what === "loop")[1].begin_s, (conductor.loop.startBeat * 60) / 120, name);
  }
});

test("whoever moves the room ends a count-in, and it is the room that is heard", async () => {
  const acts = {
    "a seek": [(conductor) => conductor.locate(16), 8, false],
    "a seek of somebody else": [(_, room) => room.setTransport({ atBeat: 16 }, "bo"), 8, false],
    "a start of somebody else": [(_, room) => room.play(8, "bo"), 4, true],
    "a stop": [(conductor) => conductor.stop(), 4, false],
  };
  for (const [name, [act, seconds, isPlaying]] of Object.entries(acts)) {
    const { conductor, player, room } = stage();
    conductor.connected(room);
    conductor.locate(8);
    await settled();
    conductor.play({ countInBars: 1 });
    pass(500);
    room.answers = settled();
    act(conductor, room);
    if (act.length === 1) assert.equal(player.plays, null, "it is not heard until the room has answered");
    await settled();
    await settled();
    assert.deepEqual([conductor.isCountingIn, conductor.isPlaying, conductor.position().seconds], [false, isPlaying, seconds], name);
    assert.equal(player.click.countInBars, 0);
    pass(5_000);
    await settled();
    assert.deepEqual([room.transport.playing, player.plays !== null], [isPlaying, isPlaying], name);
    if (isPlaying) assert.equal(player.plays.at_ms, room.transport.anchorTime - AHEAD);
  }
});

test("a connection that comes back in the count-in of a take changes nothing for it", async () => {
  const { conductor, player, room } = stage();
  conductor.isRecording = true;
  conductor.play({ countInBars: 1 });
  pass(500);
  await room.play(40, "bo");
  conductor.connected(room);
  assert.deepEqual([conductor.isCountingIn, conductor.isTogether], [true, false]);
  pass(3_000);
  assert.deepEqual([conductor.isPlaying, player.plays.position_s], [true, 0]);
  conductor.stop();
  conductor.isRecording = false;
  assert.deepEqual([conductor.isTogether, conductor.isPlaying], [true, true]);
});

test("the server's clock is followed, but not while somebody records", async () => {
  for (const isRecording of [false, true]) {
    const { conductor, player, room } = stage();
    conductor.connected(room);
    conductor.play();
    await settled();
    conductor.isRecording = isRecording;
    assert.equal(player.isSteady, isRecording);
    room.serverTimeAt = (at = now) => at + AHEAD - 20;
    pass(20_000);
    assert.equal(player.starts.length, isRecording ? 1 : 2);
    conductor.isRecording = false;
    assert.equal(player.isSteady, false);
    pass(20_000);
    assert.equal(player.starts.length, 2);
  }
});

test("behind the end whoever started it ends it, and the next press begins anew", async () => {
  const { conductor, player, room } = stage();
  const other = stage({ memberId: "bo", room });
  conductor.connected(room);
  other.conductor.connected(room);
  conductor.locate(119);
  await settled();
  conductor.play();
  await settled();
  pass(1_000);
  other.player.end();
  assert.equal(room.transport.playing, true);
  player.end();
  await settled();
  assert.equal(room.transport.playing, false);
  conductor.play();
  await settled();
  assert.equal(room.transport.anchorBeat, 0);
});

test("the places in a text are found, and nothing else", () => {
  const found = (text, options) => findPlaces(text, options).map(({ text: words, seconds, bar, beat }) => [words, seconds ?? [bar, beat]]);
  assert.deepEqual(found("Too loud at 0:24. From bar 17, or Bar 11.3?"), [["0:24", 24], ["bar 17", [17, 1]], ["Bar 11.3", [11, 3]]]);
  assert.deepEqual(found("(75:30.5), bar 9."), [["75:30.5", 4530.5], ["bar 9", [9, 1]]]);
  assert.deepEqual(found("at 10:24:30, 0:61, 3:4, rebar 17, bar17, ratio 1.2:30, 2:30pm, 5:00-6:00"), []);
  assert.deepEqual(found("https://example.org/a?t=0:24 www.example.org/bar 17 and http://x.org/#bar 3"), []);
  assert.deepEqual(found("bar 0, bar 3.5, bar 3.4, bar 3.0", { beatsPerBar: 4 }), [["bar 3.4", [3, 4]]]);
});
