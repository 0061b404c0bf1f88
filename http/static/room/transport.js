// The transport: where the song is at which time, what the player is told of it, and where those are who listen alone.

import { colourClass } from "./roster.js";

// --- as arithmetic ---------------------------------------------------------------------------------------------------
//
// The transport as arithmetic: what plays where and when, on some clock in milliseconds. Pure.
//
// A transport is `{ playing, tempoBpm, beatsPerBar, anchorBeat, anchorTime, loop }`, as the room has it (SPEC 5.2): at
// `anchorTime` it is at `anchorBeat`. The page has one of the same shape when somebody listens alone. There `anchorTime` is
// `SOON` until the player has said when it begins.

export const SOON = Infinity;
const MINUTE_MS = 60_000;
// Beats that are computed are off by a little: 16.999999 is the beginning of a bar.
const FUZZ_BEATS = 1e-6;

export const STANDING = Object.freeze({
  playing: false,
  tempoBpm: 120,
  beatsPerBar: 4,
  anchorBeat: 0,
  anchorTime: 0,
  loop: null,
});

export function secondsOf(beat, tempoBpm) {
  return (beat * 60) / tempoBpm;
}

export function beatsOf(seconds, tempoBpm) {
  return (seconds * tempoBpm) / 60;
}

// Where it is at this time, in beats. Before its start, and when it stands, it is where it will begin.
export function beatAt({ playing, tempoBpm, anchorBeat, anchorTime, loop }, time_ms) {
  if (!playing || time_ms <= anchorTime) return anchorBeat;
  const beat = anchorBeat + ((time_ms - anchorTime) * tempoBpm) / MINUTE_MS;
  if (!loop || anchorBeat >= loop.endBeat || beat < loop.endBeat) return beat;
  return loop.startBeat + ((beat - loop.endBeat) % (loop.endBeat - loop.startBeat));
}

// The first bar line that it comes to after this time: `{ beat, time_ms }`. Where a loop ends before it, that is its line.
export function nextBarLine(transport, time_ms) {
  const { tempoBpm, beatsPerBar, anchorBeat, anchorTime, loop } = transport;
  const from_ms = Math.max(time_ms, anchorTime);
  const beat = beatAt(transport, from_ms);
  const line = Math.ceil(beat / beatsPerBar - FUZZ_BEATS) * beatsPerBar;
  const isCutOff = loop && anchorBeat < loop.endBeat && beat < loop.endBeat && line >= loop.endBeat;
  const passed = isCutOff ? loop.endBeat - beat : line - beat;
  return { beat: isCutOff ? loop.startBeat : line, time_ms: from_ms + (Math.max(0, passed) * MINUTE_MS) / tempoBpm };
}

// The transport after `wanted` (as the payload of `transport.set`), as the room would make it. A start, and a jump while it
// plays, take effect `lead_ms` later.
export function changed(before, wanted, now_ms, lead_ms) {
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  const after = { ...before, ...given };
  delete after.atBeat;
  const isJump = given.atBeat !== undefined;
  after.anchorBeat = given.atBeat ?? beatAt(before, now_ms);
  after.anchorTime = now_ms;
  if (!after.playing) return after;
  if (!before.playing || isJump) after.anchorTime = now_ms + lead_ms;
  else if (before.anchorTime > now_ms) after.anchorTime = before.anchorTime;
  return after;
}

// The same transport on another clock, which is ahead by so much.
export function onClock(transport, ahead_ms) {
  return { ...transport, anchorTime: transport.anchorTime + ahead_ms };
}

// The bar and the beat in it, both from 1, as they are read: "17.3". In a count-in they go backwards from 1.1: "−1.4".
export function barInWords(beat, beatsPerBar) {
  const whole = Math.floor(beat + FUZZ_BEATS);
  const bar = Math.floor(whole / beatsPerBar);
  const inBar = whole - bar * beatsPerBar + 1;
  return bar < 0 ? `−${-bar}.${inBar}` : `${bar + 1}.${inBar}`;
}

// Minutes, seconds and tenths: "0:32.4".
export function tenthsInWords(seconds) {
  const tenths = Math.max(0, Math.floor(seconds * 10 + FUZZ_BEATS));
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}

