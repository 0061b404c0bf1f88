// Plays the session: all tracks at once, at a moment of the page's clock, so that two pages can play together.
//
// What is to be heard comes in by `setTracks`, `setLoop` and `setClick`, at any time. `start` says which place of the song
// is heard when; from then on the player keeps to that. It schedules twelve seconds ahead, so that a page in the
// background, whose timers are slow, goes on. A stem that comes late falls in where the others are.
//
// Events: `state`; `begins` with `detail` `{ at_ms }`; and `problem` with `{ uploadId, words, code }`; no words: it is over.
// No upload: all stops.

import { Timekeeper } from "./clock.js";
import { Heard } from "./heard.js";
import { SILENCE_DB } from "./mixer.js";
import { makeContext, Output } from "./output.js";
import { Playback } from "./playback.js";
import { Runs } from "./runs.js";
import { countInFrames, framesOf, RATE_HZ, Run, secondsOf } from "./schedule.js";
import { SegmentStore } from "./segments.js";
import { Target, Tracks } from "./tracks.js";

const TICK_MS = 250;
const AHEAD_FRAMES = 12 * RATE_HZ;
// What is scheduled for later than that is never late.
const SLACK_MS = 60;
const RESUME_MS = 300;
const SIGNED_OUT = "You are signed out.";
const SILENT = { peak: SILENCE_DB, hold: SILENCE_DB };
const NO_CLICK = { isOn: false, tempoBpm: 120, beatsPerBar: 4, countInBars: 0 };

export class Player extends EventTarget {
  #output;
  #store;
  #tracks;
  #loop = null;
  #click = NO_CLICK;
  #volumeDb = 0;
  #state = "stopped";
  // Each start and stop replaces the one before, which may still wait for something.
  #wish = 0;
  // The start that still waits for something, as it was given.
  #waiting = null;
  // One plays, and is kept to its time, or nothing is.
  #runs = new Runs();
  #heard;
  #timekeeper = null;
  #isSteady = false;
  #target;
  #timer = 0;
  #begins = 0;

  constructor({ createContext = makeContext, ...sources } = {}) {
    super();
    this.#output = new Output(createContext, () => this.#outputChanged());
    const told = {
      described: () => this.#arrange(),
      arrived: () => this.#advance(),
      problem: (uploadId, words, code) => this.#tell("problem", { uploadId, words, code }),
      lost: ({ code }) => {
        this.stop();
        this.#tell("problem", { uploadId: null, words: SIGNED_OUT, code });
      },
    };
    this.#store = new SegmentStore(told, sources);
    this.#tracks = new Tracks(this.#store);
    this.#target = new Target(this.#tracks);
    this.#heard = new Heard(this.#output, this.#runs, this.#tracks);
  }

  // `{ id, uploadId, gainDb, pan, muted, isHeard, offsetSeconds, trimStartSeconds, ..., segments }` each.
  setTracks(tracks) {
    this.#tracks.set(tracks);
    this.#arrange();
  }

