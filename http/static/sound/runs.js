// The present run of the song, and those before it: each goes on until the next one begins, which may be at a bar line to
// come. Whoever stops, stops them all.

export class Runs {
  // `{ playback, endFrame }`: the last one may be the present one, which has no end. Those that are silent are let go.
  #all = [];

  // The present one, which may be still to begin; null when nothing plays.
  get playback() {
    const last = this.#all.at(-1);
    return last?.endFrame === Infinity ? last.playback : null;
  }

  // From `atFrame` on, `playback` is the present one. Nothing can be stopped before `soonestFrame`.
  replace(playback, atFrame, soonestFrame) {
    // One that would not have begun by then has but a count-in to play, which the new one has, too.
    if (this.playback?.run.atFrame >= atFrame) end(this.#all.at(-1), soonestFrame);
    this.stop(atFrame);
    this.#all.push({ playback, endFrame: Infinity });
  }

  // Nothing sounds from this frame on.
  stop(atFrame) {
    for (const each of this.#all) end(each, atFrame);
    this.#all = this.#all.filter(({ playback }) => !playback.isSilent);
  }

  // As of `Playback`. A click that is switched off is silent at once, whatever goes on.
  setClick(click, atFrame) {
    const isOff = !click.isOn && !click.countInBars;
    for (const { playback, endFrame } of this.#all) {
      if (endFrame === Infinity || (isOff && endFrame > atFrame)) playback.setClick(click, atFrame);
    }
  }

  // The context is gone, and all that sounded with it.
  forget() {
    this.#all = [];
  }
}

function end(each, atFrame) {
  if (each.endFrame <= atFrame) return;
  each.playback.stop(atFrame);
  each.endFrame = atFrame;
}
