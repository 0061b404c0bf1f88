// The music of the session, as the page has it: tracks with their takes, markers, comments, and what is mine alone of it.
// No DOM. Whoever shows or plays it listens to its events:
//
//   tracks     which there are, their order, names or chosen takes are others
//   mix        how something is heard is another; `detail.uploadId` says of which, null: of all (solo, my volume)
//   length     `lengthSeconds` is another
//   markers, comments, people, tempo
//
// Changes are shown and heard at once, and put back when the studio refuses them.

import { allAnswered, ask } from "../controls/api.js";
import { endsAt_s, groupTracks, isSound, takesBeside } from "./arrangement.js";
import { Annotations, Collection } from "./collection.js";
import { Edits, Mine } from "./edits.js";
import { colourClass } from "./roster.js";

const PAGE = 200;
// They change where a track stands or which upload is heard of it, not only how.
const ORDER = ["takeOf", "name", "position", "chosen"];

export class Song extends EventTarget {
  #id;
  #myId;
  #told;
  #uploads;
  annotations;
  #edits = new Map();
  #people = new Map();
  #mine;
  #tracks = null;
  #length_s = 0;
  #isClosed = false;
  // Whether it could not be read the last time.
  #isUnread = false;
  // The undo that was asked for last: one at a time.
  #undoing = Promise.resolve();

