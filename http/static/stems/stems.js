// The session's stems, newest first, kept as the studio has them: by what the room says, and by asking now and then.

import { ask } from "../controls/api.js";
import { LogicalClock } from "../room/logical_clock.js";
import { Sendings } from "../uploading/sending.js";
import { Stem } from "./stem.js";

const PAGE = 200;

const part = (id) => document.getElementById(id);

export class Stems {
  #sessionId;
  #myId;
  #rights;
  #lost;
  #list = part("stems");
  #sendings;
  #stems = new Map();
  #clock = new LogicalClock();
  #isClosed = false;
  #isUnread = false;

  // `rights` are those of `rights.js`; `lost(problem)` says whether that problem ends everything.
  constructor(sessionId, myId, rights, lost) {
    this.#sessionId = sessionId;
    this.#myId = myId;
    this.#rights = rights;
    this.#lost = lost;
    this.#sendings = new Sendings(part("sendings"), sessionId, (upload) => {
      this.put(upload);
      this.#say("It is added.");
    });
  }

  // Bring these files in.
  add(files) {
    if (this.#isClosed || files.length === 0) return;
    this.fail("");
    this.#sendings.add(files);
  }

  // Make it what the studio has. Passing problems pass.
  async refresh() {
    if (this.#isClosed) return;
    const since = this.#clock.count;
    try {
      this.#replace(await this.#all(), since);
      if (this.#isUnread) this.fail("");
      this.#isUnread = false;
    } catch (problem) {
      if (this.#isClosed || this.#lost(problem) || problem.isPassing) return;
      this.#isUnread = true;
      this.fail(problem.message);
    }
  }

  // It is there, as it is now.
  put(upload) {
    if (this.#isClosed || upload.sessionId !== this.#sessionId) return;
    this.#clock.note(upload.id);
    this.#draw(upload);
    this.#drawEmptiness();
  }

  // It is there no more.
  remove(uploadId) {
    this.#clock.note(uploadId);
    this.#drop(uploadId);
    this.#drawEmptiness();
  }

  // There is nothing to come back to.
  close() {
    this.#isClosed = true;
    this.#sendings.cancelAll();
    for (const id of [...this.#stems.keys()]) this.#drop(id);
    part("stems-part").hidden = true;
  }

  async #all() {
    const uploads = [];
    let before = "";
    do {
      const query = new URLSearchParams({ sessionId: this.#sessionId, limit: PAGE, ...(before && { before }) });
      const answer = await ask("GET", `/api/upload/list?${query}`);
      uploads.push(...answer.uploads.map(({ upload }) => upload));
      before = answer.nextBefore;
    } while (before);
    return uploads;
  }

  #replace(uploads, since) {
    if (this.#isClosed) return;
    const isOlder = (id) => this.#clock.isSilentOn(id, since);
    const there = new Set(uploads.map(({ id }) => id));
    for (const id of [...this.#stems.keys()]) if (!there.has(id) && isOlder(id)) this.#drop(id);
    for (const upload of uploads) if (isOlder(upload.id)) this.#draw(upload);
    this.#drawEmptiness();
  }

  #draw(upload) {
    const there = this.#stems.get(upload.id);
    if (there) {
      there.put(upload);
      return;
    }
    if (upload.userId === this.#myId) this.#sendings.settle(upload);
    const stem = new Stem(upload, this.#rights, {
      changed: (changed) => this.put(changed),
      removed: () => this.#removedHere(upload.id),
      lost: this.#lost,
    });
    const made = new Date(upload.createdAt);
    const after = [...this.#stems.values()].find((other) => new Date(other.upload.createdAt) < made);
    this.#stems.set(upload.id, stem);
    this.#list.insertBefore(stem.row, after?.row ?? null);
    this.#sort();
  }

  // `#stems` is in the order of the page, so that the next one finds its place.
  #sort() {
    const place = new Map([...this.#list.children].map((row, index) => [row.dataset.id, index]));
    this.#stems = new Map([...this.#stems].sort(([one], [other]) => place.get(one) - place.get(other)));
  }

  #drop(id) {
    this.#stems.get(id)?.close();
    this.#stems.delete(id);
  }

  #removedHere(id) {
    this.remove(id);
    this.#say("It is removed.");
    part("stems-title").focus();
  }

  #drawEmptiness() {
    part("stems-count").textContent = this.#stems.size || "";
    this.#list.hidden = this.#stems.size === 0;
    part("no-stems").hidden = this.#stems.size > 0;
  }

  // For whoever does not see the page. No file's name: it is on the page already.
  #say(words) {
    part("stems-news").textContent = words;
  }

  // Why something did not work; nothing when it does.
  fail(words) {
    part("stems-problem").textContent = words;
    part("stems-problem").hidden = !words;
  }
}
