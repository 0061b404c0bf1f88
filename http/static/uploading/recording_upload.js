// A recording on its way to the studio while it is still recorded, by tus 1.0: its length is said at the end.
//
// What is sent before the end is sent when it can be: a failure is nothing, the next time goes on from there. Only
// `finish` insists, as a file's upload does. An upload that the studio has forgotten (after a day) begins anew.

import { ask, Problem } from "../controls/api.js";
import { HEADER_BYTES, wavHeader } from "../sound/wav.js";
import { backoff, metadataOf, pause, transfer } from "./transfer.js";

const PLACE = "/api/upload/tus";
const VERSION = { "Tus-Resumable": "1.0.0" };
const BYTES = "application/offset+octet-stream";
const MOST_BYTES = 5 * 1024 * 1024;
const TRIES = 6;
// Whoever wants to record does not wait for longer: how much fits is only a help.
const LIMIT_MS = 2_000;
const SAME_S = 1e-6;
const DISAGREEMENTS = [409, 423, 460];
const FORGOTTEN = [404, 410];
const NO_TRACK = "track_not_found";
const LOST = "A part of this recording is not in this browser any more.";

// How large a file may be, in bytes. Errors: `Problem`; a `TimeoutError` when the studio does not say it soon.
export async function longestUpload() {
  const { header } = await transfer("OPTIONS", PLACE, { signal: AbortSignal.timeout(LIMIT_MS) });
  return Number(header("Tus-Max-Size")) || Infinity;
}

export class RecordingUpload {
  #recording;
  #source;
  #told;
  #offset = null;
  #running = Promise.resolve();
  #isSending = false;
  #isFinishing = false;
  #isThere = false;

  // `recording` is as in the store, and is changed there; `source` has `piece(number)`, each of `pieceBytes` but the
  // last. `told`: `placed()` when it has a place.
  constructor(recording, source, told) {
    this.#recording = recording;
    this.#source = source;
    this.#told = told;
  }