  // In seconds of the song, or null.
  setLoop(loop) {
    this.#loop = loop === null ? null : { beginFrame: framesOf(loop.begin_s), endFrame: framesOf(loop.end_s) };
    if (this.#playback === null) return;
    const atFrame = Math.max(this.#output.soonestFrame, this.#playback.run.atFrame);
    this.#timekeeper.move(this.#playback.run.positionAt(atFrame), atFrame);
    this.#run(atFrame);
  }

  setClick(click) {
    this.#click = { ...NO_CLICK, ...click };
    if (this.#output.context !== null) this.#runs.setClick(this.#click, this.#output.soonestFrame);
    this.#advance();
  }

  // While it is, as for a take, what plays is not moved to keep to the page's clock: it runs as the sound card does.
  setSteady(isSteady) {
    this.#isSteady = isSteady;
  }

  get masterGainDb() {
    return this.#volumeDb;
  }

  set masterGainDb(db) {
    this.#volumeDb = db;
    if (this.#output.mixer) this.#output.mixer.volumeDb = db;
  }

  // Load what is needed to begin there.
  prepare(position_s) {
    this.#target.set(framesOf(position_s), this.#loop);
    this.#want();
  }

  // `position_s` is heard at that moment of `performance.now()`, or what comes after it, when that is too soon. Without a
  // moment: as soon as its sound is there, after the clicks of the count-in, if any; the event `begins` says when that is.
  // Call it in the handler of a press, or `openContext` in the next one.
  async start({ position_s, atPerformance_ms = null }) {
    this.#wish += 1;
    const wish = this.#wish;
    const isSoon = atPerformance_ms === null;
    this.#waiting = { position_s, atPerformance_ms };
    this.prepare(position_s);
    // What was heard before is not to go on for so long.
    if (isSoon && !this.#target.isLoaded) this.#silence();
    if (this.#playback === null) this.#setState("starting");
    await this.#untilRunning(() => wish === this.#wish);
    if (wish !== this.#wish) return;
    this.#output.mixer.volumeDb = this.#volumeDb;
    this.#tracks.mixInto(this.#output.mixer);
    await Promise.all([this.#output.settle(), isSoon && this.#target.untilLoaded()]);
    if (wish !== this.#wish) return;
    this.#waiting = null;
    const lead_ms = SLACK_MS + this.#output.lead_ms + secondsOf(countInFrames(this.#click)) * 1000;
    const at_ms = atPerformance_ms ?? performance.now() + lead_ms;
    this.#begin(framesOf(position_s), at_ms);
    if (isSoon) this.#tell("begins", { at_ms });
  }

  stop() {
    this.#wish += 1;
    this.#waiting = null;
    const position_s = this.position_s;
    if (position_s !== null) this.#target.set(framesOf(Math.max(0, position_s)), this.#loop);
    this.#silence();
    this.#setState("stopped");
    this.#want();
  }

  // Let sound out, in the handler of a press. Returns the context, for whoever records.
  async openContext() {
    await this.#output.resume(RESUME_MS);
    return this.#output.context;
  }

  async close() {
    this.stop();
    this.#store.close();
    await this.#output.close();
  }

  // `stopped`, `starting`, `playing`, `waiting` for all that should be heard, `ended`: behind the last clip, where it goes
  // on in silence; `blocked` until a press (`openContext`), or `interrupted` by the device.
  get state() {
    return this.#state;
  }

  // The place that is heard now, and others, as in `Heard`.
  get position_s() {
    return this.#heard.position_s(countInFrames(this.#click));
  }

  positionAt(contextTime_s) {
    return this.#heard.positionAt(contextTime_s);
  }

  // How far the sound is from where it should be, positive when it is ahead; null when it stands.
  get error_ms() {
    return this.#output.isRunning ? (this.#timekeeper?.error_ms ?? null) : null;
  }

  get lateTrackIds() {
    return this.#heard.lateTrackIds;
  }

  // `{ peak, hold }` in dBFS, as it is heard.
  levelOf(trackId) {
    return this.#output.mixer?.levelOf(trackId) ?? SILENT;
  }

  // The same of all tracks together, before limiter and volume: what is over 0 is turned down. Without the click.
  masterLevel() {
    return this.#output.mixer?.level() ?? SILENT;
  }

  // How much memory decoded sound takes, besides what is being played.
  get bytes() {
    return this.#store.bytes;
  }

  get #playback() {
    return this.#runs.playback;
  }

  #silence() {
    clearInterval(this.#timer);
    clearTimeout(this.#begins);
    if (this.#output.context !== null) this.#runs.stop(this.#output.soonestFrame);
    this.#timekeeper = null;
  }

  async #untilRunning(isWished) {
    let isRunning = await this.#output.resume(RESUME_MS);
    while (!isRunning && isWished()) {
      this.#setState(this.#output.state === "interrupted" ? "interrupted" : "blocked");
      await this.#output.untilChanged();
      isRunning = await this.#output.resume(RESUME_MS);
    }
  }

  #begin(positionFrame, at_ms) {
    if (this.#timekeeper === null) this.#output.mixer.centre();
    this.#output.clock.sample();
    this.#timekeeper = new Timekeeper(this.#output, { positionFrame, at_ms });
    this.#target.clear();
    this.#run(Math.max(this.#timekeeper.anchor.atFrame, this.#output.soonestFrame));
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    clearTimeout(this.#begins);
    this.#begins = setTimeout(() => this.#drawState(), Math.max(0, at_ms - performance.now()) + 1);
  }

  // What is heard is far from where it should be.
  #beginAgain() {
    const { positionFrame, at_ms } = this.#timekeeper.anchor;
    this.#runs.stop(this.#output.soonestFrame);
    this.#begin(positionFrame, at_ms);
  }

  // Play from the anchor on; what played before stops at `atFrame`.
  #run(atFrame) {
    const { positionFrame, atFrame: anchorFrame } = this.#timekeeper.anchor;
    const run = new Run({ atFrame: anchorFrame, positionFrame, loop: this.#loop });
    const { context, mixer, soonestFrame } = this.#output;
    const playback = new Playback(context, mixer, { run, segments: this.#store });
    playback.setTracks(this.#tracks.players(), soonestFrame);
    playback.setClick(this.#click, soonestFrame);
    this.#runs.replace(playback, atFrame, soonestFrame);
    this.#want();
    this.#advance();
  }

  #tick() {
    const { clock, mixer, isRunning } = this.#output;
    if (isRunning) {
      clock.sample();
      for (const id of mixer.trackIds) if (!this.#tracks.has(id)) mixer.drop(id);
      if (!this.#isSteady && !this.#timekeeper.keep()) this.#beginAgain();
      this.#want();
      this.#advance();
    }
    this.#drawState();
  }

  #advance() {
    this.#target.arrived();
    if (this.#playback === null || !this.#output.isRunning) return;
    const { soonestFrame } = this.#output;
    this.#playback.advance(soonestFrame, soonestFrame + AHEAD_FRAMES);
    this.#drawState();
  }

  // The tracks are others, or more is known of them.
  #arrange() {
    if (this.#output.mixer !== null) this.#tracks.mixInto(this.#output.mixer);
    this.#want();
    if (this.#output.context !== null) this.#playback?.setTracks(this.#tracks.players(), this.#output.soonestFrame);
    this.#advance();
  }

  #want() {
    const wanted = this.#target.segments;
    if (this.#playback !== null && this.#output.context !== null) {
      const { nowFrame } = this.#output;
      wanted.push(...this.#tracks.segmentsFor(this.#playback.run.stretches(nowFrame, nowFrame + AHEAD_FRAMES)));
    }
    this.#store.want(wanted);
  }

  async #outputChanged() {
    this.#drawState();
    const anchor = this.#timekeeper?.anchor;
    // A device that is gone takes its context along.
    if (this.#output.context === null) {
      this.#silence();
      this.#runs.forget();
      this.#store.releaseAll();
      const again = this.#waiting ?? (anchor && { position_s: secondsOf(anchor.positionFrame), atPerformance_ms: anchor.at_ms });
      if (again) await this.start(again);
      return;
    }
    if (!anchor || !this.#output.isRunning) return;
    const wish = this.#wish;
    await this.#output.settle();
    if (wish === this.#wish && this.#output.isRunning && this.#timekeeper?.isOff) this.#beginAgain();
  }

  #drawState() {
    if (this.#playback !== null) this.#setState(this.#heard.state(countInFrames(this.#click)));
  }

  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell("state", { state });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
