// One file on its way to the studio, in pieces that can be gone on with.

import { ask, Problem, problemIn, UNREACHABLE } from "../controls/api.js";

// --- requests --------------------------------------------------------------------------------------------------------
//
// Sending a file's bytes to our own web app, told how far they are. What goes wrong becomes a `Problem`.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const STALLED_MS = 30_000;
// Once everything is sent, the studio may still have to put a large file where it is kept.
const ANSWER_TIMEOUT_MS = 300_000;

// One request. `progress(bytes)` is told how much of the body has gone; `signal` ends it with an `AbortError`.
// `{ header(name), answer }` when it succeeded. (Only an XMLHttpRequest says how far a body is.)
export function transfer(method, path, { headers = {}, body = null, signal, progress = () => {} }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let patience = 0;
    const wait = (longest_ms) => {
      clearTimeout(patience);
      patience = setTimeout(() => request.abort(), longest_ms);
    };
    const cancel = () => request.abort();
    request.open(method, path);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      wait(STALLED_MS);
      progress(event.loaded);
    });
    request.upload.addEventListener("load", () => wait(ANSWER_TIMEOUT_MS));
    request.addEventListener("loadend", () => {
      clearTimeout(patience);
      signal.removeEventListener("abort", cancel);
      if (signal.aborted) return reject(signal.reason);
      if (request.status === 0) return reject(new Problem(0, "unreachable", UNREACHABLE));
      const answer = parsed(request.responseText);
      const header = (name) => request.getResponseHeader(name);
      if (request.status < 300) return resolve({ header, answer });
      return reject(problemIn(request.status, header("Retry-After"), answer));
    });
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", cancel);
    wait(body === null ? ANSWER_TIMEOUT_MS : STALLED_MS);
    return request.send(body);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// What is said of an upload, `{ key: text }`, as its header has it.
export function metadataOf(about) {
  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  return Object.entries(about).map(([key, text]) => `${key} ${base64(text)}`).join();
}

// How long to wait before the next attempt: doubling, bounded, with jitter over the upper half.
export function backoff(failures) {
  return Math.min(FIRST_DELAY_MS * 2 ** (failures - 1), LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
}

export function pause(delay_ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, delay_ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

// --- in pieces -------------------------------------------------------------------------------------------------------
//
// A file sent in pieces by the tus 1.0 protocol, so that one that was cut off goes on where it was.
//
// While the studio cannot be reached, or cannot take the piece now, the same is tried again after a while: it is asked
// how much has arrived (HEAD), and the next piece begins there. After `TRIES` in a row without anything arriving the
// problem is raised; `send` may then be called again, and goes on all the same. What has been forgotten in the meantime
// is begun anew.

const PLACE = "/api/upload/tus";
const PIECE_BYTES = 5 * 1024 * 1024;
const TRIES = 6;
const VERSION = { "Tus-Resumable": "1.0.0" };
// Another offset, another's piece at the same time, bytes that changed on the way: ask, and send again.
const DISAGREEMENTS = [409, 423, 460];
const FORGOTTEN = [404, 410];
const UNREADABLE = "The file cannot be read any more. Add it again.";

export class ResumableUpload {
  #file;
  #sessionId;
  #begin_s;
  #place;
  #placed;
  #offset = null;
  #upload = null;

  // `place` is where its bytes go, when an earlier page has begun it; `placed(place)` hears when that is another, or null.
  constructor(file, sessionId, begin_s, { place = null, placed = () => {} } = {}) {
    this.#file = file;
    this.#sessionId = sessionId;
    this.#begin_s = begin_s;
    this.#place = place;
    this.#placed = placed;
  }

  // Send what is not there yet. The upload. Errors: `Problem`; what `signal` was aborted with.
  async send({ progress, signal }) {
    let failures = 0;
    while (this.#upload === null) {
      try {
        await this.#step({ progress, signal });
        failures = 0;
      } catch (problem) {
        signal.throwIfAborted();
        failures += 1;
        if (failures > TRIES || !this.#goesOn(problem)) throw problem;
        this.#offset = null;
        await pause(Math.max(problem.retryAfter_ms, backoff(failures)), signal);
      }
    }
    return this.#upload;
  }

  // Let the studio throw away what has arrived. Whatever goes wrong: it does so by itself in a day.
  async forget() {
    if (this.#place === null || this.#upload !== null) return;
    const { signal } = new AbortController();
    await transfer("DELETE", this.#place, { headers: VERSION, signal }).catch(() => {});
  }

  async #step(told) {
    if (this.#place === null) await this.#create(told.signal);
    else if (this.#offset === null) await this.#ask(told.signal);
    told.progress(this.#offset);
    if (this.#offset < this.#file.size) await this.#sendPiece(told);
    if (this.#offset === this.#file.size) await this.#find();
  }

  async #create(signal) {
    const about = { filename: this.#file.name, sessionId: this.#sessionId, offsetSeconds: String(this.#begin_s) };
    const metadata = metadataOf(about);
    const headers = { ...VERSION, "Upload-Length": String(this.#file.size), "Upload-Metadata": metadata };
    const { header } = await transfer("POST", PLACE, { headers, signal });
    this.#goTo(new URL(header("Location"), location.href).pathname);
    this.#offset = 0;
  }

  #goTo(place) {
    this.#place = place;
    this.#placed(place);
  }

  async #ask(signal) {
    try {
      const { header } = await transfer("HEAD", this.#place, { headers: VERSION, signal });
      this.#offset = Number(header("Upload-Offset"));
    } catch (problem) {
      if (!FORGOTTEN.includes(problem.status)) throw problem;
      // Perhaps it is finished, and the answer that said so was lost.
      this.#offset = this.#file.size;
    }
  }

  async #sendPiece({ progress, signal }) {
    const begin = this.#offset;
    const body = await read(this.#file.slice(begin, begin + PIECE_BYTES));
    const headers = {
      ...VERSION,
      "Content-Type": "application/offset+octet-stream",
      "Upload-Offset": String(begin),
      ...(await checksum(body)),
    };
    const told = (bytes) => progress(begin + bytes);
    const { header } = await transfer("PATCH", this.#place, { headers, body, signal, progress: told });
    this.#offset = Number(header("Upload-Offset"));
  }

  // The upload has the address's last part as its id.
  async #find() {
    const id = this.#place.split("/").pop();
    try {
      this.#upload = (await ask("GET", `/api/upload/${id}`)).upload;
    } catch (problem) {
      if (FORGOTTEN.includes(problem.status)) this.#goTo(null);
      throw problem;
    }
  }

  #goesOn(problem) {
    if (!(problem instanceof Problem)) return false;
    if (FORGOTTEN.includes(problem.status)) return this.#offset !== null;
    return problem.isPassing || DISAGREEMENTS.includes(problem.status);
  }
}

async function read(piece) {
  try {
    return await piece.arrayBuffer();
  } catch {
    throw new Problem(400, "unreadable", UNREADABLE);
  }
}

// Browsers compute digests only where the connection is safe, which is where nobody else can change the bytes either.
async function checksum(bytes) {
  if (!crypto.subtle) return {};
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { "Upload-Checksum": `sha256 ${btoa(String.fromCharCode(...digest))}` };
}
