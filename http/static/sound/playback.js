// One run of the song on a mixer: a voice for each track, and the click. It ends for good with `stop`, which may be called
// again for an earlier end.
//
// Its owner calls `advance` now and then, and whenever a segment has come. All times are exact to the frame, so that the
// seam between two segments cannot be heard. A beginning in the middle of the sound, and an end there, take five
// milliseconds, because a jump would click; a beginning that a clip has itself is left as it is.

import { clicksOf, countInOf, fadesOf, piecesOf, RATE_HZ, secondsOf } from "./schedule.js";

const RAMP_FRAMES = (5 * RATE_HZ) / 1000;

// Half a frame before a piece ends its last one has begun. At the end itself, rounding would now and then let one more out.
const HALF_FRAME = 0.5;

export class Playback {
  #context;
  #mixer;
  #run;
  #segments;
  #voices = new Map();
  #metronome = null;

  // `segments`: a `SegmentStore`.
  constructor(context, mixer, { run, segments }) {
    this.#context = context;
    this.#mixer = mixer;
    this.#run = run;
    this.#segments = segments;
  }

  get run() {
    return this.#run;
  }

  // What is to be played: `{ id, uploadId, clip }` each. What is another clip than before changes at `atFrame`.
  setTracks(tracks, atFrame) {
    const there = new Set(tracks.map(({ id }) => id));
    for (const [id, { voice }] of this.#voices) {
      if (there.has(id)) continue;
      voice.stop(atFrame);
      this.#voices.delete(id);
    }
    for (const { id, uploadId, clip } of tracks) {
      const key = JSON.stringify([uploadId, clip]);
      const known = this.#voices.get(id);
      if (known?.key === key) continue;
      known?.voice.stop(atFrame);
      const voice = new Voice(this.#context, this.#mixer.strip(id).input, {
        run: this.#run,
        clip,
        segments: this.#segments,
        uploadId,
        fromFrame: atFrame,
        waitsFrom: known === undefined ? this.#run.atFrame : known.voice.waitsFrom,
      });
      this.#voices.set(id, { key, voice });
    }
  }

  // `{ isOn, tempoBpm, beatsPerBar, countInBars }`, from `atFrame` on.
  setClick(click, atFrame) {
    this.#metronome?.stop(atFrame);
    this.#metronome = null;
    if (!click.isOn && !click.countInBars) return;
    this.#metronome = new Metronome(this.#context, this.#mixer, this.#run, click, atFrame);
  }

  // Schedule what can be up to `toFrame`. Before `earliestFrame` it is too late.
  advance(earliestFrame, toFrame) {
    for (const { voice } of this.#voices.values()) voice.schedule(toFrame, earliestFrame);
    this.#metronome?.schedule(toFrame, earliestFrame);
  }

  // Whether something of a track is missing that should sound before this frame.
  isLate(trackId, beforeFrame) {
    const known = this.#voices.get(trackId);
    if (known === undefined) return true;
    const { waitsFrom } = known.voice;
    return waitsFrom !== null && waitsFrom < beforeFrame;
  }

  // Whether nothing sounds, and nothing is scheduled.
  get isSilent() {
    return [...this.#voices.values()].every(({ voice }) => voice.isSilent) && (this.#metronome?.isSilent ?? true);
  }

  stop(atFrame) {
    for (const { voice } of this.#voices.values()) voice.stop(atFrame);
    this.#metronome?.stop(atFrame);
  }
}

// A track's way through a run: its pieces are scheduled as soon as their segments are there.
class Voice {
  #context;
  #gate;
  #run;
  #clip;
  #segments;
  #uploadId;
  // Up to where everything is scheduled.
  #nextFrame;
  #isFresh = true;
  #waitsFrom;
  #playing = new Set();

  // It begins at `fromFrame` of the context, or where the run begins. Its sound is missing since `waitsFrom`, or not (null).
  constructor(context, output, { run, clip, segments, uploadId, fromFrame, waitsFrom }) {
    this.#context = context;
    this.#gate = new Gate(context, output);
    this.#run = run;
    this.#clip = clip;
    this.#segments = segments;
    this.#uploadId = uploadId;
    this.#nextFrame = Math.max(fromFrame, run.atFrame);
    this.#waitsFrom = waitsFrom;
  }

  get isSilent() {
    return this.#playing.size === 0;
  }

  // The frame of the context from which sound is missing; null when none is. What is missed stays so until it can sound.
  get waitsFrom() {
    return this.#waitsFrom;
  }

  // Schedule what can be up to `toFrame`. Before `earliestFrame` it is too late.
  schedule(toFrame, earliestFrame) {
    let isEntry = this.#isFresh || earliestFrame > this.#nextFrame;
    this.#nextFrame = Math.max(this.#nextFrame, earliestFrame);
    const waitedFrom = this.#waitsFrom;
    this.#waitsFrom = null;
    for (const stretch of this.#run.stretches(this.#nextFrame, toFrame)) {
      for (const piece of piecesOf(this.#clip, stretch)) {
        const buffer = this.#segments.buffer(this.#uploadId, piece.segment);
        if (buffer === undefined) {
          this.#waitsFrom = piece.atFrame <= earliestFrame ? (waitedFrom ?? earliestFrame) : piece.atFrame;
          this.#nextFrame = piece.atFrame;
          return;
        }
        if (buffer !== null) {
          if (isEntry && piece.clipFrame > 0) this.#gate.open(piece.atFrame);
          this.#play(piece, buffer);
        }
        isEntry = buffer === null;
        this.#isFresh = false;
        this.#nextFrame = piece.atFrame + piece.frames;
      }
      isEntry = false;
      this.#nextFrame = stretch.atFrame + stretch.frames;
    }
  }

  // Be silent from this frame on. For good; the next time, it is an earlier one.
  stop(atFrame) {
    this.#gate.shut(atFrame);
    // Also those that have not begun: a source that is scheduled and never ends is kept, with its buffer.
    for (const { source } of this.#playing) source.stop(secondsOf(atFrame + RAMP_FRAMES));
    this.#clip = null;
    if (this.#playing.size === 0) this.#gate.close();
  }

  #play({ atFrame, offsetFrame, frames, clipFrame }, buffer) {
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    const nodes = [source, ...fadesOf(this.#clip, clipFrame, frames).map((line) => this.#fade(line, atFrame))];
    const piece = { source, nodes, buffer };
    this.#segments.hold(buffer);
    for (const [index, node] of nodes.entries()) node.connect(nodes[index + 1] ?? this.#gate.input);
    source.onended = () => this.#end(piece);
    this.#playing.add(piece);
    source.start(secondsOf(atFrame), secondsOf(offsetFrame), secondsOf(frames - HALF_FRAME));
  }

  #fade({ beginFrame, endFrame, from, to }, atFrame) {
    const node = new GainNode(this.#context, { gain: from });
    const first = Math.max(beginFrame, 0);
    const value = from + ((to - from) * (first - beginFrame)) / (endFrame - beginFrame);
    node.gain.setValueAtTime(value, secondsOf(atFrame + first));
    node.gain.linearRampToValueAtTime(to, secondsOf(atFrame + endFrame));
    return node;
  }

  #end(piece) {
    for (const node of piece.nodes) node.disconnect();
    piece.source.buffer = null;
    this.#segments.release(piece.buffer);
    this.#playing.delete(piece);
    if (this.#clip === null && this.#playing.size === 0) this.#gate.close();
  }
}

// The clicks of a run.
class Metronome {
  #context;
  #clicks;
  #gate;
  #run;
  #click;
  #nextFrame;
  #playing = new Set();

  constructor(context, mixer, run, click, fromFrame) {
    this.#context = context;
    this.#clicks = mixer.clicks;
    this.#gate = new Gate(context, mixer.clickInput);
    this.#run = run;
    this.#click = click;
    this.#nextFrame = Math.max(fromFrame, run.atFrame);
    if (click.countInBars) {
      for (const beat of countInOf(click, run.atFrame)) if (beat.atFrame >= fromFrame) this.#play(beat);
    }
  }

  get isSilent() {
    return this.#playing.size === 0;
  }

  schedule(toFrame, earliestFrame) {
    this.#nextFrame = Math.max(this.#nextFrame, earliestFrame);
    if (!this.#click.isOn || toFrame <= this.#nextFrame) return;
    for (const stretch of this.#run.stretches(this.#nextFrame, toFrame)) {
      for (const beat of clicksOf(this.#click, stretch)) this.#play(beat);
    }
    this.#nextFrame = toFrame;
  }

  stop(atFrame) {
    this.#gate.shut(atFrame);
    for (const source of this.#playing) source.stop(secondsOf(atFrame + RAMP_FRAMES));
    this.#click = null;
    if (this.#playing.size === 0) this.#gate.close();
  }

  #play({ atFrame, isAccent }) {
    const source = new AudioBufferSourceNode(this.#context, { buffer: isAccent ? this.#clicks.accent : this.#clicks.beat });
    source.connect(this.#gate.input);
    source.onended = () => {
      source.disconnect();
      this.#playing.delete(source);
      if (this.#click === null && this.#playing.size === 0) this.#gate.close();
    };
    this.#playing.add(source);
    source.start(secondsOf(atFrame));
  }
}

// A gain that opens and shuts without a click. What is connected to `input` is scheduled by its owner.
class Gate {
  input;
  #openFrame = null;

  constructor(context, output) {
    this.input = new GainNode(context);
    this.input.connect(output);
  }

  // Nothing may sound through it just before.
  open(atFrame) {
    this.#openFrame = atFrame;
    this.input.gain.setValueAtTime(0, secondsOf(atFrame));
    this.input.gain.linearRampToValueAtTime(1, secondsOf(atFrame + RAMP_FRAMES));
  }

  shut(atFrame) {
    const opened = this.#openFrame === null ? 1 : (atFrame - this.#openFrame) / RAMP_FRAMES;
    this.input.gain.cancelScheduledValues(secondsOf(atFrame));
    this.input.gain.setValueAtTime(Math.max(0, Math.min(1, opened)), secondsOf(atFrame));
    this.input.gain.linearRampToValueAtTime(0, secondsOf(atFrame + RAMP_FRAMES));
  }

  close() {
    this.input.disconnect();
  }
}
