// The mixdown's limiter (`omnisonic/studio/mixdown/mastering.py`), as an audio worklet: what is heard is as loud as the
// file will be, and is not clipped on its way out.
//
// It turns both sides down to -1 dB true peak (ITU-R BS.1770-5, annex 2). How far the sound must be turned down is known
// for each sample; from there the reduction decays. The greatest of the next five milliseconds counts, smoothed over as
// many. What needs no reduction comes out as it went in, `LIMITER_FRAMES` later.

const CEILING = 10 ** (-1 / 20);
const AHEAD = 240;
const FALL_DB = 30 / 48_000;
const PHASES = 4;
const TAPS = 32;
const BEFORE = TAPS / 2 - 1;
const AFTER = TAPS / 2;
const KAISER = 8;
export const LIMITER_FRAMES = AHEAD - 1 + AFTER;
// More than anything looks back at; a power of two.
const RING = 1024;

// The modified Bessel function of order 0.
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-17; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

// The weights of the samples around a position for what is so many quarters of a sample after it.
function phaseWeights(number) {
  const taps = Array.from({ length: TAPS }, (_, tap) => {
    const at = tap - BEFORE - number / PHASES;
    const sinc = Math.sin(Math.PI * at) / (Math.PI * at);
    return (sinc * bessel(KAISER * Math.sqrt(Math.max(0, 1 - (at / (TAPS / 2)) ** 2)))) / bessel(KAISER);
  });
  const sum = taps.reduce((one, other) => one + other, 0);
  return Float32Array.from(taps, (tap) => tap / sum);
}

const WEIGHTS = [1, 2, 3].map(phaseWeights);
const MOST_OVERSHOOT = Math.max(...WEIGHTS.map((taps) => taps.reduce((sum, tap) => sum + Math.abs(tap), 0)));
const GLIDE = Float64Array.from({ length: AHEAD }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (at + 1)) / (AHEAD + 1)));
const GLIDE_SUM = GLIDE.reduce((sum, value) => sum + value, 0);

// Takes two sides sample by sample. Pure.
export class Limiter {
  #sides = [new Float32Array(RING), new Float32Array(RING)];
  #next = 0;
  // Since when nothing was so high that a value between samples could be too high.
  #highAt = -Infinity;
  #between = 0;
  #reduction_db = 0;
  #reductions = new Float64Array(RING);
  // Places of reductions, each lower than the one before: the first is the highest of those that count.
  #falling = [];
  #highest = new Float64Array(RING);
  #reducedAt = -Infinity;

  // Arrays of equal length for each side; `outputs` are filled.
  process(inputs, outputs) {
    for (let frame = 0; frame < outputs[0].length; frame += 1) {
      const at = this.#next & (RING - 1);
      // In this loop nothing is made anew: whatever collects garbage would be heard.
      for (let side = 0; side < 2; side += 1) {
        const sample = inputs[side]?.[frame] ?? 0;
        this.#sides[side][at] = sample;
        if (Math.abs(sample) * MOST_OVERSHOOT > CEILING) this.#highAt = this.#next;
      }
      const gain = this.#gainAfter(this.#next);
      const out = (this.#next - LIMITER_FRAMES) & (RING - 1);
      for (let side = 0; side < 2; side += 1) outputs[side][frame] = this.#sides[side][out] * gain;
      this.#next += 1;
    }
  }

  // The gain for the sample `LIMITER_FRAMES` before `newest`. The one `AFTER` before it can be examined now.
  #gainAfter(newest) {
    const examined = newest - AFTER;
    const between = newest - this.#highAt < TAPS ? this.#peakAfter(examined) : 0;
    const peak = Math.max(this.#exact(examined), this.#between, between);
    this.#between = between;
    const needed_db = peak > CEILING ? 20 * Math.log10(peak / CEILING) : 0;
    this.#reduction_db = Math.max(this.#reduction_db - FALL_DB, needed_db, 0);
    if (this.#reduction_db > 0) this.#reducedAt = examined;
    return this.#smoothed(examined);
  }

  #exact(place) {
    const at = place & (RING - 1);
    return Math.max(Math.abs(this.#sides[0][at]), Math.abs(this.#sides[1][at]));
  }

  // The highest value between this sample and the next one.
  #peakAfter(place) {
    let peak = 0;
    for (let side = 0; side < 2; side += 1) {
      const samples = this.#sides[side];
      for (let phase = 0; phase < PHASES - 1; phase += 1) {
        const weights = WEIGHTS[phase];
        let value = 0;
        for (let tap = 0; tap < TAPS; tap += 1) value += weights[tap] * samples[(place - BEFORE + tap) & (RING - 1)];
        peak = Math.max(peak, Math.abs(value));
      }
    }
    return peak;
  }

  // With the reduction of the sample `examined`, which is the newest, all that count for one gain are known.
  #smoothed(examined) {
    const falling = this.#falling;
    const at = examined & (RING - 1);
    if (examined - this.#reducedAt > 2 * AHEAD) {
      falling.length = 0;
      this.#highest[at] = 0;
      return 1;
    }
    this.#reductions[at] = this.#reduction_db;
    while (falling.length > 0 && this.#reductions[falling.at(-1) & (RING - 1)] <= this.#reduction_db) falling.pop();
    falling.push(examined);
    while (falling[0] <= examined - AHEAD) falling.shift();
    this.#highest[at] = this.#reductions[falling[0] & (RING - 1)];
    let smooth_db = 0;
    for (let back = 0; back < AHEAD; back += 1) smooth_db += GLIDE[back] * this.#highest[(examined - back) & (RING - 1)];
    return smooth_db === 0 ? 1 : Math.fround(10 ** (smooth_db / GLIDE_SUM / -20));
  }
}

// Elsewhere this is a module like any other.
if (globalThis.registerProcessor) {
  registerProcessor(
    "limiter",
    class extends AudioWorkletProcessor {
      #limiter = new Limiter();

      process([input], [output]) {
        this.#limiter.process(input, output);
        return true;
      }
    },
  );
}
