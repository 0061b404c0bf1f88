// Runs in the audio thread: gathers what the microphone brings, and hands it over every 50 ms, with the frame of the
// context that it begins at. Buffers come back and are used again, so that nothing is allocated while it runs.

const BLOCK_FRAMES = 2400;
const MOST_SPARE = 16;

class RecorderProcessor extends AudioWorkletProcessor {
  #picks;
  #spare = [];
  #block = null;
  #filled = 0;
  #isOver = false;

  // `picks` are the inputs of the device that are wanted, from 0.
  constructor({ processorOptions: { picks } }) {
    super();
    this.#picks = picks;
    this.port.onmessage = ({ data }) => {
      if (data === "end") this.#isOver = true;
      else if (this.#spare.length < MOST_SPARE) this.#spare.push(data);
    };
  }

  process([input]) {
    const frames = input[0]?.length ?? 128;
    if (this.#block === null) {
      this.#block = this.#spare.pop() ?? this.#picks.map(() => new Float32Array(BLOCK_FRAMES));
      this.#filled = 0;
    }
    this.#picks.forEach((pick, at) => {
      // A device that brings nothing right now brings silence.
      if (input[pick]) this.#block[at].set(input[pick], this.#filled);
      else this.#block[at].fill(0, this.#filled, this.#filled + frames);
    });
    this.#filled += frames;
    if (this.#filled + frames > BLOCK_FRAMES) {
      const frame = currentFrame + frames - this.#filled;
      const samples = this.#block;
      this.port.postMessage({ frame, filled: this.#filled, samples }, samples.map(({ buffer }) => buffer));
      this.#block = null;
    }
    return !this.#isOver;
  }
}

registerProcessor("recorder", RecorderProcessor);
