// One recording from its first piece until the studio has it: kept in the browser as it comes, sent every ten seconds.

import { BYTES_PER_SAMPLE, wavHeader } from "../sound/wav.js";
import { lockRecording } from "./recording_store.js";
import { RecordingUpload } from "./recording_upload.js";

// About ten seconds.
const PIECES_A_TIME = 5;

export class OpenRecording {
  recording;
  #store;
  #upload;
  #release;
  #writing = Promise.resolve();
  #controller = new AbortController();
  #pieces;
  // The first take of the same recording, whose track it goes to; null when it is the first.
  #first;

  constructor(store, recording, release, first = null) {
    this.recording = recording;
    this.#first = first;
    this.#store = store;
    this.#release = release;
    this.#pieces = Math.ceil(recording.bytes / recording.pieceBytes);
    const source = { piece: (number) => store.piece(recording.id, number) };
    this.#upload = new RecordingUpload(recording, source, { placed: () => store.update(recording) });
  }

  // Begin a new one: `about` is what the store keeps of it, without what is made here. Pieces may be added at once. `first`
  // is the first take of the same recording.
  static begin(store, about, first = null) {
    const recording = { ...about, id: crypto.randomUUID(), startedAt: Date.now(), place: null, hasLength: false, bytes: 0 };
    const open = new OpenRecording(store, recording, () => {}, first);
    open.#writing = open.#hold();
    return open;
  }

  // Go on with one that was not finished. Null when another tab has it.
  static async resume(store, recording) {
    const release = await lockRecording(recording.id);
    return release === null ? null : new OpenRecording(store, recording, release);
  }

  // Whether it outlives the tab.
  get isSafe() {
    return this.#store.isSafe;
  }

  add(pieces) {
    for (const piece of pieces) this.#writing = this.#writing.then(() => this.#append(piece));
  }

  // The track that it goes to, once that is known: a new one has the id of its first upload, also before that is complete.
  get trackId() {
    return this.recording.takeOf ?? this.recording.place?.split("/").pop() ?? null;
  }

  // It goes to that track.
  async belongTo(trackId) {
    await this.#writing;
    this.recording.takeOf = trackId;
    await this.#store.update(this.recording);
  }

  // Send what can be sent now. Never raises.
  async send() {
    await this.#writing;
    const { recording } = this;
    if (this.#first !== null) recording.takeOf ??= this.#first.trackId;
    const hasTrack = this.#first === null || recording.takeOf !== null;
    if (hasTrack && !this.#controller.signal.aborted) await this.#upload.sendSoFar(this.#controller.signal);
  }

  // Send the rest. The upload, which is the take that is heard if `isHeard`; `landed(upload)` is awaited before it is
  // forgotten here. Errors: `Problem`; then it is still here, and may be tried again.
  async finish({ isHeard = true, landed = async () => {} } = {}) {
    await this.#writing;
    const upload = await this.#upload.finish({ signal: this.#controller.signal, isHeard });
    await landed(upload);
    await this.#store.remove(this.recording.id);
    this.#release();
    return upload;
  }

  // Throw it away, here and in the studio.
  async abandon() {
    this.#controller.abort();
    await this.#writing;
    await this.#upload.forget();
    await this.#store.remove(this.recording.id);
    this.#release();
  }

  // As a file, for whoever cannot upload it.
  async file() {
    await this.#writing;
    const { id, bytes, channels, sampleRate } = this.recording;
    const pieces = [];
    for (let number = 0; number < this.#pieces; number += 1) pieces.push(await this.#store.piece(id, number));
    const known = pieces.filter((piece) => piece !== null);
    const sound = known.reduce((total, piece) => total + piece.length, 0);
    return new Blob([wavHeader({ channels, sampleRate }, Math.min(sound, bytes)), ...known], { type: "audio/wav" });
  }

  async #hold() {
    this.#release = await lockRecording(this.recording.id);
    await this.#store.begin(this.recording);
  }

  async #append(piece) {
    // It counts once it is kept: what is sent is read from there.
    const bytes = this.recording.bytes + piece.length;
    await this.#store.append({ ...this.recording, bytes }, this.#pieces, piece);
    this.recording.bytes = bytes;
    this.#pieces += 1;
    // It waits for what is written, which this is a part of.
    if (this.#pieces % PIECES_A_TIME === 0) this.send();
  }
}

// How long a recording is, in seconds.
export function lengthOf({ bytes, channels, sampleRate }) {
  return bytes / (BYTES_PER_SAMPLE * channels * sampleRate);
}
