// The session's mixdowns, newest first, kept as the studio has them: by what the room says, and by asking meanwhile.
//
// The room says how far each of them is; for everything else the list is read, once at a time. While one is in the
// making the list is read again and again, often when nobody tells, and seldom otherwise: news may be lost.

import { ask } from "../controls/api.js";
import { LogicalClock } from "../room/collection.js";
import { Comparing } from "./comparing.js";
import { Mixdown } from "./mixdown.js";
import { Rendering } from "./rendering.js";

const UNTOLD_EVERY_MS = 1_000;
const TOLD_EVERY_MS = 10_000;
// The older ones are shown when asked for.
const SHOWN = 5;
const CANCELLED = "The mixdown was cancelled.";
const REMOVED = "The mixdown is removed.";
const NEWS = {
  pending: "",
  processing: "The mixdown is being rendered.",
  completed: "The mixdown is ready.",
  failed: "The mixdown has failed.",
};

const part = (id) => document.getElementById(id);

export class Mixdowns {
  #sessionId;
  #myId;
  #rights;
  #told;
  #rendering;
  #list = part("mixdowns");
  #mixdowns = new Map();
  #clock = new LogicalClock();
  #comparing = new Comparing({
    changed: (ids) => this.#drawCompared(ids),
    played: () => this.#told.played(),
    say: (words) => this.#say(words),
  });
  #sharing = null;
  #isClosed = false;
  #isAll = false;
  // Whether the list was ever read; whether it cannot be read now.
  #isRead = false;
  #isUnread = false;
  // Whether it is to be read anew; the reading that is under way; the timer of the next.
  #isWanted = false;
  #reading = null;
  #watching = 0;

  // `told`: `isTold()` whether the room says what happens, `asked(userId)` when that other person has asked for one, `made()`
  // when one is ready, `played()` when two begin to play in turn, `lost(problem)` whether a problem ends everything.
  constructor(sessionId, myId, rights, told) {
    this.#sessionId = sessionId;
    this.#myId = myId;
    this.#rights = rights;
    this.#told = told;
    this.#rendering = new Rendering(sessionId, { asked: (export_) => this.#asked(export_), lost: told.lost });
    part("mixdowns-all").addEventListener("click", () => this.#showAll());
  }

  // Make it what the studio has. Passing problems pass.
  refresh() {
    this.#isWanted = true;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
      if (this.#isWanted) this.refresh();
    });
    return this.#reading;
  }

  // How far one is, as the room says.
  async heard({ exportId, sessionId, status, progress, errorMessage = null }) {
    if (this.#isClosed || sessionId !== this.#sessionId) return;
    const there = this.#mixdowns.get(exportId);
    if (there?.isInTheMaking && status !== "completed") {
      this.#clock.note(exportId);
      this.#change(there, { status, progress, errorMessage });
      this.#watch();
      return;
    }
    // What it is, or what was measured of it, only the list says.
    await this.refresh();
    const userId = this.#mixdowns.get(exportId)?.userId;
    if (!there && status === "pending" && userId && userId !== this.#myId) this.#told.asked(userId);
  }

  // Somebody has removed it.
  remove(exportId) {
    this.#clock.note(exportId);
    this.#drop(exportId);
    this.#drawList();
  }

  // There is nothing to come back to.
  close() {
    this.#isClosed = true;
    clearTimeout(this.#watching);
    this.#comparing.close();
    this.#sharing?.then((dialog) => dialog.close());
    for (const mixdown of this.#mixdowns.values()) mixdown.close();
    this.#list.hidden = part("mixing").hidden = true;
    part("mixdown-status").textContent = "";
  }

  // Something else is heard now.
  pause() {
    this.#comparing.pause();
  }

  // Show the links to the newest finished mixdown. False when there is none.
  share() {
    const newest = this.#playable[0];
    if (newest) this.#share(newest.export);
    return newest !== undefined;
  }

  // Its dialog is loaded when it is first wanted.
  async #share(export_) {
    const { mayChange } = this.#rights;
    this.#sharing ??= import("./share.js").then(({ ShareDialog }) => new ShareDialog({ mayChange, lost: this.#told.lost }));
    (await this.#sharing).open(export_);
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  async #read() {
    while (this.#isWanted && !this.#isClosed) {
      this.#isWanted = false;
      await this.#readOnce();
    }
    this.#isWanted = false;
    this.#watch();
  }

  async #readOnce() {
    const since = this.#clock.count;
    try {
      const { exports } = await ask("GET", `/api/export?${new URLSearchParams({ sessionId: this.#sessionId })}`);
      this.#replace(exports, since);
      if (this.#isUnread) this.#fail("");
      this.#isUnread = false;
    } catch (problem) {
      if (this.#isClosed || this.#told.lost(problem) || problem.isPassing) return;
      this.#isUnread = true;
      this.#fail(problem.message);
    }
  }

  #watch() {
    clearTimeout(this.#watching);
    if (this.#isClosed || ![...this.#mixdowns.values()].some((each) => each.isInTheMaking)) return;
    const again = () => (document.visibilityState === "visible" ? this.refresh() : this.#watch());
    this.#watching = setTimeout(again, this.#told.isTold() ? TOLD_EVERY_MS : UNTOLD_EVERY_MS);
  }

  #replace(exports, since) {
    if (this.#isClosed) return;
    const isSilentOn = (id) => this.#clock.isSilentOn(id, since);
    const there = new Set(exports.map(({ exportId }) => exportId));
    for (const id of [...this.#mixdowns.keys()]) if (!there.has(id) && isSilentOn(id)) this.#drop(id);
    for (const each of exports) if (isSilentOn(each.exportId)) this.#put(each);
    this.#isRead = true;
    this.#drawList();
  }

  // --- what there is -------------------------------------------------------------------------------------------------

  #asked(export_) {
    if (this.#isClosed) return;
    // The room may have told more of it already.
    if (!this.#mixdowns.has(export_.exportId)) {
      this.#clock.note(export_.exportId);
      this.#put(export_);
      this.#drawList();
    }
    if (!this.#mixdowns.get(export_.exportId).isInTheMaking) this.#rendering.settle();
    this.#watch();
  }

  #put(export_) {
    const there = this.#mixdowns.get(export_.exportId);
    if (there) this.#change(there, export_);
    else this.#add(export_);
  }

  #add(export_) {
    const mixdown = new Mixdown(export_, this.#rights, {
      again: (format) => this.#renderAgain(format),
      removed: (wasMaking) => this.#removedHere(export_.exportId, wasMaking),
      share: (export_) => this.#share(export_),
      compare: (export_) => this.#comparing.toggle(export_),
      lost: this.#told.lost,
    });
    const isOlder = (row) => this.#mixdowns.get(row.dataset.id).createdAt < mixdown.createdAt;
    const after = [...this.#list.children].find(isOlder);
    this.#mixdowns.set(export_.exportId, mixdown);
    this.#list.insertBefore(mixdown.row, after ?? null);
  }

  #change(mixdown, change) {
    const before = mixdown.status;
    mixdown.put(change);
    this.#drawStatus();
    if (mixdown.status === before) return;
    this.#drawComparable();
    this.#say(NEWS[mixdown.status]);
    if (!mixdown.isInTheMaking) this.#rendering.settle();
    if (mixdown.status === "completed") this.#told.made();
  }

  #drop(id) {
    const mixdown = this.#mixdowns.get(id);
    if (!mixdown) return;
    // The keyboard is not left in the void.
    if (mixdown.row.contains(document.activeElement)) part("tab-mixdowns").focus();
    this.#comparing.drop(id);
    this.#mixdowns.delete(id);
    mixdown.close();
    if (!mixdown.isInTheMaking) return;
    this.#rendering.settle();
    this.#rendering.note(CANCELLED);
  }

  #removedHere(id, wasMaking) {
    this.remove(id);
    this.#rendering.note(wasMaking ? CANCELLED : REMOVED);
    part(wasMaking ? "render-go" : "tab-mixdowns").focus();
  }

  #renderAgain(format) {
    part("render-go").focus();
    this.#rendering.render(format);
  }

  // --- drawing -------------------------------------------------------------------------------------------------------

  #drawList() {
    const rows = [...this.#list.children];
    rows.forEach((row, place) => {
      this.#mixdowns.get(row.dataset.id).isNewest = place === 0;
      row.hidden = place >= SHOWN && !this.#isAll;
    });
    this.#drawStatus();
    this.#drawComparable();
    part("no-mixdowns").hidden = !this.#isRead || rows.length > 0;
    this.#list.hidden = rows.length === 0;
    part("mixdowns-all").hidden = rows.length <= SHOWN || this.#isAll;
    part("mixdowns-all").textContent = `Show all ${rows.length}`;
  }

  // Those that can be heard, newest first.
  get #playable() {
    const all = [...this.#list.children].map((row) => this.#mixdowns.get(row.dataset.id));
    return all.filter((mixdown) => mixdown.isPlayable);
  }

  #drawComparable() {
    const isComparable = this.#playable.length > 1;
    for (const mixdown of this.#mixdowns.values()) mixdown.isComparable = isComparable;
  }

  #drawCompared(ids) {
    for (const [id, mixdown] of this.#mixdowns) mixdown.isCompared = ids.includes(id);
  }

  // The newest one's line, which is seen from every tab.
  #drawStatus() {
    const newest = this.#mixdowns.get(this.#list.children[0]?.dataset.id);
    part("mixdown-status").textContent = newest && !this.#isClosed ? `Status: ${newest.statusInWords}` : "";
  }

  #showAll() {
    this.#isAll = true;
    this.#drawList();
    this.#list.children[SHOWN].querySelector(":is(a, button):not([hidden])")?.focus();
  }

  // For whoever does not see the page.
  #say(words) {
    part("mixdowns-news").textContent = words;
  }

  #fail(words) {
    part("mixdowns-problem").textContent = words;
    part("mixdowns-problem").hidden = !words;
  }
}