  // `session`: `{ id, tempoBpm, beatsPerBar }`. `told.lost(problem)` says whether that problem ends everything;
  // `told.failed(words)` hears why something cannot be read, and nothing when it can be again.
  constructor(session, myId, told, storage = globalThis.localStorage) {
    super();
    this.#id = session.id;
    this.#myId = myId;
    this.#told = told;
    this.tempoBpm = session.tempoBpm;
    this.beatsPerBar = session.beatsPerBar;
    const ofSession = { sessionId: session.id, limit: PAGE };
    this.#uploads = new Collection("/api/upload/list", "uploads", ofSession, ({ upload }) => upload);
    this.annotations = new Annotations(session.id, (name) => this.#emit(name));
    this.#mine = new Mine(session.id, storage);
  }

  get id() {
    return this.#id;
  }

  get myId() {
    return this.#myId;
  }

  // --- what there is -------------------------------------------------------------------------------------------------

  // `{ id, name, color, takes, chosen, userId, position }` in their order, with what is changed here.
  get tracks() {
    this.#tracks ??= groupTracks(this.#effective()).map((track) => ({ ...track, color: colourClass(track.userId) }));
    return this.#tracks;
  }

  track(trackId) {
    return this.tracks.find(({ id }) => id === trackId);
  }

  // What has no sound, newest first.
  get files() {
    const files = this.#uploads.all.filter((upload) => !isSound(upload));
    return files.sort((one, other) => new Date(other.createdAt) - new Date(one.createdAt));
  }

  // What `Player.setTracks` wants: of each track the take that is heard, and whether it is.
  sounding() {
    return this.tracks.map(({ id, chosen }) => ({ ...chosen, id, uploadId: chosen.id, segments: null, isHeard: this.isHeard(id) }));
  }

  get markers() {
    return this.annotations.markers;
  }

  get comments() {
    return this.annotations.comments;
  }

  get lengthSeconds() {
    return Math.max(0, ...this.tracks.map(({ chosen }) => endsAt_s(chosen)));
  }

  upload(uploadId) {
    return this.#uploads.get(uploadId);
  }

  // The upload as it is to be heard now.
  mix(uploadId) {
    const upload = this.#uploads.get(uploadId);
    return upload && { ...upload, ...this.#edits.get(uploadId)?.values };
  }

  // "" when nobody knows.
  nameOf(userId) {
    return this.#people.get(userId) ?? "";
  }

  // The same, of somebody whom nothing here is by yet.
  async learnName(userId) {
    if (!this.#people.has(userId)) await this.#readPeople([userId]).catch(() => {});
    return this.nameOf(userId);
  }

  // --- changing it ---------------------------------------------------------------------------------------------------

  // Shown and heard here while the hand moves. Not sent.
  hold(uploadId, patch) {
    this.#editsOf(uploadId).hold(patch);
  }

  // What was held of it is put back: all of it, or these values.
  release(uploadId, names) {
    this.#edits.get(uploadId)?.release(names);
  }

  // Errors: the `Problem` with which it was refused; it is put back then.
  async change(uploadId, patch) {
    try {
      await this.#editsOf(uploadId).change(patch);
    } catch (problem) {
      if (problem.code === "upload_not_found") this.remove(uploadId);
      else if (this.#told.lost(problem)) return;
      throw problem;
    }
  }

  // Put it into the bin, for everybody. Errors: `Problem`.
  async discard(uploadId) {
    this.#edits.get(uploadId)?.drop();
    try {
      await ask("DELETE", `/api/upload/${uploadId}`);
    } catch (problem) {
      if (problem.code !== "upload_not_found") throw problem;
    }
    this.remove(uploadId);
  }

  // Undo what I have done last, or do it again. The event of it; null when there is none. Errors: `Problem`.
  undo(isAgain = false) {
    const undoing = this.#undoing.then(() => this.#undo(isAgain));
    this.#undoing = undoing.catch(() => {});
    return undoing;
  }

  async #undo(isAgain) {
    const { redoMyLast, undoMyLast } = await import("./own_undo.js");
    // What is on its way to the studio is not in its activity yet.
    await allAnswered();
    const event = await (isAgain ? redoMyLast : undoMyLast)(this.#id, this.#myId);
    // The room tells of it, but only those who are in it.
    if (event) await this.refresh();
    return event;
  }

  // --- mine alone ----------------------------------------------------------------------------------------------------

  solo(trackId, on) {
    this.#mine.solo(trackId, on);
    this.#emit("mix", { uploadId: null });
  }

  isSoloed(trackId) {
    return this.#mine.isSoloed(trackId);
  }

  // Whether it is to be heard here. What is soloed is heard alone; what is muted is heard by nobody.
  isHeard(trackId) {
    const track = this.track(trackId);
    if (!track || track.chosen.muted) return false;
    return this.isSoloed(trackId) || !this.tracks.some(({ id }) => this.isSoloed(id));
  }

  get myVolumeDb() {
    return this.#mine.volumeDb;
  }

  set myVolumeDb(volumeDb) {
    this.#mine.volumeDb = volumeDb;
    this.#emit("mix", { uploadId: null });
  }

  // --- kept as the studio has it -------------------------------------------------------------------------------------

  // Passing problems pass.
  async refresh() {
    if (this.#isClosed) return;
    try {
      await Promise.all([this.#readUploads(), this.annotations.read()]);
      // What somebody was told of something else stays.
      if (this.#isUnread) this.#told.failed("");
      this.#isUnread = false;
      await this.#readPeople();
    } catch (problem) {
      if (this.#isClosed || this.#told.lost(problem) || problem.isPassing) return;
      this.#isUnread = true;
      this.#told.failed(problem.message);
    }
  }

  async #readUploads() {
    await this.#uploads.read();
    if (this.#isClosed) this.#uploads.clear();
    this.#changed("tracks");
  }

  // What the room says of the session's music. Whether it was that.
  heard(type, payload) {
    if (type === "upload.removed") this.remove(payload.uploadId);
    else if (type === "upload.added" || type === "upload.changed") this.put(payload);
    else if (type === "session.updated") this.#setTempo(payload.session ?? payload);
    else return this.annotations.heard(type, payload);
    return true;
  }

  // It is there, as it is now.
  put(upload) {
    if (this.#isClosed || upload.sessionId !== this.#id) return;
    const before = this.#uploads.get(upload.id);
    for (const take of [upload, ...takesBeside(upload, this.#uploads.all)]) this.#uploads.put(take);
    const isOrder = !before || ORDER.some((name) => before[name] !== upload[name]);
    this.#changed(isOrder ? "tracks" : "mix", upload.id);
    if (!before && !this.#people.has(upload.userId)) this.#readPeople();
  }

  // It is there no more.
  remove(uploadId) {
    this.#edits.delete(uploadId);
    if (this.#uploads.remove(uploadId)) this.#changed("tracks", uploadId);
  }

  // Ask how it is now, for whom the room does not tell. Errors: `Problem`.
  async reread(uploadId) {
    this.put((await ask("GET", `/api/upload/${uploadId}`)).upload);
  }

  // There is nothing to come back to.
  close() {
    this.#isClosed = true;
    this.#uploads.clear();
    this.annotations.close();
    this.#changed("tracks");
  }

  #editsOf(uploadId) {
    if (!this.#edits.has(uploadId)) {
      let last = {};
      this.#edits.set(uploadId, new Edits({
        known: () => this.#uploads.get(uploadId) ?? {},
        changed: () => {
          const values = this.#edits.get(uploadId)?.values ?? {};
          const isOrder = ORDER.some((name) => name in values || name in last);
          last = values;
          this.#changed(isOrder ? "tracks" : "mix", uploadId);
        },
        send: (patch) => ask("PATCH", `/api/upload/${uploadId}`, patch),
        answered: ({ upload }) => this.put(upload),
      }));
    }
    return this.#edits.get(uploadId);
  }

  // All uploads with what is changed here. Of a track, one is chosen, and all takes have its name and its position.
  #effective() {
    const uploads = this.#uploads.all.map(({ id }) => this.mix(id));
    for (const [id, edits] of this.#edits) {
      const { name, position, chosen } = edits.values;
      if (name === undefined && position === undefined && !chosen) continue;
      const { takeOf } = this.mix(id) ?? {};
      for (const take of uploads) {
        if (take.takeOf !== takeOf) continue;
        if (name !== undefined) take.name = name;
        if (position !== undefined) take.position = position;
        if (chosen) take.chosen = take.id === id;
      }
    }
    return uploads;
  }

  #changed(name, uploadId = null) {
    this.#tracks = null;
    this.#emit(name, { uploadId });
    if (this.lengthSeconds === this.#length_s) return;
    this.#length_s = this.lengthSeconds;
    this.#emit("length");
  }

  #setTempo({ tempoBpm = this.tempoBpm, beatsPerBar = this.beatsPerBar }) {
    if (tempoBpm === this.tempoBpm && beatsPerBar === this.beatsPerBar) return;
    this.tempoBpm = tempoBpm;
    this.beatsPerBar = beatsPerBar;
    this.#emit("tempo");
  }

  // Who has brought something in is named also while they are not in the room.
  async #readPeople(others = []) {
    const wanted = [...others, ...this.#uploads.all.map(({ userId }) => userId)];
    if (this.#isClosed || wanted.every((userId) => this.#people.has(userId))) return;
    const { owner, collaborators } = await ask("GET", `/api/sessions/${this.#id}/collaborators`);
    for (const { id, name, email } of [owner, ...collaborators]) this.#people.set(id, name || email?.split("@")[0] || "");
    // Somebody who has left the session: nobody knows any more.
    for (const userId of wanted) if (!this.#people.has(userId)) this.#people.set(userId, "");
    this.#emit("people");
  }

  #emit(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
