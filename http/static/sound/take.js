// A take while it is recorded: frames of the microphone become pieces of a WAV, each as long as the others, and a
// waveform that has a bounded number of peaks however long it gets. Pure.

import { BYTES_PER_SAMPLE, writeFrames } from "./wav.js";

// What a crash costs at most, with what is not written yet.
export const PIECE_S = 2;
const MOST_PEAKS = 240;
// The peak of what is at full scale.
export const LOUDEST = 255;
const FIRST_STRIDE_S = 0.05;

export class Take {
  channels;
  sampleRate;
  // Frames in it so far.
  frames = 0;
  #firstFrame;
  #longestFrames;
  #piece;
  #filled = 0;
  #pieces = [];
  #waveform;

  // `firstFrame` is the one of the audio context that the take begins with: what comes before is not in it.
  constructor({ channels, sampleRate, firstFrame, longestFrames = Infinity }) {
    this.channels = channels;
    this.sampleRate = sampleRate;
    this.#firstFrame = firstFrame;
    this.#longestFrames = longestFrames;
    this.#piece = this.#emptyPiece();
    this.#waveform = new GrowingWaveform(sampleRate);
  }

  get seconds() {
    return this.frames / this.sampleRate;
  }

  get isFull() {
    return this.frames >= this.#longestFrames;
  }

  get peaks() {
    return this.#waveform.peaks;
  }

  // Where the take is in the audio context: the frame after its last one.
  get nextFrame() {
    return this.#firstFrame + this.frames;
  }

  // `samples` are those of each channel; the first is the frame `frame` of the context. What is missing before them is
  // silence, so that the rest stays in time.
  add(frame, samples) {
    const missing = Math.min(frame - this.nextFrame, this.#longestFrames - this.frames);
    if (missing > 0) this.#addSilence(missing);
    const begin = Math.max(0, this.nextFrame - frame);
    this.#addFrames(samples, begin, Math.min(samples[0].length, begin + this.#longestFrames - this.frames));
  }

  // The pieces that are complete and were not taken yet.
  takePieces() {
    return this.#pieces.splice(0);
  }

  // What is left when nothing more comes. Chunks of RIFF have an even number of bytes: after an odd one comes a byte that
  // is no sound.
  takeLast() {
    const last = this.#piece.slice(0, this.#filled + (this.#filled % 2));
    if (this.#filled % 2) last[this.#filled] = 0;
    [this.#piece, this.#filled] = [this.#emptyPiece(), 0];
    return last.length ? [...this.takePieces(), last] : this.takePieces();
  }

  #addSilence(frames) {
    const step = Math.round(PIECE_S * this.sampleRate);
    const silence = Array.from({ length: this.channels }, () => new Float32Array(Math.min(step, frames)));
    for (let left = frames; left > 0; left -= step) this.#addFrames(silence, 0, Math.min(left, step));
  }

  #addFrames(samples, begin, end) {
    if (begin >= end) return;
    const frameBytes = this.channels * BYTES_PER_SAMPLE;
    this.#waveform.add(samples, begin, end);
    this.frames += end - begin;
    for (let at = begin; at < end; ) {
      const fits = Math.min(end, at + (this.#piece.length - this.#filled) / frameBytes);
      this.#filled = writeFrames(this.#piece, this.#filled, samples, at, fits);
      at = fits;
      if (this.#filled === this.#piece.length) {
        this.#pieces.push(this.#piece);
        [this.#piece, this.#filled] = [this.#emptyPiece(), 0];
      }
    }
  }

  #emptyPiece() {
    return new Uint8Array(Math.round(PIECE_S * this.sampleRate) * this.channels * BYTES_PER_SAMPLE);
  }
}

// The loudest sample of each stretch, from 0 to 255. When there are too many stretches, each two become one.
class GrowingWaveform {
  #peaks = [];
  #stride;
  #inLast = 0;

  constructor(sampleRate) {
    this.#stride = Math.round(FIRST_STRIDE_S * sampleRate);
    this.#inLast = this.#stride;
  }

  get peaks() {
    return this.#peaks.map((peak) => Math.min(LOUDEST, Math.round(LOUDEST * peak)));
  }

  add(samples, begin, end) {
    for (let frame = begin; frame < end; frame += 1) {
      if (this.#inLast === this.#stride) this.#open();
      let loudest = this.#peaks[this.#peaks.length - 1];
      for (const channel of samples) loudest = Math.max(loudest, Math.abs(channel[frame]));
      this.#peaks[this.#peaks.length - 1] = loudest;
      this.#inLast += 1;
    }
  }

  #open() {
    if (this.#peaks.length === MOST_PEAKS) {
      this.#peaks = Array.from({ length: MOST_PEAKS / 2 }, (_, at) => Math.max(this.#peaks[2 * at], this.#peaks[2 * at + 1]));
      this.#stride *= 2;
    }
    this.#peaks.push(0);
    this.#inLast = 0;
  }
}

// How many frames fit into `bytes` of sound.
export function framesIn(bytes, channels) {
  return Math.max(0, Math.floor(bytes / (channels * BYTES_PER_SAMPLE)));
}

// Where a take begins. At `time_s` of the audio context the graph plays `position_s` of the song; whoever plays to what
// they hear is `roundTrip_s` late in the microphone. The frame at which what was played at `startsAt_s` arrives.
export function placeOfTake({ time_s, position_s, startsAt_s, roundTrip_s, sampleRate }) {
  return Math.round((time_s + (startsAt_s - position_s) + roundTrip_s) * sampleRate);
}

// The loudest of these samples, whichever side of zero it is on.
export function loudestOf(samples) {
  let loudest = 0;
  for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
  return loudest;
}
