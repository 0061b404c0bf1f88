// The sound of uploads in segments of ten seconds: fetched and decoded before it is played, and thrown away behind.
//
// The owner says which uploads there are (`follow`) and which of their segments are needed, the most urgent first
// (`want`). Everything else is let go, so memory does not grow with the length of the song. A segment takes up to 4 MB,
// and garbage is collected late: its memory is given back at once, unless somebody still plays it (`hold`). What fails for
// a moment is asked for again, for as long as it is wanted; what will never come is null. What is not made yet is asked for
// ever more seldom: an open page costs a studio that makes no segments little.

import { ask, Problem, problemIn, UNREACHABLE } from "../controls/api.js";
import { RATE_HZ } from "./schedule.js";

// As many as browsers open to one host.
const PARALLEL = 6;
const TIMEOUT_MS = 30_000;
const RETRY_MS = 500;
const LONGEST_RETRY_MS = 8_000;
// By how much longer each wait for segments that are not made yet is, and how long it may become.
const PENDING_GROWTH = 1.5;
const LONGEST_PENDING_MS = 5_000;
// One failure is nothing to speak of: it is asked again before anybody hears it.
const FAILURES_TOLD = 3;
const DECODES = 2;
const PRESSURE_BYTES = 16 * 2 ** 20;
const TOO_SLOW = new Problem(0, "unreachable", UNREACHABLE);
export const UNDECODABLE = "This browser cannot decode it. Download it to hear it.";

export class SegmentStore {
  #told;
  #fetchSegment;
  #describe;
  #decode;
  // By upload. `isStale`: what is known is to be asked for again; `isOver`: there is nothing to be had.
  #files = new Map();
  #wanted = [];
  // How many play a buffer, and those that are not wanted any more, and are played.
  #holds = new Map();
  #leaving = new Set();
  #running = new Map();
  #timer = 0;
  #isClosed = false;

  // `told`: `described(uploadId)`, `arrived(uploadId)`, `problem(uploadId, words, code)`, with no words when it is over,
  // and `lost(problem)` when nothing can be asked for any more.
  constructor(told, { fetchSegment = fetchFromStudio, describe = describeInStudio, decode = makeDecoder() } = {}) {
    this.#told = told;
    this.#fetchSegment = fetchSegment;
    this.#describe = describe;
    this.#decode = decode;
  }

