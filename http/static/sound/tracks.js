// The tracks as they are to be heard, with what is known of their sound.

import { clipOf, RATE_HZ, Run, segmentsFor } from "./schedule.js";

// What is not heard is loaded as if it were needed later.
const UNHEARD_AFTER_FRAMES = 6 * RATE_HZ;
const PREPARED_FRAMES = 2 * RATE_HZ;
// A start as soon as possible waits so long for its sound; what comes later falls in.
const WAIT_MS = 700;

export class Tracks {
  #store;
  #tracks = [];

  // `store` is a `SegmentStore`, which follows the tracks.
  constructor(store) {
    this.#store = store;
  }

  set(tracks) {
    this.#tracks = tracks;
    this.#store.follow(tracks);
  }

  has(trackId) {
    return this.#tracks.some(({ id }) => id === trackId);
  }

  // Those of whose sound something is known: `{ id, uploadId, clip, isHeard }`.
  players() {
    return this.#tracks.flatMap((track) => {
      const about = this.#store.about(track.uploadId);
      if (about === null) return [];
      return [{ id: track.id, uploadId: track.uploadId, clip: clipOf(track, about.frames), isHeard: isHeard(track) }];
    });
  }

  // The ids of those that should be heard at this place of the song, also of those of which nothing is known yet.
  dueAt(positionFrame) {
    const isDue = ({ clip }) => positionFrame >= clip.beginFrame && positionFrame < clip.beginFrame + clip.frames;
    const known = this.players().filter((player) => player.isHeard && isDue(player));
    const unknown = this.#tracks.filter((track) => isHeard(track) && !this.#isKnown(track));
    return [...known, ...unknown].map(({ id }) => id);
  }

  // The first frame of the song after which there is nothing more; null when there is nothing at all.
  get endFrame() {
    const ends = this.players().map(({ clip }) => clip.beginFrame + clip.frames);
    return ends.length > 0 ? Math.max(...ends) : null;
  }

  // Bring gains and pans to the mixer; what is not there any more is silent already.
  mixInto(mixer) {
    for (const track of this.#tracks) {
      const about = this.#store.about(track.uploadId);
      if (about === null) continue;
      const { gainDb, pan } = track;
      mixer.strip(track.id).set({ channels: about.channels, scale: about.gain, gainDb, pan, isHeard: isHeard(track) });
    }
  }

  // Which segments these stretches need, the most urgent first.
  segmentsFor(stretches) {
    return segmentsFor(this.players(), stretches, UNHEARD_AFTER_FRAMES);
  }

  // Whether all that is heard in these stretches is there, as far as it will ever be, or cannot be had for now.
  isLoaded(stretches) {
    const heard = this.players().filter((player) => player.isHeard);
    const needed = segmentsFor(heard, stretches, 0);
    const isThere = ({ uploadId, segment }) => this.#store.isPutOff(uploadId) || this.#store.buffer(uploadId, segment) !== undefined;
    const isKnown = (track) => this.#store.isPutOff(track.uploadId) || this.#isKnown(track);
    return this.#tracks.filter(isHeard).every(isKnown) && needed.every(isThere);
  }

  #isKnown({ uploadId }) {
    return this.#store.about(uploadId) !== null || this.#store.isOver(uploadId);
  }
}

// The place where the next start will be: what it needs is loaded before.
export class Target {
  #tracks;
  #stretches = [];
  #loaded = () => {};

  constructor(tracks) {
    this.#tracks = tracks;
  }

  // What it needs, the most urgent first.
  get segments() {
    return this.#tracks.segmentsFor(this.#stretches);
  }

  set(positionFrame, loop) {
    this.#stretches = new Run({ atFrame: 0, positionFrame, loop }).stretches(0, PREPARED_FRAMES);
  }

  clear() {
    this.#stretches = [];
  }

  get isLoaded() {
    return this.#tracks.isLoaded(this.#stretches);
  }

  // Something has come.
  arrived() {
    if (this.isLoaded) this.#loaded();
  }

  async untilLoaded() {
    if (this.isLoaded) return;
    await new Promise((resolve) => {
      this.#loaded = resolve;
      setTimeout(resolve, WAIT_MS);
    });
  }
}

// Mute, solo and takes all have to let it through.
function isHeard(track) {
  return (track.isHeard ?? true) && !track.muted;
}
