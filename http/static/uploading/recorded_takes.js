// The takes of one recording until the studio has them: one, or in a loop one for each pass. They belong to one track.
//
// All are kept in the browser and sent as they come. They become takes of the track when the recording is over, in their
// order; the last one is then the take that is heard.

import { lengthOf, OpenRecording } from "./open_recording.js";

export class RecordedTakes {
  #store;
  // Those that the studio does not have, in their order.
  #open;
  #landed = [];
  #first;
  #isSending = false;

  constructor(store, open = []) {
    this.#store = store;
    this.#open = open;
    this.#first = open[0] ?? null;
  }

  // Go on with those of one recording that was not finished, in their order. Null when another tab has them.
  static async resume(store, recordings) {
    const open = [];
    for (const recording of recordings) open.push(await OpenRecording.resume(store, recording));
    const free = open.filter((each) => each !== null);
    return free.length === 0 ? null : new RecordedTakes(store, free);
  }

  // Whether they outlive the tab.
  get isSafe() {
    return this.#store.isSafe;
  }

  get isEmpty() {
    return this.count === 0;
  }

  // How many there are, with those that the studio has already.
  get count() {
    return this.#recordings.length;
  }

  get seconds() {
    return this.#recordings.reduce((total, recording) => total + lengthOf(recording), 0);
  }

  // Of the first and the last one.
  get names() {
    return [this.#recordings[0].name, this.#recordings.at(-1).name];
  }

  // The next one begins: `about` as in `OpenRecording.begin`. What the store keeps of it.
  begin(about) {
    const open = OpenRecording.begin(this.#store, about, this.#first);
    this.#first ??= open;
    this.#open.push(open);
    return open.recording;
  }

  // Of the one that began last.
  add(pieces) {
    this.#open.at(-1).add(pieces);
  }

  // Send what can be sent now, also of earlier ones that could not be sent before. Never raises.
  async send() {
    if (this.#isSending) return;
    this.#isSending = true;
    for (const open of [...this.#open]) await open.send();
    this.#isSending = false;
  }

  // Throw the one away that began last.
  async drop() {
    const open = this.#open.pop();
    if (open === this.#first) this.#first = null;
    await open?.abandon();
  }

  // Send the rest. `told`: `sending(number)`, from 1, and `landed(upload)` for each. Errors: `Problem`; then those that the
  // studio does not have are still here, and may be tried again.
  async finish({ sending = () => {}, landed = () => {} } = {}) {
    while (this.#open.length > 0) {
      const [open, ...rest] = this.#open;
      sending(this.#landed.length + 1);
      const upload = await open.finish({
        isHeard: rest.length === 0,
        // Kept before this one is forgotten here: after a crash, the others still know their track.
        landed: ({ takeOf }) => Promise.all(rest.map((each) => each.belongTo(takeOf))),
      });
      this.#open = rest;
      this.#landed.push(open.recording);
      landed(upload);
    }
  }

  // Throw away what the studio does not have.
  async abandon() {
    for (const open of this.#open.splice(0)) await open.abandon();
  }

  // As files, `{ name, blob }` each, for whoever cannot upload them.
  async files() {
    const files = [];
    for (const open of this.#open) files.push({ name: `${open.recording.name}.wav`, blob: await open.file() });
    return files;
  }

  get #recordings() {
    return [...this.#landed, ...this.#open.map(({ recording }) => recording)];
  }
}

// Of all these recordings, those that belong together, each in its order.
export function byRun(recordings) {
  const runs = new Map();
  for (const recording of recordings) {
    const run = recording.run ?? recording.id;
    runs.set(run, [...(runs.get(run) ?? []), recording]);
  }
  return [...runs.values()].map((run) => run.sort((one, other) => one.pass - other.pass));
}
