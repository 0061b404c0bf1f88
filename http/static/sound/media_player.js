// One sound of the page, a stem's or a mixdown's: its `audio` element, and the level and place it has in the mix.
//
// Nothing is loaded before it is first played or its place is set. The sound goes through Web Audio, which can also make
// it louder; all sounds of the page share one context, made at the first press, as browsers want it.

const SMOOTH_S = 0.015;

let context = null;

export class MediaPlayer {
  #audio;
  #path;
  #mix = { gainDb: 0, pan: 0, muted: false };
  #gain = null;
  #pan = null;
  #frame = 0;
  #told;

  // `moved()` is told when the place or whether it plays has changed, `failed()` when it cannot be played.
  constructor(audio, path, told) {
    this.#audio = audio;
    this.#path = path;
    this.#told = told;
    for (const name of ["play", "pause", "seeked", "durationchange"]) audio.addEventListener(name, () => this.#moved());
    // At its end it is wound back, which `seeked` tells.
    audio.addEventListener("ended", () => (audio.currentTime = 0));
    audio.addEventListener("error", () => audio.hasAttribute("src") && this.#told.failed());
  }

  get isPlaying() {
    return !this.#audio.paused;
  }

  get place_s() {
    return this.#audio.currentTime;
  }

  // Null while nobody knows.
  get duration_s() {
    return Number.isFinite(this.#audio.duration) ? this.#audio.duration : null;
  }

  set mix(mix) {
    this.#mix = mix;
    if (this.#gain === null) return;
    const level = mix.muted ? 0 : 10 ** (mix.gainDb / 20);
    this.#gain.gain.setTargetAtTime(level, context.currentTime, SMOOTH_S);
    this.#pan.pan.setTargetAtTime(mix.pan, context.currentTime, SMOOTH_S);
  }

  async toggle() {
    if (this.isPlaying) {
      this.#audio.pause();
      return;
    }
    this.#load();
    this.#wire();
    try {
      await Promise.all([context.resume(), this.#audio.play()]);
    } catch (error) {
      // A pause before it has begun is no failure.
      if (error.name !== "AbortError") this.#told.failed();
    }
  }

  seek(place_s) {
    this.#load();
    this.#audio.currentTime = place_s;
  }

  // Never to be heard again.
  close() {
    cancelAnimationFrame(this.#frame);
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    this.#audio.load();
    this.#gain?.disconnect();
    this.#pan?.disconnect();
  }

  #load() {
    // After a failure the next press tries again.
    if (this.#audio.hasAttribute("src") && this.#audio.error === null) return;
    this.#audio.src = this.#path;
  }

  #wire() {
    if (this.#gain !== null) return;
    context ??= new AudioContext();
    this.#gain = context.createGain();
    this.#pan = context.createStereoPanner();
    context.createMediaElementSource(this.#audio).connect(this.#gain).connect(this.#pan).connect(context.destination);
    this.mix = this.#mix;
  }

  #moved() {
    cancelAnimationFrame(this.#frame);
    this.#told.moved();
    if (this.isPlaying) this.#frame = requestAnimationFrame(() => this.#moved());
  }
}
