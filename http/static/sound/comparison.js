// Two mixdowns at the same place, of which one is heard. No DOM but their `audio` elements.
//
// Both play all the time, so a switch is at once. They are streamed, so memory does not grow with their length. The one
// that is not heard follows the other: its speed is changed a little until it is within a few milliseconds. Levels are
// matched by loudness: the louder one is turned down, never the other up, so nothing clips.

const SMOOTH_S = 0.01;
const LOOK_EVERY_MS = 200;
export const CLOSE_S = 0.005;
// Beyond this the follower is moved, which it does not do exactly, and then corrected.
export const FAR_S = 0.25;
const MOST_CHANGE = 0.08;
const OTHER = { a: "b", b: "a" };

export class Comparison extends EventTarget {
  #sides = {};
  #context = null;
  #createContext;
  #heard = "a";
  #watching = 0;
  #wanted = 0;

  // `a` and `b`: `{exportId, loudnessLufs, durationSeconds}` as `GET /api/export` has them; `loudnessLufs` may be null.
  // Events: `change` when it plays, stops, switches or was moved; `problem` when one cannot be played.
  constructor(a, b, { createContext = () => new AudioContext(), createAudio = () => new Audio() } = {}) {
    super();
    this.#createContext = createContext;
    this.gainsDb = matchedGainsDb(a.loudnessLufs, b.loudnessLufs);
    this.duration_s = Math.max(a.durationSeconds ?? 0, b.durationSeconds ?? 0);
    for (const [name, mixdown] of Object.entries({ a, b })) this.#sides[name] = this.#side(mixdown, createAudio());
  }

  get heard() {
    return this.#heard;
  }

  get isPlaying() {
    return !this.#sides[this.#heard].audio.paused;
  }

  get place_s() {
    return this.#sides[this.#heard].audio.currentTime;
  }

  // How far the one that is not heard is ahead of the other; null when either is not playing.
  get drift_s() {
    const { audio: leader } = this.#sides[this.#heard];
    const { audio: follower } = this.#sides[OTHER[this.#heard]];
    return leader.paused || follower.paused ? null : follower.currentTime - leader.currentTime;
  }

  toggle() {
    return this.isPlaying ? this.pause() : this.play();
  }

  async play() {
    this.#wire();
    this.#wanted += 1;
    const mine = this.#wanted;
    const place_s = this.place_s;
    const { a, b } = this.#sides;
    for (const side of [a, b]) if (side.audio.currentTime !== place_s) side.audio.currentTime = place_s;
    try {
      await this.#context.resume();
      await Promise.all([a, b].map(ready));
      // Paused, or closed, meanwhile.
      if (mine !== this.#wanted) return;
      await Promise.all([a, b].map((side) => endsBefore(side.audio, place_s) || side.audio.play()));
    } catch (error) {
      if (error.name !== "AbortError") this.#fail();
      return;
    }
    clearInterval(this.#watching);
    this.#watching = setInterval(() => this.#follow(), LOOK_EVERY_MS);
    this.#tell();
  }

  pause() {
    this.#wanted += 1;
    clearInterval(this.#watching);
    for (const { audio } of Object.values(this.#sides)) audio.pause();
    this.#tell();
  }

  seek(place_s) {
    const place = Math.min(Math.max(place_s, 0), this.duration_s);
    for (const { audio } of Object.values(this.#sides)) audio.currentTime = place;
    this.#tell();
  }

  // Hear the other one, or the one that is named, "a" or "b".
  switch(name = OTHER[this.#heard]) {
    if (name === this.#heard) return;
    this.#sides[name].audio.playbackRate = 1;
    this.#heard = name;
    this.#level();
    this.#tell();
  }

  // Never to be heard again.
  close() {
    this.#wanted += 1;
    clearInterval(this.#watching);
    for (const { audio } of Object.values(this.#sides)) {
      audio.pause();
      audio.removeAttribute("src");
      audio.load();
    }
    this.#context?.close();
  }

  #side({ exportId }, audio) {
    audio.preload = "auto";
    audio.preservesPitch = false;
    audio.src = `/api/export/${exportId}/download`;
    const side = { audio, gain: null };
    audio.addEventListener("error", () => audio.hasAttribute("src") && this.#fail());
    audio.addEventListener("ended", () => side === this.#sides[this.#heard] && this.#ended());
    return side;
  }

  #wire() {
    if (this.#context !== null) return;
    this.#context = this.#createContext();
    for (const side of Object.values(this.#sides)) {
      side.gain = this.#context.createGain();
      this.#context.createMediaElementSource(side.audio).connect(side.gain).connect(this.#context.destination);
    }
    this.#level(true);
  }

  #level(isAtOnce = false) {
    for (const [name, { gain }] of Object.entries(this.#sides)) {
      if (gain === null) continue;
      const level = name === this.#heard ? 10 ** (this.gainsDb[name] / 20) : 0;
      if (isAtOnce) gain.gain.value = level;
      else gain.gain.setTargetAtTime(level, this.#context.currentTime, SMOOTH_S);
    }
  }

  #follow() {
    const drift_s = this.drift_s;
    if (drift_s === null) return;
    const { audio } = this.#sides[OTHER[this.#heard]];
    const { isMoved, rate } = correction(drift_s);
    if (isMoved) audio.currentTime -= drift_s;
    audio.playbackRate = rate;
  }

  #ended() {
    this.pause();
    this.seek(0);
  }

  #fail() {
    this.pause();
    this.dispatchEvent(new Event("problem"));
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

// How much each is turned down, in dB: nothing for the quieter one, or when either was not measured.
export function matchedGainsDb(lufsOfA, lufsOfB) {
  if (lufsOfA === null || lufsOfB === null) return { a: 0, b: 0 };
  const quieter = Math.min(lufsOfA, lufsOfB);
  return { a: quieter - lufsOfA, b: quieter - lufsOfB };
}

// What is done about the one that is not heard, when it is `drift_s` ahead: it is moved, or its speed is changed so that
// it is there at the next look.
export function correction(drift_s) {
  if (Math.abs(drift_s) > FAR_S) return { isMoved: true, rate: 1 };
  if (Math.abs(drift_s) < CLOSE_S) return { isMoved: false, rate: 1 };
  const change = Math.max(-MOST_CHANGE, Math.min(MOST_CHANGE, drift_s / (LOOK_EVERY_MS / 1000)));
  return { isMoved: false, rate: 1 - change };
}

// The shorter one is silent where the other goes on.
function endsBefore(audio, place_s) {
  return Number.isFinite(audio.duration) && place_s >= audio.duration;
}

// Both have enough to begin, so that they begin together.
function ready({ audio }) {
  if (audio.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA || audio.ended) return null;
  return new Promise((resolve, reject) => {
    audio.addEventListener("canplay", resolve, { once: true });
    audio.addEventListener("error", () => reject(new DOMException("It cannot be played.", "NotSupportedError")), { once: true });
  });
}
