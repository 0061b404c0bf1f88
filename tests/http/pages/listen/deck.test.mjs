// The sound of a share link's page, with an audio element that does as it is told: run by test_deck.py, in Node and without
// a page.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { Deck } = await import(new URL("listen/deck.js", folder));

const PATH = "/listen/one/audio";
const UNPLAYABLE = "It cannot be played right now. Check your connection and try again.";

// An element of the page.
class Part extends EventTarget {
  textContent = "";
  hidden = true;
  value = "";
  classList = { toggle() {} };
  style = { setProperty() {} };
  #attributes = new Map();

  getAttribute(name) {
    return this.#attributes.get(name) ?? null;
  }

  setAttribute(name, value) {
    this.#attributes.set(name, value);
  }
}

// As much of an audio element as the page needs: loading begins when `src` is set and it plays, and ends as it is told.
class Player extends EventTarget {
  paused = true;
  error = null;
  readyState = 0;
  duration = NaN;
  plays = 0;
  loads = 0;
  #src = "";
  #currentTime = 0;

  constructor() {
    super();
    Player.made = this;
  }

  get src() {
    return this.#src;
  }

  // Another file is begun anew, and does not play by itself.
  set src(path) {
    [this.#src, this.paused, this.error, this.readyState, this.#currentTime] = [path, true, null, 0, 0];
    this.loads += 1;
  }

  get currentTime() {
    return this.#currentTime;
  }

  set currentTime(place_s) {
    assert.ok(this.readyState > 0, "its place is known");
    this.#currentTime = place_s;
  }

  hasAttribute(name) {
    return name === "src" && this.#src !== "";
  }

  async play() {
    this.plays += 1;
    this.paused = false;
    this.dispatchEvent(new Event("play"));
  }

  pause() {
    this.paused = true;
    this.dispatchEvent(new Event("pause"));
  }

  load(duration_s) {
    [this.readyState, this.duration] = [4, duration_s];
    this.dispatchEvent(new Event("durationchange"));
  }

  fail() {
    this.error = { code: 2 };
    this.dispatchEvent(new Event("error"));
  }
}

let parts = new Map();

function part(id) {
  if (!parts.has(id)) parts.set(id, new Part());
  return parts.get(id);
}

globalThis.Audio = Player;
globalThis.requestAnimationFrame = globalThis.cancelAnimationFrame = () => {};

beforeEach(() => {
  parts = new Map();
  globalThis.document = Object.assign(new Part(), { getElementById: part, querySelectorAll: () => [] });
});

function opened() {
  const deck = new Deck(PATH, 120, { moved() {} });
  return { deck, audio: Player.made };
}

// It has played up to there.
async function playedTo(place_s) {
  const stage = opened();
  await stage.deck.toggle();
  stage.audio.load(120);
  stage.audio.currentTime = place_s;
  return stage;
}

test("a file that becomes another one while it plays goes on from its place", async () => {
  const { deck, audio } = await playedTo(30);
  audio.fail();
  assert.deepEqual([audio.loads, audio.plays, audio.paused, deck.place_s], [2, 2, false, 30]);
  audio.load(120);
  assert.deepEqual([audio.currentTime, part("problem").hidden], [30, true]);
});

test("a file that becomes another one while it is paused does not begin to play, and keeps the place that was asked for", async () => {
  const { deck, audio } = await playedTo(30);
  await deck.toggle();
  deck.seek(90);
  audio.fail();
  assert.deepEqual([audio.loads, audio.plays, audio.paused, deck.place_s], [2, 1, true, 90]);
  assert.equal(part("play").getAttribute("aria-label"), "Play");
  await deck.toggle();
  audio.load(120);
  assert.deepEqual([audio.loads, audio.plays, audio.paused, audio.currentTime, part("problem").hidden], [2, 2, false, 90, true]);
});

test("a place that was asked for before anything was loaded is kept when the first file fails", async () => {
  const { deck, audio } = opened();
  deck.seek(60);
  await deck.toggle();
  audio.fail();
  assert.deepEqual([audio.plays, deck.place_s], [2, 60]);
  audio.load(120);
  assert.equal(audio.currentTime, 60);
});

test("what fails twice is told, and not tried again by itself", async () => {
  const { audio } = await playedTo(30);
  audio.fail();
  audio.fail();
  assert.deepEqual([audio.loads, part("problem").hidden, part("problem").textContent], [2, false, UNPLAYABLE]);
});
