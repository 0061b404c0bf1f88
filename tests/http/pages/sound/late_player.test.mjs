// The player that is loaded later, and the presses that let its sound out, without a page: run by test_late_player.py, in Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

// As much of a page as the bar needs.
class Part extends EventTarget {
  dataset = {};
  inert = false;

  setAttribute() {}

  closest() {
    return null;
  }
}

const parts = new Map();
function part(id) {
  if (!parts.has(id)) parts.set(id, new Part());
  return parts.get(id);
}

function newDocument() {
  parts.clear();
  globalThis.document = Object.assign(new Part(), { getElementById: part, querySelector: () => null });
}

newDocument();
globalThis.requestAnimationFrame = globalThis.cancelAnimationFrame = () => {};
globalThis.matchMedia = () => Object.assign(new EventTarget(), { matches: false });

const folder = pathToFileURL(`${process.argv[2]}/`);
const module = (path) => import(new URL(path, folder));
const { LatePlayer } = await module("later.js");
const { listenToKeys, TransportBar } = await module("panels/top_bar.js");

// As `sound/player.js`, but it only writes down what it is told, and whether that was in a press.
class Player extends EventTarget {
  told = [];
  state = "stopped";
  isInPress = false;

  constructor() {
    super();
    for (const name of ["setTracks", "prepare", "start", "stop", "setLoop", "setClick"]) {
      this[name] = (...given) => void this.told.push([name, ...given]);
    }
  }

  async openContext() {
    this.told.push(["openContext", this.isInPress]);
    return "context";
  }

  async close() {
    this.told.push(["close"]);
  }
}

class Conductor extends EventTarget {
  isPlaying = false;
  loop = null;
  beatsPerBar = 4;
  #told;

  constructor(told) {
    super();
    this.#told = told;
  }

  position() {
    return { beat: 0, seconds: 0 };
  }

  toggle() {
    this.#told.push(["toggle"]);
  }
}

async function stage() {
  newDocument();
  const player = new Player();
  const late = new LatePlayer(async () => player);
  await late.load();
  const conductor = new Conductor(player.told);
  const bar = new TransportBar({ conductor, player: late, record() {} });
  listenToKeys({ conductor, bar, record() {} });
  // What a browser calls a press: what follows later is none.
  const press = (target, event) => {
    player.isInPress = true;
    target.dispatchEvent(event);
    player.isInPress = false;
    return player.told.splice(0);
  };
  return { player, press };
}

function key(name) {
  const event = new Event("keydown", { cancelable: true });
  return Object.defineProperty(Object.assign(event, { key: name }), "target", { value: new Part() });
}

test("where a browser wants a press, any press lets sound out, in the press itself", async () => {
  const { player, press } = await stage();
  for (const event of [new Event("pointerdown"), new Event("pointerup"), key("x")]) {
    player.state = "blocked";
    assert.deepEqual(press(document, event), [["openContext", true]]);
    player.state = "playing";
    assert.deepEqual(press(document, event), []);
  }
});

test("the press of Play lets sound out, though the room says later when it begins", async () => {
  const { press } = await stage();
  assert.deepEqual(press(part("play"), new Event("click")), [["openContext", true], ["toggle"]]);
  assert.deepEqual(press(document, key(" ")), [["openContext", true], ["toggle"]]);
});

test("what is told before the player is there, it hears then", async () => {
  const player = new Player();
  const late = new LatePlayer(async () => player);
  late.setTracks([1]);
  late.setTracks([1, 2]);
  late.start({ position_s: 4 });
  late.setLoop(null);
  await late.load();
  assert.deepEqual(player.told, [["setTracks", [1, 2]], ["start", { position_s: 4 }], ["setLoop", null]]);
  late.stop();
  assert.deepEqual(player.told.at(-1), ["stop"]);
});

test("a player that cannot be loaded is told of, and is loaded and knows all at the next try", async () => {
  const player = new Player();
  let isOffline = true;
  const late = new LatePlayer(async () => {
    if (isOffline) throw new TypeError("Failed to fetch dynamically imported module");
    return player;
  });
  const problems = [];
  late.addEventListener("problem", ({ detail }) => problems.push(detail));
  late.setTracks([1]);
  await late.start({ position_s: 4 });
  assert.deepEqual(problems, [{ uploadId: null, words: "The sound could not be loaded. Check your connection and try again." }]);
  await assert.rejects(late.openContext(), { message: problems[0].words });
  await late.close();
  isOffline = false;
  assert.equal(await late.openContext(), "context");
  assert.deepEqual(player.told.map(([name]) => name), ["setTracks", "start", "openContext"]);
  await late.close();
  assert.deepEqual(player.told.at(-1), ["close"]);
});