  // These are the uploads; `segments` is what is known of theirs, or null.
  follow(uploads) {
    const ids = new Set(uploads.map(({ uploadId }) => uploadId));
    for (const id of [...this.#files.keys()]) if (!ids.has(id)) this.#drop(id);
    for (const { uploadId, segments } of uploads) {
      if (this.#files.has(uploadId)) continue;
      const about = segments?.frames ? segments : null;
      this.#files.set(uploadId, {
        about,
        buffers: new Map(),
        failures: 0,
        pendingDelay_ms: RETRY_MS,
        decodeFailures: 0,
        isAsking: false,
        isStale: about === null,
        isOver: false,
        waitsUntil_ms: 0,
        isTold: false,
      });
    }
    this.#pump();
  }

  // What the studio says of an upload's segments; null while that is not known.
  about(uploadId) {
    return this.#files.get(uploadId)?.about ?? null;
  }

  // Whether it will never be known.
  isOver(uploadId) {
    return this.#files.get(uploadId)?.isOver ?? true;
  }

  // Whether asking for it has failed, as when it is not made yet: it is asked for again, nobody knows for how long.
  isPutOff(uploadId) {
    return (this.#files.get(uploadId)?.waitsUntil_ms ?? 0) > 0;
  }

  // A decoded segment; undefined while it is not there, null when it never will be.
  buffer(uploadId, segment) {
    const file = this.#files.get(uploadId);
    if (file === undefined || file.isOver) return null;
    return file.buffers.get(segment);
  }

  // These are needed, `{ uploadId, segment }`, the most urgent first. All others are let go.
  want(wanted) {
    this.#wanted = wanted;
    const names = new Set(wanted.map(nameOf));
    for (const [uploadId, { buffers }] of this.#files) {
      for (const segment of [...buffers.keys()]) {
        if (!names.has(nameOf({ uploadId, segment }))) this.#discard(buffers, segment);
      }
    }
    for (const [name, controller] of this.#running) if (!names.has(name)) controller.abort();
    // What is not wanted any more, nobody misses.
    for (const [uploadId, file] of this.#files) if (file.isTold && !this.#isMissed(uploadId, file)) this.#tellOver(uploadId, file);
    this.#pump();
  }

  // Somebody plays this buffer, until `release`.
  hold(buffer) {
    this.#holds.set(buffer, (this.#holds.get(buffer) ?? 0) + 1);
  }

  release(buffer) {
    const left = (this.#holds.get(buffer) ?? 1) - 1;
    if (left > 0) this.#holds.set(buffer, left);
    else this.#holds.delete(buffer);
    if (left === 0 && this.#leaving.delete(buffer)) free(buffer);
  }

  // Nobody plays anything any more: the context is gone.
  releaseAll() {
    for (const buffer of this.#leaving) free(buffer);
    this.#leaving.clear();
    this.#holds.clear();
  }

  // How many bytes the decoded segments take.
  get bytes() {
    const sizes = [...this.#files.values()].flatMap(({ buffers }) => [...buffers.values()]);
    return sizes.reduce((sum, buffer) => sum + (buffer ? buffer.length * buffer.numberOfChannels * 4 : 0), 0);
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const id of [...this.#files.keys()]) this.#drop(id);
  }

  #drop(uploadId) {
    const file = this.#files.get(uploadId);
    this.#files.delete(uploadId);
    for (const segment of [...file.buffers.keys()]) this.#discard(file.buffers, segment);
    for (const [name, controller] of this.#running) if (name.startsWith(`${uploadId} `)) controller.abort();
    if (file.isTold) this.#told.problem(uploadId, "", "");
  }

  #discard(buffers, segment) {
    const buffer = buffers.get(segment);
    buffers.delete(segment);
    if (this.#holds.has(buffer)) this.#leaving.add(buffer);
    else if (buffer !== null) free(buffer);
  }

  #pump() {
    if (this.#isClosed) return;
    const now_ms = performance.now();
    for (const [uploadId, file] of this.#files) {
      if (file.isStale && !file.isAsking && !file.isOver && file.waitsUntil_ms <= now_ms) this.#ask(uploadId, file);
    }
    for (const { uploadId, segment } of this.#wanted) {
      if (this.#running.size >= PARALLEL) break;
      const file = this.#files.get(uploadId);
      if (file === undefined || file.isStale || file.isOver || file.buffers.has(segment) || file.waitsUntil_ms > now_ms) continue;
      if (!this.#running.has(nameOf({ uploadId, segment }))) this.#load(uploadId, file, segment);
    }
    const waits = [...this.#files.values()].map((file) => file.waitsUntil_ms).filter((until_ms) => until_ms > now_ms);
    clearTimeout(this.#timer);
    if (waits.length > 0) this.#timer = setTimeout(() => this.#pump(), Math.min(...waits) - now_ms + 1);
  }

  async #ask(uploadId, file) {
    file.isAsking = true;
    try {
      file.about = await this.#describe(uploadId);
      file.isStale = false;
      this.#succeeded(uploadId, file);
      if (this.#files.get(uploadId) === file) this.#told.described(uploadId);
    } catch (problem) {
      this.#failed(uploadId, file, problem);
    } finally {
      file.isAsking = false;
      this.#pump();
    }
  }

  async #load(uploadId, file, segment) {
    const name = nameOf({ uploadId, segment });
    const controller = new AbortController();
    const { signal } = controller;
    const isUnwanted = () => signal.aborted && signal.reason !== TOO_SLOW;
    const timer = setTimeout(() => controller.abort(TOO_SLOW), TIMEOUT_MS);
    this.#running.set(name, controller);
    try {
      const isFresh = file.decodeFailures > 0;
      const bytes = await this.#fetchSegment(uploadId, segment, file.about.version, { signal, isFresh });
      clearTimeout(timer);
      const buffer = await this.#decoded(file, bytes);
      if (isUnwanted()) {
        free(buffer);
        return;
      }
      file.buffers.set(segment, buffer);
      this.#succeeded(uploadId, file);
      this.#told.arrived(uploadId);
    } catch (problem) {
      if (!isUnwanted()) this.#failed(uploadId, file, problem, segment);
    } finally {
      clearTimeout(timer);
      this.#running.delete(name);
      this.#pump();
    }
  }

  async #decoded(file, bytes) {
    try {
      return await this.#decode(bytes);
    } catch {
      file.decodeFailures += 1;
      const code = file.decodeFailures < DECODES ? "damaged" : "undecodable";
      throw new Problem(code === "damaged" ? 0 : 415, code, UNDECODABLE);
    }
  }

  #succeeded(uploadId, file) {
    file.failures = 0;
    file.pendingDelay_ms = RETRY_MS;
    file.waitsUntil_ms = 0;
    if (file.isTold) this.#tellOver(uploadId, file);
  }

  // Whether something of it is wanted that is not there.
  #isMissed(uploadId, file) {
    return file.isOver || file.isStale || this.#wanted.some((each) => each.uploadId === uploadId && !file.buffers.get(each.segment));
  }

  // `segment` is the one that failed, if it was one.
  #failed(uploadId, file, error, segment) {
    if (this.#files.get(uploadId) !== file) return;
    const problem = error instanceof Problem ? error : new Problem(0, "unreachable", UNREACHABLE);
    const { status, code } = problem;
    if (status === 401) {
      this.#told.lost(problem);
      return;
    }
    const isPending = code === "segments_pending";
    if (!isPending && !problem.isPassing) {
      if (code === "no_such_segment") file.buffers.set(segment, null);
      else file.isOver = true;
      this.#tell(uploadId, file, problem);
      return;
    }
    let delay_ms = file.pendingDelay_ms;
    if (isPending) {
      file.isStale = true;
      file.pendingDelay_ms = Math.min(delay_ms * PENDING_GROWTH, LONGEST_PENDING_MS);
    } else {
      file.failures += 1;
      delay_ms = Math.min(RETRY_MS * 2 ** (file.failures - 1), LONGEST_RETRY_MS);
    }
    file.waitsUntil_ms = performance.now() + Math.max(delay_ms, problem.retryAfter_ms);
    if (file.failures >= FAILURES_TOLD) this.#tell(uploadId, file, problem);
  }

  #tell(uploadId, file, problem) {
    if (file.isTold) return;
    file.isTold = true;
    this.#told.problem(uploadId, problem.message, problem.code);
  }

  #tellOver(uploadId, file) {
    file.isTold = false;
    if (this.#files.get(uploadId) === file) this.#told.problem(uploadId, "", "");
  }
}

// Give its memory back now. What is sent to a port that is closed is thrown away at once; `ArrayBuffer.transfer` would
// leave the samples to the collector of garbage, which comes when there are hundreds of megabytes.
function free(buffer) {
  const sides = Array.from({ length: buffer.numberOfChannels }, (_, side) => buffer.getChannelData(side).buffer);
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.postMessage(null, sides);
  port1.close();
}

function nameOf({ uploadId, segment }) {
  return `${uploadId} ${segment}`;
}

function describeInStudio(uploadId) {
  return ask("GET", `/api/upload/${uploadId}/segments`);
}

async function fetchFromStudio(uploadId, segment, version, { signal, isFresh }) {
  const path = `/api/upload/${uploadId}/segments/${segment}?v=${encodeURIComponent(version)}`;
  const response = await fetch(path, { signal, cache: isFresh ? "reload" : "default" });
  if (response.ok) return response.arrayBuffer();
  throw problemIn(response.status, response.headers.get("Retry-After"), await response.json().catch(() => null));
}

// A context of 48 kHz decodes segments to the sample; one that does not play needs no press of a button first.
function makeDecoder() {
  let context = null;
  return async (bytes) => {
    context ??= new OfflineAudioContext(2, 1, RATE_HZ);
    const buffer = await context.decodeAudioData(bytes);
    // Chromium keeps the encoded bytes until it collects garbage, and does not count them towards when it does so. This
    // is counted, and takes no memory, because nobody writes to it.
    new ArrayBuffer(PRESSURE_BYTES);
    return buffer;
  };
}
