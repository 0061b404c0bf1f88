// A file sent in pieces by the tus 1.0 protocol, so that one that was cut off goes on where it was.
//
// While the studio cannot be reached, or cannot take the piece now, the same is tried again after a while: it is asked
// how much has arrived (HEAD), and the next piece begins there. After `TRIES` in a row without anything arriving the
// problem is raised; `send` may then be called again, and goes on all the same. What has been forgotten in the meantime
// is begun anew.

import { ask, Problem } from "../controls/api.js";
import { backoff, base64, pause, transfer } from "./transfer.js";

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
  #place = null;
  #offset = null;
  #upload = null;

  constructor(file, sessionId) {
    this.#file = file;
    this.#sessionId = sessionId;
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
    const metadata = `filename ${base64(this.#file.name)},sessionId ${base64(this.#sessionId)}`;
    const headers = { ...VERSION, "Upload-Length": String(this.#file.size), "Upload-Metadata": metadata };
    const { header } = await transfer("POST", PLACE, { headers, signal });
    this.#place = new URL(header("Location"), location.href).pathname;
    this.#offset = 0;
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
      if (FORGOTTEN.includes(problem.status)) this.#place = null;
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
