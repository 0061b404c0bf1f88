// How late this device is: the time from a sound in the audio graph until the microphone brings it back. Pure.
//
// A short sweep is played, and found again in what was recorded by cross-correlation. What comes first and is about as
// strong as the strongest is the direct way; what is strong but later is an echo of the room.

const SWEEP_S = 0.02;
const FROM_HZ = 800;
const TO_HZ = 6000;
const LOUDNESS = 0.5;
export const LONGEST_S = 0.6;
// How far the match must stand out of the rest, as a multiple of its mean square root.
const LEAST_CLARITY = 8;
// How much of the strongest match the first one must have.
const LEAST_SHARE = 0.7;
// How far measurements of one device may lie apart.
export const SPREAD_S = 0.004;
const LEAST_AGREEING = 3;

// The sound to play: a sweep, which is found more exactly than a click, and in more noise.
export function sweep(sampleRate) {
  const samples = new Float32Array(Math.round(SWEEP_S * sampleRate));
  const rise = (TO_HZ - FROM_HZ) / SWEEP_S;
  for (let index = 0; index < samples.length; index += 1) {
    const time_s = index / sampleRate;
    const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / (samples.length - 1));
    samples[index] = LOUDNESS * window * Math.sin(2 * Math.PI * (FROM_HZ + (rise * time_s) / 2) * time_s);
  }
  return samples;
}

// Where `played` begins in `recorded`, in samples; null when it is not to be found.
export function findDelay(recorded, played) {
  const lags = recorded.length - played.length + 1;
  if (lags < 1) return null;
  const matches = new Float64Array(lags);
  let [energy, strongest] = [0, 0];
  for (let lag = 0; lag < lags; lag += 1) {
    let sum = 0;
    for (let index = 0; index < played.length; index += 1) sum += recorded[lag + index] * played[index];
    matches[lag] = Math.abs(sum);
    energy += sum * sum;
    strongest = Math.max(strongest, matches[lag]);
  }
  if (strongest === 0 || strongest < LEAST_CLARITY * Math.sqrt(energy / lags)) return null;
  return peakAfter(matches, matches.findIndex((match) => match >= LEAST_SHARE * strongest), played.length);
}

// The top of the hill that begins at `lag`. A sweep's correlation has several teeth: the highest nearby is the match.
function peakAfter(matches, lag, length) {
  let best = lag;
  const end = Math.min(matches.length, lag + Math.round(length / 10));
  for (let each = lag; each < end; each += 1) if (matches[each] > matches[best]) best = each;
  return best;
}

// What several measurements in seconds say together: the median of those that agree. Null when too few do.
export function agreed(delays_s) {
  const found = delays_s.filter((delay_s) => delay_s !== null).sort((one, other) => one - other);
  const middle = median(found);
  const agreeing = found.filter((delay_s) => Math.abs(delay_s - middle) <= SPREAD_S);
  return agreeing.length < LEAST_AGREEING ? null : median(agreeing);
}

function median(sorted) {
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// --- what is known of devices --------------------------------------------------------------------------------------

const KEY = "omnisonic.latency";
const MOST_DEVICES = 20;

// How far the way out differs by itself; and from which difference on it is another device's.
const STEADY_S = 0.01;
const OTHER_S = 0.03;

// How late what leaves the graph is heard, as the browser says. It says it of single moments, some of which are far off: so
// the last ones are noted, and the middle one counts.
const MOST_MOMENTS = 21;

export class WayOut {
  #delays_s = [];

  // How it is now in this context. A browser that does not say it, or not yet, is passed over.
  note({ baseLatency = 0, outputLatency = 0 }) {
    if (outputLatency > 0) this.#delays_s = [...this.#delays_s, baseLatency + outputLatency].slice(-MOST_MOMENTS);
  }

  // In seconds. Null where nothing is known.
  get delay_s() {
    return this.#delays_s.length === 0 ? null : median(this.#delays_s.toSorted((one, other) => one - other));
  }
}

// A round trip that was measured when the way out was `output_s`, now that it is `now_s`: other headphones are that much
// later or earlier. With `isOther` it should be measured again.
export function asOfNow({ measured_s, output_s }, now_s) {
  const isComparable = measured_s !== null && output_s !== null && now_s !== null;
  const later_s = isComparable ? now_s - output_s : 0;
  if (Math.abs(later_s) <= STEADY_S) return { measured_s, isOther: false };
  return { measured_s: Math.max(0, measured_s + later_s), isOther: Math.abs(later_s) > OTHER_S };
}

// Round trips by device, in `storage` (as localStorage). `measured_s` is null where nobody has measured, and `output_s`, the
// way out at that time, also where the browser did not say it.
export class KnownLatencies {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  get(device) {
    const { measured_s = null, output_s = null, nudge_s = 0 } = this.#all()[device] ?? {};
    return { measured_s, output_s, nudge_s };
  }

  set(device, change) {
    const all = this.#all();
    const known = { ...this.get(device), ...change };
    // The newest comes last, so the oldest goes first.
    delete all[device];
    const kept = Object.entries(all).slice(1 - MOST_DEVICES);
    this.#storage.setItem(KEY, JSON.stringify(Object.fromEntries([...kept, [device, known]])));
  }

  #all() {
    try {
      return JSON.parse(this.#storage.getItem(KEY)) ?? {};
    } catch {
      return {};
    }
  }
}
