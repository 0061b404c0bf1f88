// What is heard now of what plays: which place of the song, and whether all that should be. `beforeFrames` is how long the
// count-in before it is.

import { RATE_HZ, secondsOf } from "./schedule.js";

export class Heard {
  #output;
  #runs;
  #tracks;

  constructor(output, runs, tracks) {
    this.#output = output;
    this.#runs = runs;
    this.#tracks = tracks;
  }

  // Before a start, where it will be, and in a count-in, less. Null when it stands.
  position_s(beforeFrames) {
    const run = this.#run;
    if (run === null) return null;
    const firstFrame = run.atFrame - beforeFrames;
    return secondsOf(run.positionAt(Math.max(this.#output.frameAt(performance.now()), firstFrame)));
  }

  // The place that leaves the context at a moment of its own time, before the device's latency; null when it stands.
  positionAt(contextTime_s) {
    const run = this.#run;
    return run && secondsOf(run.positionAt(contextTime_s * RATE_HZ - this.#output.mixer.delayFrames));
  }

  // Tracks that should be heard now, and whose sound is not there yet.
  get lateTrackIds() {
    if (this.#run === null) return [];
    const { nowFrame } = this.#output;
    return this.#tracks.dueAt(this.#run.positionAt(nowFrame)).filter((id) => this.#runs.playback.isLate(id, nowFrame));
  }

  // As of the player, of something that plays.
  state(beforeFrames) {
    if (this.#output.state === "interrupted") return "interrupted";
    if (!this.#output.isRunning) return "blocked";
    const run = this.#run;
    const atFrame = this.#output.frameAt(performance.now());
    if (atFrame < run.atFrame - beforeFrames) return "starting";
    const due = this.#tracks.dueAt(run.positionAt(this.#output.nowFrame));
    if (due.length > 0 && this.lateTrackIds.length === due.length) return "waiting";
    const { endFrame } = this.#tracks;
    return endFrame !== null && !run.isLooping && run.positionAt(atFrame) >= endFrame ? "ended" : "playing";
  }

  get #run() {
    return this.#output.context === null ? null : (this.#runs.playback?.run ?? null);
  }
}
