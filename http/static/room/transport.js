// The transport as arithmetic: what plays where and when, on some clock in milliseconds. Pure.
//
// A transport is `{ playing, tempoBpm, beatsPerBar, anchorBeat, anchorTime, loop }`, as the room has it (SPEC 5.2): at
// `anchorTime` it is at `anchorBeat`. The page has one of the same shape when somebody listens alone.

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
  const anchorBeat = beatsOf(secondsOf(beat, transport.tempoBpm), tempoBpm);
  const anchorTime = transport.playing ? Math.max(now_ms, transport.anchorTime) : now_ms;
  return { ...transport, tempoBpm, beatsPerBar, anchorBeat, anchorTime };
}
