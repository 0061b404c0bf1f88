// The timeline of a session: joins its parts, and is what the rest of the page speaks to.

import { TimelineParts } from "../later.js";
import { LATEST_S, positionAt } from "../room/arrangement.js";
import { Sendings } from "../uploading/sending.js";
import { Marks } from "./marks.js";
import { Playheads, Ruler } from "./ruler.js";
import { TrackRow } from "./track_row.js";
import { View } from "./view.js";

const LISTENING = "You are a listener here. The owner can make you an editor, who adds files.";
const TYPING = "input:not([type='checkbox'], [type='radio'], [type='range'], [type='file']), textarea, select, [contenteditable]";
// What they press on the track that has the focus.
const TRACK_KEYS = { m: "mute", s: "solo" };
// Beside the screen, so that what is scrolled to is drawn already.
const MARGIN = "240px";

const part = (id) => document.getElementById(id);

export class Timeline {
  #root;
  #song;
  #conductor;
  #rights;
  #roster;
  #panels;
  #view;
  #ruler;
  #marks;
  #playheads;
  #sendings;
  #rows = new Map();
  // Why uploads are not heard, by their ids.
  #unheard = new Map();
  #seen;
  #later;
  #desk;

  // `song`, `conductor`, `player`, `rights`, `roster` as in their modules. `panels`: `openComment(id)`, `record(trackId)`.
  constructor(root, { song, conductor, player, rights, roster, memberId, panels }) {
    [this.#root, this.#song, this.#conductor] = [root, song, conductor];
    [this.#rights, this.#roster, this.#panels] = [rights, roster, panels];
    this.#view = new View(part("timeline-scroller"), conductor.tempoBpm, conductor.beatsPerBar);
    this.#desk = {
      song, conductor, player, rights,
      view: this.#view,
      nameOf: (userId) => this.#nameOf(userId),
      whyUnheard: (uploadId) => this.#unheard.get(uploadId) ?? "",
      say: (words) => this.say(words),
      fail: (words) => this.fail(words),
      inspect: (trackId, from) => this.#later.inspect(trackId, from),
      reorder: (trackId, place) => this.#reorder(trackId, place),
      remove: (uploadId) => this.#remove(uploadId),
      record: (trackId) => this.#panels.record?.(trackId),
    };
    this.#later = new TimelineParts(this.#desk, {
      inspected: (shownId) => this.#rows.forEach((row, id) => (row.isInspected = id === shownId)),
      settle: (upload) => this.#sendings.settle(upload),
    });
    this.#ruler = new Ruler(this.#view, conductor, () => conductor.canMove !== false);
    this.#marks = new Marks(this.#desk, {
      edit: (marker) => this.#later.openForm({ marker }),
      openComment: (id) => this.#panels.openComment?.(id),
      failed: (problem) => this.fail(problem.message),
      say: (words) => this.say(words),
    });
    this.#playheads = new Playheads([part("playheads"), part("heads")], this.#desk, () => this.#rows.values(), {
      at: (beat) => this.#ruler.tell(beat),
      turn: (left_px) => (part("timeline-scroller").scrollLeft = left_px),
    });
    this.#sendings = new Sendings(part("sendings"), { sessionId: song.id, memberId }, (upload) => this.#arrived(upload));
    this.#seen = new IntersectionObserver((entries) => this.#note(entries), { root: part("timeline-scroller"), rootMargin: MARGIN });
    this.#listen();
    this.#wireKeys();
    this.#drawAll();
    if (rights.mayChange) this.#sendings.resume();
  }

  // --- for the rest of the page --------------------------------------------------------------------------------------

  // Bring that place into sight, and to the playhead.
  goTo({ beat, seconds }) {
    const at_s = seconds ?? this.#view.scale.secondsAt(beat);
    this.#view.show(at_s);
    this.#conductor.locate(this.#view.scale.beatAt(at_s));
  }

  // The moment of the song at that place of the screen, on a beat; 0 where there is no timeline.
  dropAt(clientX, clientY = null) {
    if (clientY !== null && !this.#view.hasLaneAt(clientX, clientY)) return 0;
    return Math.max(0, Math.min(this.#view.scale.snapped_s(this.#view.secondsAt(clientX)), LATEST_S));
  }

  // Bring these files in, so that they begin at that moment.
  add(files, begin_s = 0) {
    if (files.length === 0) return;
    this.fail("");
    if (this.#rights.mayChange) this.#sendings.add(files, begin_s);
    else this.fail(LISTENING);
  }

  // While files are dragged over the page: where they would begin. Nothing at null.
  hintDrop(event) {
    this.#view.hintDrop(this.#rights.mayChange ? event : null);
  }

  // A clip that is being recorded, mine or another's: `{ push(peaks, seconds), finish() }`.
  growingClip(options) {
    return this.#later.growingClip(options);
  }

  addMarker() {
    if (this.#rights.mayChange) this.#later.openForm({ marker: null });
  }

  addComment() {
    this.#later.openForm({ comment: true });
  }

  // For whoever does not see the page.
  say(words) {
    part("stems-news").textContent = words;
  }

  // Why something did not work; nothing when it does.
  fail(words) {
    part("stems-problem").textContent = words;
    part("stems-problem").hidden = !words;
  }

  // Why this upload is not heard, or not all of it; no words when it is again.
  tellUnheard({ uploadId, words }) {
    if (words) this.#unheard.set(uploadId, words);
    else this.#unheard.delete(uploadId);
    this.#drawMix(uploadId);
  }

  // There is nothing to come back to, or only after signing in again.
  close({ isForLater }) {
    this.#sendings.close({ isForLater });
    this.#later.close();
    this.#root.hidden = true;
    this.#seen.disconnect();
  }

  // --- what is drawn when --------------------------------------------------------------------------------------------

  #listen() {
    const song = this.#song;
    for (const name of ["tracks", "people"]) song.addEventListener(name, () => this.#drawTracks());
    song.addEventListener("mix", ({ detail }) => this.#drawMix(detail.uploadId));
    song.addEventListener("length", () => (this.#view.length_s = song.lengthSeconds));
    song.addEventListener("markers", () => this.#marks.drawMarkers());
    song.addEventListener("comments", () => this.#marks.drawPins());
    song.addEventListener("tempo", () => this.#retime());
    this.#conductor.addEventListener("change", () => this.#retime());
    this.#view.addEventListener("view", () => {
      this.#playheads.scrolled();
      this.#drawView();
    });
    this.#view.addEventListener("zoom", () => {
      this.#drawView();
      this.#playheads.wake();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const row of this.#rows.values()) row.drawWave(true);
    });
  }

  #drawAll() {
    this.#drawTracks();
    this.#view.length_s = this.#song.lengthSeconds;
    this.#marks.drawMarkers();
    this.#marks.drawPins();
    this.#retime();
  }

  // The tempo or the metre is another, or where it plays.
  #retime() {
    const { tempoBpm, beatsPerBar } = this.#conductor;
    const { scale } = this.#view;
    if (tempoBpm !== scale.tempoBpm || beatsPerBar !== scale.beatsPerBar) {
      this.#view.setTempo(tempoBpm, beatsPerBar);
      this.#drawMix(null);
      this.#marks.drawMarkers();
      this.#marks.drawPins();
    }
    this.#ruler.drawLoop();
    this.#playheads.wake();
  }

  #drawView() {
    this.#ruler.draw();
    for (const row of this.#rows.values()) row.drawWave();
  }

  #note(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get(target.dataset.id);
      if (!row) continue;
      row.isSeen = isIntersecting;
      if (isIntersecting) row.drawWave();
    }
  }

  #drawTracks() {
    const { tracks } = this.#song;
    const list = part("stems");
    const there = new Set(tracks.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (there.has(id)) continue;
      this.#seen.unobserve(row.row);
      row.close();
      this.#rows.delete(id);
    }
    const focused = document.activeElement;
    tracks.forEach((track, place) => {
      const row = this.#rows.get(track.id);
      if (row) row.put(track);
      else this.#seat(track);
      const { row: element } = this.#rows.get(track.id);
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
    });
    // What is moved loses the focus.
    if (focused !== document.activeElement && list.contains(focused)) focused.focus();
    this.#drawEmptiness();
    this.#later.draw();
  }

  #seat(track) {
    const mine = track.takes.find(({ userId }) => userId === this.#song.myId);
    if (mine) this.#sendings.settle(mine);
    const row = new TrackRow(track, this.#desk);
    this.#rows.set(track.id, row);
    this.#seen.observe(row.row);
  }

  #drawMix(uploadId) {
    for (const row of this.#rows.values()) if (uploadId === null || row.track.chosen.id === uploadId) row.drawMix();
    this.#later.drawMix();
  }

  #drawEmptiness() {
    const count = this.#rows.size;
    part("stems-count").textContent = count || "";
    part("stems").hidden = count === 0;
    part("no-stems").hidden = count > 0 || this.#song.files.length > 0;
  }

  #nameOf(userId) {
    return this.#roster.get(userId)?.displayName ?? this.#song.nameOf(userId);
  }

  // --- changing ------------------------------------------------------------------------------------------------------

  #arrived(upload) {
    this.#song.put(upload);
    this.say("It is added.");
  }

  #reorder(trackId, place) {
    const { tracks } = this.#song;
    const { name, chosen } = this.#song.track(trackId);
    this.say(`${name} is track ${place + 1} of ${tracks.length}.`);
    return this.#try(() => this.#song.change(chosen.id, { position: positionAt(tracks, trackId, place) }));
  }

  async #remove(uploadId) {
    await this.#song.discard(uploadId);
    this.say("It is removed.");
    part("stems-title").focus();
  }

  async #try(act) {
    try {
      await act();
      this.fail("");
    } catch (problem) {
      this.fail(problem.message);
    }
  }

  // --- keys and buttons ----------------------------------------------------------------------------------------------

  #wireKeys() {
    const acts = {
      "zoom-in": () => this.#view.zoomIn(),
      "zoom-out": () => this.#view.zoomOut(),
      marker: () => this.addMarker(),
      comment: () => this.addComment(),
    };
    for (const [act, does] of Object.entries(acts)) {
      this.#root.querySelector(`.ruler [data-act="${act}"]`)?.addEventListener("click", does);
    }
    this.#root.querySelector('[data-act="record-here"]')?.addEventListener("click", () => this.#panels.record?.(null));
    part("stems").addEventListener("click", (event) => {
      if (event.target.matches(".lane")) this.#conductor.locate(this.#view.scale.beatAt(this.dropAt(event.clientX)));
    });
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.target.matches(TYPING) || document.querySelector("dialog:modal")) return;
      const key = event.key.toLowerCase();
      const row = this.#rows.get(event.target.closest(".track")?.dataset.id);
      if ((event.ctrlKey || event.metaKey) && !event.altKey && ["z", "y"].includes(key) && this.#rights.mayChange) {
        this.#try(() => this.#later.undo(key === "y" || event.shiftKey));
      } else if (event.ctrlKey || event.metaKey || event.altKey) return;
      else if (key === "+" || key === "=") this.#view.zoomIn();
      else if (key === "-") this.#view.zoomOut();
      else if (row && TRACK_KEYS[key]) row.turn(TRACK_KEYS[key], event);
      else if (key === "m") this.addMarker();
      else return;
      event.preventDefault();
    });
  }
}
