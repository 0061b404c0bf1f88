// Recordings that were not finished, because the browser was closed or crashed, or the studio could not be reached:
// whoever comes back is asked what to do with them.

import { button, element, styled } from "../controls/elements.js";
import { Problem } from "../controls/api.js";
import { timeInWords } from "../controls/quantities.js";
import { lengthOf, OpenRecording } from "../uploading/open_recording.js";
import { RecordingStore } from "../uploading/recording_store.js";

const LATER = "It stays in this browser. You are asked again when you open this session here.";
const THROWN_AWAY = "The recording was thrown away.";
const BROKEN = "That did not work. Try again.";
const LINK_MS = 60_000;

// Ask about each one of `memberId` in this session. `put(upload)` gets what is kept.
export async function offerUnfinished({ host, sessionId, memberId, put = () => {}, lost }) {
  const store = await RecordingStore.open();
  for (const recording of await store.unfinished(sessionId, memberId)) {
    const open = await OpenRecording.resume(store, recording);
    if (open !== null) new Offer(host, open, { put, lost });
  }
}

// What can be done with a recording that the studio has not taken: words and what they do. `gone(words)` when it is
// dealt with.
export function rescues(open, { again, gone }) {
  const acts = [
    ["Try again", again],
    ["Save as a file", () => saveAsFile(open)],
    ["Throw it away", async () => {
      await open.abandon();
      gone(THROWN_AWAY);
    }],
  ];
  if (open.isSafe) acts.push(["Later", () => gone(LATER)]);
  return acts;
}

class Offer {
  #open;
  #told;
  #line;
  #words = element("p", { role: "status" });
  #fault = element("p", { class: "fault", role: "alert", hidden: true });
  #acts = element("div", { class: "rec-row" });

  constructor(host, open, told) {
    this.#open = open;
    this.#told = told;
    styled(new URL("../recording.css", import.meta.url));
    this.#line = element("section", { class: "recording", "aria-label": "Unfinished recording" }, this.#words, this.#fault, this.#acts);
    host.append(this.#line);
    // So that a screen reader says it, it comes after the place where it is said.
    this.#words.textContent = `A recording of ${timeInWords(lengthOf(open.recording))} was not finished: ${open.recording.name}.`;
    this.#offer([
      ["Keep it", () => this.#keep()],
      ["Save as a file", () => saveAsFile(open)],
      ["Throw it away", () => this.#throwAway()],
    ]);
  }

  async #keep() {
    this.#fail("");
    this.#words.textContent = "Saving…";
    this.#offer([]);
    try {
      this.#told.put(await this.#open.finish());
      this.#end(`Saved: ${this.#open.recording.name}.`);
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 401) this.#told.lost(problem);
      if (!(problem instanceof Problem)) console.error(problem);
      this.#words.textContent = "";
      this.#fail(problem instanceof Problem ? problem.message : BROKEN);
      this.#offer(rescues(this.#open, { again: () => this.#keep(), gone: (words) => this.#end(words) }));
    }
  }

  async #throwAway() {
    await this.#open.abandon();
    this.#end(THROWN_AWAY);
  }

  #end(words) {
    this.#words.textContent = words;
    this.#offer([["Close", () => this.#line.remove()]]);
  }

  #offer(acts) {
    const hadFocus = this.#line.contains(document.activeElement);
    this.#acts.replaceChildren(...acts.map(([words, act]) => button(words, act)));
    if (hadFocus) this.#acts.firstElementChild?.focus();
  }

  #fail(words) {
    this.#fault.textContent = words;
    this.#fault.hidden = !words;
  }
}

async function saveAsFile(open) {
  const address = URL.createObjectURL(await open.file());
  element("a", { href: address, download: `${open.recording.name}.wav` }).click();
  setTimeout(() => URL.revokeObjectURL(address), LINK_MS);
}
