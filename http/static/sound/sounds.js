// All that can be heard in the session: its stems, and its mixdowns. What the room says of either is passed on to it.

import { Mixdowns } from "../panels/mixdowns.js";
import { Stems } from "../stems/stems.js";

// What is older when it is added was not added, but brought back from the bin.
const FRESH_MS = 120_000;

const part = (id) => document.getElementById(id);

export class Sounds {
  #myId;
  #stems;
  #mixdowns;
  #told;

  // `told`: `isTold()` whether the room says what happens, `nameOf(userId)`, `event(words)` for what somebody did, and
  // `lost(problem)` whether a problem ends everything.
  constructor(sessionId, myId, rights, told) {
    this.#myId = myId;
    this.#told = told;
    this.#stems = new Stems(sessionId, myId, rights, told.lost);
    this.#mixdowns = new Mixdowns(sessionId, myId, rights, {
      isTold: told.isTold,
      asked: (userId) => told.event(`${told.nameOf(userId)} asked for a mixdown.`),
      lost: told.lost,
    });
    // It does not bubble.
    document.addEventListener("play", ({ target }) => silenceBeside(target), true);
  }

  // Bring these files in.
  add(files) {
    this.#stems.add(files);
  }

  // Why some files cannot be brought in.
  refuse(words) {
    this.#stems.fail(words);
  }

  refresh() {
    this.#stems.refresh();
    this.#mixdowns.refresh();
  }

  heard(type, payload) {
    switch (type) {
      case "upload.added":
        this.#stems.put(payload);
        if (Date.now() - new Date(payload.createdAt) > FRESH_MS) this.#told.event("A removed file is back.");
        else if (payload.userId !== this.#myId) this.#told.event(`${this.#told.nameOf(payload.userId)} added a file.`);
        break;
      case "upload.changed":
        this.#stems.put(payload);
        break;
      case "upload.removed":
        this.#stems.remove(payload.uploadId);
        break;
      case "export.progress":
        this.#mixdowns.heard(payload);
        break;
      case "export.removed":
        this.#mixdowns.remove(payload.exportId);
        break;
    }
  }

  // There is nothing to come back to.
  close() {
    this.#stems.close();
    this.#mixdowns.close();
  }
}

// Stems are heard together. A mixdown is heard alone: it silences everything else, and is silenced by it.
function silenceBeside(sound) {
  const isMixdown = (each) => part("mixdowns").contains(each);
  for (const each of document.querySelectorAll("audio")) {
    if (each !== sound && (isMixdown(each) || isMixdown(sound))) each.pause();
  }
}
