// Sending a file's bytes to our own web app, told how far they are. What goes wrong becomes a `Problem`.

import { Problem, problemIn, UNREACHABLE } from "../controls/api.js";

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

// The whole file at once. Its upload.
export async function sendWhole(file, sessionId, { progress, signal }) {
  const body = new FormData();
  body.append("sessionId", sessionId);
  body.append("file", file, file.name);
  // The form around the file is a little longer than the file.
  const capped = (bytes) => progress(Math.min(bytes, file.size));
  return (await transfer("POST", "/api/upload", { body, signal, progress: capped })).answer.upload;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// Text as the metadata of an upload has it.
export function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
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