// In another tempo or metre it sounds on where it is: its seconds stay, its beats are others.
export function retuned(transport, { tempoBpm, beatsPerBar }, now_ms) {
  const beat = beatAt(transport, now_ms);
  const { loop } = transport;
  let anchorBeat = beatsOf(secondsOf(beat, transport.tempoBpm), tempoBpm);
  // What goes round in a loop stays in it.
  if (loop && beat < loop.endBeat && anchorBeat >= loop.endBeat) {
    anchorBeat = loop.startBeat + ((anchorBeat - loop.endBeat) % (loop.endBeat - loop.startBeat));
  }
  const anchorTime = transport.playing ? Math.max(now_ms, transport.anchorTime) : now_ms;
  return { ...transport, tempoBpm, beatsPerBar, anchorBeat, anchorTime };
}

// --- for the player --------------------------------------------------------------------------------------------------
//
// What a transport says, as the player is told: this place of the song sounds at that moment of `performance.now()`.
//
// What plays already as the transport wants it goes on; anything else begins anew. `ahead_ms` is how far the transport's
// clock is ahead of the page's.

// Falling in needs so long for the sound to be there.
const FALL_IN_MS = 250;
// What differs by less goes on as it plays: it cannot be heard.
const SAME_MS = 2;

export class Playout {
  #player;
  // What the player was told last: `{ position_s, at_ms, loop }`, where `at_ms` may be `SOON`; null when it stands.
  #told = null;
  #loop = "null";
  #click = "";

  constructor(player) {
    this.#player = player;
  }

  // What is heard now, in seconds of the song; null when it stands, or begins soon.
  get position_s() {
    return this.#told && this.#told.at_ms !== SOON ? this.#player.position_s : null;
  }

