// What happened in the session, newest first. It is read when its tab is opened, and then kept up to date by what the room
// says. Before, it only says that there is something new.

import { ask } from "../controls/api.js";
import { ActivityItem } from "./activity_item.js";

const PAGE = 30;

const part = (id) => document.getElementById(id);

export class Activity {
  #path;
  #myId;
  #rights;
  #told;
  #list = part("activity");
  // By id, newest first, as on the page.
  #items = new Map();
  #before = null;
  // What was heard while the list was being read: the answer may be older.
  #heard = [];
  #isReading = false;
  #isWanted = false;
  #isOlderWanted = false;
  #isOpen = false;
  #isClosed = false;

  // `rights` are those of `room/roster.js`. `told`: `undone()` when something was undone here, `lost(problem)` whether a problem
  // ends everything.
  constructor(sessionId, myId, rights, told) {
    this.#path = `/api/sessions/${sessionId}/activity`;
    this.#myId = myId;
    this.#rights = rights;
    this.#told = told;
    part("activity-older").addEventListener("click", () => this.#showOlder());
  }

  // Somebody did something, as the room says.
  heard(event) {
    if (!this.#isOpen) return;
    if (this.#isReading) this.#heard.push(event);
    this.#put(event);
    if (event.actor.id !== this.#myId) this.#say("Somebody did something.");
  }

  // Its tab is seen: from now on it is kept as the studio has it.
  open() {
    if (this.#isClosed) return;
    this.#isOpen = true;
    this.refresh();
  }

  // Make it what the studio has. Passing problems pass.
  async refresh() {
    this.#isWanted = true;
    if (this.#isReading || !this.#isOpen) return;
    this.#isReading = true;
    while (this.#isWanted && !this.#isClosed) {
      this.#isWanted = false;
      this.#heard = [];
      await this.#read();
    }
    this.#isReading = false;
    if (this.#isOlderWanted) this.#showOlder();
  }

  // There is nothing to come back to.
  close() {
    this.#isClosed = true;
    this.#isOpen = false;
    this.#list.replaceChildren();
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  async #read() {
    const page = await this.#ask(null);
    if (!page || !this.#isOpen) return;
    const ids = [...this.#items.keys()];
    const last = page.events.at(-1)?.id;
    // What was shown further down stays, when nothing is missing between.
    const older = ids.includes(last) ? ids.slice(ids.indexOf(last) + 1) : [];
    if (older.length === 0) this.#before = page.nextBefore;
    const kept = older.map((id) => this.#items.get(id));
    const read = page.events.map((event) => this.#itemOf(event));
    this.#items = new Map([...read, ...kept].map((item) => [item.event.id, item]));
    for (const event of this.#heard) this.#put(event);
    this.#draw();
  }

  async #showOlder() {
    this.#isOlderWanted = this.#isReading;
    if (this.#isReading || !this.#before) return;
    this.#isReading = true;
    const page = await this.#ask(this.#before);
    this.#isReading = false;
    if (page && this.#isOpen) {
      const isFirst = this.#items.size;
      for (const event of page.events) this.#items.set(event.id, this.#itemOf(event));
      this.#before = page.nextBefore;
      this.#draw();
      if (!this.#before) [...this.#items.values()][isFirst]?.focus();
    }
    if (this.#isWanted) this.refresh();
  }

  // A page of events; nothing when there is a problem.
  async #ask(before) {
    const query = new URLSearchParams({ limit: PAGE, ...(before && { before }) });
    try {
      const page = await ask("GET", `${this.#path}?${query}`);
      this.#fail("");
      return page;
    } catch (problem) {
      if (this.#isClosed || this.#told.lost(problem)) return null;
      if (!problem.isPassing || this.#items.size === 0 || before) this.#fail(problem.message);
      return null;
    }
  }

  // --- what there is -------------------------------------------------------------------------------------------------

  #put(event) {
    const isNew = !this.#items.has(event.id);
    const item = this.#itemOf(event);
    if (isNew) this.#items = new Map([[event.id, item], ...this.#items]);
    if (isNew && event.field !== null) this.#outdate(event);
    this.#draw();
  }

  // What was done to the same thing before cannot be undone any more.
  #outdate({ id, subjectId, field, kind, undoes, actor }) {
    for (const [otherId, item] of this.#items) {
      if (otherId === id || item.event.subjectId !== subjectId) continue;
      if (otherId === undoes) item.put({ undo: null, undoneBy: actor });
      else if (item.event.field === field || kind === "upload.removed") item.put({ undo: null });
    }
    // What can be undone again, only the studio knows.
    if (kind === "upload.restored") this.refresh();
  }

  #itemOf(event) {
    const there = this.#items.get(event.id);
    if (there) {
      there.put(event);
      return there;
    }
    return new ActivityItem(event, this.#rights, {
      undone: (undoing) => this.#undoneHere(undoing),
      stale: () => this.refresh(),
      lost: this.#told.lost,
    });
  }

  #undoneHere(event) {
    this.#told.undone();
    if (!this.#isOpen) return;
    if (this.#isReading) this.#heard.push(event);
    this.#put(event);
    this.#items.get(event.id).focus();
    this.#say("It is undone.");
  }

  // --- drawing -------------------------------------------------------------------------------------------------------

  #draw() {
    const rows = [...this.#items.values()].map(({ row }) => row);
    const there = new Set(rows);
    for (const row of [...this.#list.children]) if (!there.has(row)) row.remove();
    rows.forEach((row, place) => {
      if (this.#list.children[place] !== row) this.#list.insertBefore(row, this.#list.children[place] ?? null);
    });
    this.#list.hidden = rows.length === 0;
    part("activity-reading").hidden = true;
    part("no-activity").hidden = rows.length > 0;
    part("activity-older").hidden = !this.#before;
  }

  // For whoever does not see the page.
  #say(words) {
    part("activity-news").textContent = words;
  }

  #fail(words) {
    if (words) part("activity-reading").hidden = true;
    part("activity-problem").textContent = words;
    part("activity-problem").hidden = !words;
  }
}
