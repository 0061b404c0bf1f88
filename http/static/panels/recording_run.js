// One recording while it runs: what comes is kept, and shown to everybody as it grows. In a loop it has many takes, of
// which the present one is shown.

import { KEY } from "../room/recordings.js";
import { colourClass } from "../room/roster.js";
import { framesIn, LOUDEST, PIECE_S } from "../sound/take.js";
import { BYTES_PER_SAMPLE, HEADER_BYTES } from "../sound/wav.js";
import { RecordedTakes } from "../uploading/recorded_takes.js";
import { roomBytes } from "../uploading/recording_store.js";
import { longestUpload } from "../uploading/recording_upload.js";

const SHARE_EVERY_S = 0.5;
// What is shorter was not played: nobody misses it.
const MISSED_S = 0.1;

export class RecordingRun {
  takes;
  // How long one take may get, and all of them.
  longest_s;
  whole_s;
  #page;
  #about;
  #name;
  #pass = null;
  #recording = null;
  #clip = null;
  #sharedAt_s = 0;
  #before_s = 0;

  // `page` as in `recording.js`. `trackId` is the track that gets the takes; null for a new one.
  static async prepare(page, store, trackId, { sampleRate, channels }) {
    const { sessionId, memberId, song } = page;
    const [longest, room] = await Promise.all([longestUpload().catch(() => Infinity), roomBytes()]);
    const secondsIn = (bytes) => framesIn(bytes - HEADER_BYTES, channels) / sampleRate;
    const track = song.tracks.find(({ id }) => id === trackId);
    const pieceBytes = Math.round(PIECE_S * sampleRate) * channels * BYTES_PER_SAMPLE;
    const run = new RecordingRun();
    run.#page = page;
    run.takes = new RecordedTakes(store);
    run.longest_s = secondsIn(Math.min(longest, room ?? Infinity));
    run.whole_s = secondsIn(room ?? Infinity);
    const name = track ? track.name : `Recording ${song.tracks.length + 1}`;
    const before = track ? track.takes.length : 0;
    run.#name = (pass) => (before + pass === 0 ? name : `${name} take ${before + pass + 1}`);
    run.#about = { run: crypto.randomUUID(), sessionId, memberId, takeOf: track?.id ?? null, sampleRate, channels, pieceBytes };
    return run;
  }

  // What the overdub has now. Whether another pass has begun.
  heard(overdub) {
    const passBefore = this.#pass;
    for (const { take, pass, startsAt_s } of overdub.takePasses()) {
      this.#turn(pass, startsAt_s);
      this.#finishTake(take);
    }
    this.#turn(overdub.pass, overdub.startsAt_s);
    this.takes.add(overdub.take?.takePieces() ?? []);
    return this.#pass !== passBefore;
  }

  // Show how far the take is. How much room is left, in seconds.
  show(take) {
    const { seconds, peaks } = take;
    if (seconds - this.#sharedAt_s >= SHARE_EVERY_S) {
      this.#sharedAt_s = seconds;
      const { id, name, offsetSeconds: atSeconds } = this.#recording;
      this.#clip?.push(peaks.map((peak) => peak / LOUDEST), seconds);
      this.#page.share(KEY + this.#page.memberId, { id, trackId: this.#about.takeOf, name, atSeconds, seconds, peaks });
    }
    return Math.min(this.longest_s - seconds, this.whole_s - this.#before_s - seconds);
  }

  // Nothing more comes. Whether the last pass was too short to be kept.
  end(overdub) {
    if (overdub.take !== null) this.heard(overdub);
    this.#clip?.finish();
    this.#clip = null;
    this.#page.share(KEY + this.#page.memberId, null);
    if (overdub.isTake) {
      this.#finishTake(overdub.take);
      return false;
    }
    if (this.#pass !== null) this.takes.drop();
    return overdub.pass > 0 && overdub.take.seconds >= MISSED_S;
  }

  #finishTake(take) {
    this.#before_s += take.seconds;
    this.takes.add(take.takeLast());
    this.takes.send();
  }

  #turn(pass, startsAt_s) {
    if (pass === this.#pass) return;
    this.#pass = pass;
    const name = this.#name(pass);
    this.#recording = this.takes.begin({ ...this.#about, pass, name, offsetSeconds: startsAt_s });
    this.#sharedAt_s = 0;
    this.#clip?.finish();
    const { takeOf: trackId, memberId } = this.#about;
    this.#clip = this.#page.timeline?.growingClip({ trackId, name, beginsAt_s: startsAt_s, colorClass: colourClass(memberId) }) ?? null;
  }
}