  // Do what the transport says. `atBarLine`: what sounds meanwhile goes on up to the transport's next bar line.
  follow(transport, ahead_ms, { atBarLine = false } = {}) {
    const { playing, tempoBpm, anchorBeat, anchorTime } = transport;
    if (!playing) {
      this.halt();
      this.#setLoop(transport);
      this.#player.prepare(secondsOf(anchorBeat, tempoBpm));
      return;
    }
    let begin = { beat: anchorBeat, time_ms: anchorTime };
    if (atBarLine && this.#told) begin = nextBarLine(transport, performance.now() + ahead_ms + FALL_IN_MS);
    this.#setLoop(transport);
    this.#start({ position_s: secondsOf(begin.beat, tempoBpm), at_ms: begin.time_ms - ahead_ms, loop: this.#loop });
  }

  // Begin there soon, though the transport stands: for a count-in.
  begin(transport, position_s) {
    this.#setLoop(transport);
    this.#start({ position_s, at_ms: SOON, loop: this.#loop });
  }

  // The player has said when it begins.
  begun(at_ms) {
    if (this.#told?.at_ms === SOON) this.#told = { ...this.#told, at_ms };
  }

  // Of the transport, only the loop is another.
  loopAs(transport) {
    this.#setLoop(transport);
    if (this.#told) this.#told = { ...this.#told, loop: this.#loop };
  }

  halt() {
    this.#told = null;
    this.#player.stop();
  }

  // How far what plays is from what the transport says.
  driftFrom({ tempoBpm, anchorBeat, anchorTime }, ahead_ms) {
    if (!this.#told) return 0;
    return this.#apart_ms({ position_s: secondsOf(anchorBeat, tempoBpm), at_ms: anchorTime - ahead_ms });
  }

  setClick(click) {
    const key = JSON.stringify(click);
    if (key === this.#click) return;
    this.#click = key;
    this.#player.setClick(click);
  }

  #start(next) {
    if (this.#told?.loop === next.loop && Math.abs(this.#apart_ms(next)) < SAME_MS) return;
    this.#told = next;
    this.#player.start({ position_s: next.position_s, atPerformance_ms: next.at_ms === SOON ? null : next.at_ms });
  }

  // In a loop a whole round is no difference.
  #apart_ms({ position_s, at_ms }) {
    const later_ms = at_ms === this.#told.at_ms ? 0 : at_ms - this.#told.at_ms;
    const apart_ms = later_ms - (position_s - this.#told.position_s) * 1000;
    if (!Number.isFinite(apart_ms)) return apart_ms;
    const loop = JSON.parse(this.#told.loop);
    if (loop === null) return apart_ms;
    const round_ms = (loop.end_s - loop.begin_s) * 1000;
    return apart_ms - Math.round(apart_ms / round_ms) * round_ms;
  }

  #setLoop({ loop, tempoBpm }) {
    const bounds = loop && { begin_s: secondsOf(loop.startBeat, tempoBpm), end_s: secondsOf(loop.endBeat, tempoBpm) };
    const key = JSON.stringify(bounds);
    if (key === this.#loop) return;
    this.#loop = key;
    this.#player.setLoop(bounds);
  }
}

// --- the count-in ----------------------------------------------------------------------------------------------------
//
// The bars before a place are heard here alone, while the transport stands there. The player counts them, and goes on with
// the song by itself. Whoever moves the song meanwhile ends the count-in.

export class CountIn {
  // Null: there is none. `{ bars, position_s, at_ms }`: the place begins at `at_ms`, which may be `SOON`.
  #present = null;
  #over;
  #timer = 0;

  // `over()` is told when the transport is to start.
  constructor(over) {
    this.#over = over;
  }

  get isOn() {
    return this.#present !== null;
  }

  get bars() {
    return this.#present?.bars ?? 0;
  }

  begin(bars, position_s) {
    this.drop();
    this.#present = { bars, position_s, at_ms: SOON };
  }

  // The transport is to start so much earlier than the place begins, which is at `at_ms`, once that is known.
  endEarly(early_ms, at_ms = this.#present.at_ms) {
    this.#present.at_ms = at_ms;
    clearTimeout(this.#timer);
    if (at_ms !== SOON) this.#timer = setTimeout(this.#over, Math.max(0, at_ms - early_ms - performance.now()));
  }

  // There is none any more. Returns what it was, or null.
  drop() {
    const dropped = this.#present;
    clearTimeout(this.#timer);
    this.#present = null;
    return dropped;
  }

  // Whether it leads up to the place where this transport stands.
  isBefore({ playing, anchorBeat, tempoBpm }) {
    if (playing || !this.isOn) return false;
    return Math.abs(secondsOf(anchorBeat, tempoBpm) - this.#present.position_s) * 1000 < SAME_MS;
  }
}

// --- where the others are --------------------------------------------------------------------------------------------
//
// Where those are who listen alone: an ephemeral key of the room's shared state for each of them, which goes with them.
// Others can set it, too: it counts only as its member has set it.

const PREFIX = "place.";

// Whose place this key is; undefined when it is none.
export function memberOf(key) {
  return key.startsWith(PREFIX) ? key.slice(PREFIX.length) : undefined;
}

// Those but `myId`: `{ memberId, name, colorClass, beat(), isPlaying }` each.
export function placesIn(room, myId) {
  return [...room.state].flatMap(([key, place]) => {
    const member = room.member(memberOf(key) ?? "");
    if (!member || member.memberId === myId || !place || room.state.by(key) !== member.memberId) return [];
    const { memberId, displayName: name } = member;
    const beat = () => beatAt({ ...STANDING, ...place }, room.serverTimeAt());
    return [{ memberId, name, colorClass: colourClass(memberId), beat, isPlaying: Boolean(place.playing) }];
  });
}

// The transport of that member, on the page's clock; null when they do not listen alone.
export function placeOf(room, memberId) {
  const key = `${PREFIX}${memberId}`;
  const place = room.state.get(key);
  if (!place || room.state.by(key) !== memberId) return null;
  return onClock({ ...STANDING, ...place }, -room.serverTimeAt(0));
}

// Whether the others are shown a place of mine.
export function isShown(room, myId) {
  return room.state.has(`${PREFIX}${myId}`);
}

// Show the others a transport on the page's clock; null: nothing. A comfort: what does not work is not told.
export function showPlace(room, myId, transport) {
  const place = transport && onClock(transport, room.serverTimeAt(0));
  room.setState(`${PREFIX}${myId}`, place, { ephemeral: true }).catch(() => {});
}
