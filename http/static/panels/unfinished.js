// Recordings that were not finished, because the browser was closed or crashed, or the studio could not be reached:
// whoever comes back is asked what to do with them.

import { button, element, styled } from "../controls/elements.js";
import { Problem } from "../controls/api.js";
import { timeInWords } from "../controls/quantities.js";
import { byRun, RecordedTakes } from "../uploading/recorded_takes.js";
import { RecordingStore } from "../uploading/recording_store.js";

const LATER = "It stays in this browser. You are asked again when you open this session here.";
const THROWN_AWAY = "The recording was thrown away.";
const BROKEN = "That did not work. Try again.";
const LINK_MS = 60_000;

// Ask about each one of `memberId` in this session, with all its takes at once. `put(upload)` gets what is kept.
export async function offerUnfinished({ host, sessionId, memberId, put = () => {}, lost }) {
  const store = await RecordingStore.open();
  for (const recordings of byRun(await store.unfinished(sessionId, memberId))) {
    const takes = await RecordedTakes.resume(store, recordings);
    if (takes === null) continue;
    // Without it, it is offered all the same.
    await styled(new URL("../recording.css", import.meta.url)).catch(() => {});
    new Offer(host, takes, { put, lost });
  }
}

// What can be done with takes that the studio has not taken: words and what they do. `gone(words)` when they are dealt
// with.
export function rescues(takes, { again, gone }) {
  const acts = [
    ["Try again", again],
    [fileInWords(takes), () => saveAsFiles(takes)],
    ["Throw it away", async () => {
      await takes.abandon();
      gone(THROWN_AWAY);
    }],
  ];
  if (takes.isSafe) acts.push(["Later", () => gone(LATER)]);
  return acts;
}

class Offer {
  #takes;
  #told;
  #line;
  #words = element("p", { role: "status" });
  #fault = element("p", { class: "fault", role: "alert", hidden: true });
  #acts = element("div", { class: "rec-row" });

  constructor(host, takes, told) {
    this.#takes = takes;
    this.#told = told;
    this.#line = element("section", { class: "recording", "aria-label": "Unfinished recording" }, this.#words, this.#fault, this.#acts);
    host.append(this.#line);
    // So that a screen reader says it, it comes after the place where it is said.
    this.#words.textContent = `A recording of ${lengthInWords(takes)} was not finished: ${namesInWords(takes)}.`;
    this.#offer([
      ["Keep it", () => this.#keep()],
      [fileInWords(takes), () => saveAsFiles(takes)],
      ["Throw it away", () => this.#throwAway()],
    ]);
  }

  async #keep() {
    this.#fail("");
    this.#words.textContent = "Saving…";
    this.#offer([]);
    try {
      await this.#takes.finish({ landed: (upload) => this.#told.put(upload) });
      this.#end(`Saved: ${namesInWords(this.#takes)}.`);
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 401) this.#told.lost(problem);
      if (!(problem instanceof Problem)) console.error(problem);
      this.#words.textContent = "";
      this.#fail(problem instanceof Problem ? problem.message : BROKEN);
      this.#offer(rescues(this.#takes, { again: () => this.#keep(), gone: (words) => this.#end(words) }));
    }
  }

  async #throwAway() {
    await this.#takes.abandon();
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

function lengthInWords(takes) {
  const time = timeInWords(takes.seconds);
  return takes.count === 1 ? time : `${takes.count} takes (${time})`;
}

function namesInWords(takes) {
  const [first, last] = takes.names;
  return takes.count === 1 ? first : `${first} to ${last}`;
}

function fileInWords(takes) {
  return takes.count === 1 ? "Save as a file" : "Save as files";
}

async function saveAsFiles(takes) {
  for (const { name, blob } of await takes.files()) {
    const address = URL.createObjectURL(blob);
    element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), LINK_MS);
  }
}