  // Send what there is, as far as that works now. Never raises.
  sendSoFar(signal) {
    if (this.#isSending || this.#isFinishing) return this.#running;
    this.#isSending = true;
    this.#running = this.#sendAvailable(signal)
      .catch((problem) => {
        this.#offset = null;
        if (!(problem instanceof Problem)) console.warn("recording", problem.name);
      })
      .finally(() => (this.#isSending = false));
    return this.#running;
  }

  // Send the rest, and say that it is all. The upload; of a track, it is then the take that is heard if `isHeard`. Errors:
  // `Problem`; what `signal` was aborted with.
  async finish({ signal, isHeard = true }) {
    this.#isFinishing = true;
    try {
      await this.#running;
      return await this.#finish(signal, isHeard);
    } finally {
      this.#isFinishing = false;
    }
  }

  async #finish(signal, isHeard) {
    for (let failures = 0; ; ) {
      try {
        const sent = await this.#step(signal, true);
        if (sent) return await this.#find(isHeard);
        failures = 0;
      } catch (problem) {
        signal.throwIfAborted();
        failures += 1;
        if (failures > TRIES || !this.#goesOn(problem)) throw problem;
        this.#offset = null;
        await pause(Math.max(problem.retryAfter_ms, backoff(failures)), signal);
      }
    }
  }

  // Let the studio throw away what has arrived. Whatever goes wrong: it does so by itself in a day.
  async forget() {
    if (this.#recording.place === null) return;
    const { signal } = new AbortController();
    await transfer("DELETE", this.#recording.place, { headers: VERSION, signal }).catch(() => {});
  }

  get #size() {
    return HEADER_BYTES + this.#recording.bytes;
  }

  async #sendAvailable(signal) {
    do await this.#step(signal, false);
    while (this.#offset < this.#size);
  }

  // One request, or a few. Whether all of it has been sent and it was said that this is all.
  async #step(signal, isLast) {
    if (this.#recording.place === null) await this.#create(signal, isLast);
    else if (this.#offset === null) await this.#ask(signal);
    if (this.#isThere) return true;
    const end = Math.min(this.#size, this.#offset + MOST_BYTES);
    const completes = isLast && end === this.#size;
    if (this.#offset === this.#size && !completes) return false;
    const body = await this.#bytes(this.#offset, end);
    const length = completes ? { "Upload-Length": String(this.#size) } : {};
    const headers = { ...VERSION, ...length, "Content-Type": BYTES, "Upload-Offset": String(this.#offset) };
    const { header } = await transfer("PATCH", this.#recording.place, { headers, body, signal });
    this.#offset = Number(header("Upload-Offset"));
    return completes && this.#offset === this.#size;
  }

  async #create(signal, isLast) {
    const { sessionId, takeOf, name, offsetSeconds } = this.#recording;
    const about = { filename: `${name}.wav`, sessionId, offsetSeconds: String(offsetSeconds), ...(takeOf ? { takeOf } : {}) };
    const length = isLast ? { "Upload-Length": String(this.#size) } : { "Upload-Defer-Length": "1" };
    const headers = { ...VERSION, ...length, "Upload-Metadata": metadataOf(about) };
    const { header } = await transfer("POST", PLACE, { headers, signal }).catch((problem) => {
      // Somebody has removed it. The next time, this becomes a track of its own.
      if (problem.code === NO_TRACK && this.#recording.takeOf === takeOf) this.#recording.takeOf = null;
      throw problem;
    });
    this.#recording.place = new URL(header("Location"), location.href).pathname;
    this.#recording.hasLength = isLast;
    this.#offset = 0;
    await this.#told.placed();
  }

  async #ask(signal) {
    try {
      const { header } = await transfer("HEAD", this.#recording.place, { headers: VERSION, signal });
      this.#offset = Number(header("Upload-Offset"));
      // It may have been finished by a request whose answer was lost. Nothing else has both.
      this.#isThere = header("Upload-Length") === header("Upload-Offset");
      // The studio may have what the browser had no room for.
      this.#recording.bytes = Math.max(this.#recording.bytes, this.#offset - HEADER_BYTES);
    } catch (problem) {
      if (!FORGOTTEN.includes(problem.status)) throw problem;
      await this.#beginAnew();
      throw problem;
    }
  }

  async #beginAnew() {
    this.#recording.place = null;
    await this.#told.placed();
  }

  // Bytes `begin` to `end` of the file.
  async #bytes(begin, end) {
    const { channels, sampleRate, bytes, hasLength, pieceBytes } = this.#recording;
    const body = new Uint8Array(end - begin);
    if (begin < HEADER_BYTES) {
      const header = wavHeader({ channels, sampleRate }, hasLength ? bytes : null);
      body.set(header.subarray(begin, Math.min(end, HEADER_BYTES)));
    }
    for (let at = Math.max(begin, HEADER_BYTES); at < end; ) {
      const inSound = at - HEADER_BYTES;
      const piece = await this.#source.piece(Math.floor(inSound / pieceBytes));
      const part = piece?.subarray(inSound % pieceBytes, (inSound % pieceBytes) + end - at);
      if (!part?.length) throw new Problem(400, "unreadable", LOST);
      body.set(part, at - begin);
      at += part.length;
    }
    return body;
  }

  // The upload has the address's last part as its id. It lies where it was played, unless an earlier version of this page
  // has begun it: then it goes there now.
  async #find(isHeard) {
    const { place, offsetSeconds, takeOf } = this.#recording;
    const path = `/api/upload/${place.split("/").pop()}`;
    const { upload } = await ask("GET", path);
    const isPlaced = Math.abs(upload.offsetSeconds - offsetSeconds) < SAME_S;
    const placed = isPlaced ? upload : (await ask("PATCH", path, { offsetSeconds })).upload;
    if (!takeOf || !isHeard || upload.chosen) return placed;
    return (await ask("PATCH", path, { chosen: true })).upload;
  }

  #goesOn(problem) {
    if (!(problem instanceof Problem)) return false;
    return problem.isPassing || DISAGREEMENTS.includes(problem.status) || FORGOTTEN.includes(problem.status);
  }
}
