// Somebody's page that sends files with clients that others wrote. Each way says what became of them.
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";
import XHRUpload from "@uppy/xhr-upload";
import * as tus from "tus-js-client";

const FLAC = [0x66, 0x4c, 0x61, 0x43, 0, 0, 0, 0x22];
const RETRY_MS = [0, 200, 500, 1000, 1000, 1000, 1000];

// So much says that a file is a FLAC; what follows is different at each place of a megabyte.
function take(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = (at * 31 + (at >> 8)) % 251;
  bytes.set(FLAC);
  return new Blob([bytes], { type: "audio/flac" });
}

async function sendAll(uppy, files) {
  uppy.setMeta(theirs.meta);
  for (const [name, size] of files) uppy.addFile({ name, type: "audio/flac", data: take(size) });
  try {
    const { successful, failed } = await uppy.upload();
    return { sent: successful.map((file) => file.name), refused: failed.map((file) => file.error) };
  } catch (error) {
    return { sent: [], refused: [error.message] };
  }
}

async function digest(size) {
  const hash = await crypto.subtle.digest("SHA-256", await take(size).arrayBuffer());
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function withTus(name, size, options = {}) {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(take(size), {
      endpoint: "/api/upload/tus",
      metadata: { filename: name, ...theirs.meta },
      retryDelays: RETRY_MS,
      onError: reject,
      onProgress: (sent) => (theirs.progress = sent),
      onSuccess: () => resolve(upload.url.split("/").pop()),
      ...options,
    });
    upload.start();
  });
}

const theirs = {
  digest,
  meta: {}, // of each file: its sessionId, if any
  progress: 0,
  withTus,
  withUppyTus: (files, options = {}) =>
    sendAll(new Uppy().use(Tus, { endpoint: "/api/upload/tus", retryDelays: RETRY_MS, ...options }), files),
  withUppyXhr: (files, options = {}) => {
    // Uppy's own words are that there was a network error; the server's are in the answer.
    const onAfterResponse = (answer) => {
      if (answer.status >= 400) throw new Error(JSON.parse(answer.responseText).error);
    };
    const uppy = new Uppy().use(XHRUpload, {
      endpoint: "/api/upload",
      fieldName: "file",
      onAfterResponse,
      shouldRetry: () => false,
      ...options,
    });
    return sendAll(uppy, files);
  },
};
window.theirs = theirs;
