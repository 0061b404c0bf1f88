// One track on the timeline: at the left its strip, with name, mute, solo, fader and meter; at the right the clip of the
// take that is heard, at its place and as long as it lasts.

import { gainInWords } from "../controls/quantities.js";
import { beginsAt_s, length_s } from "../room/arrangement.js";
import { colourClass, initials } from "../room/roster.js";
import { ClipHand, reorders, slides } from "./clip.js";
import { Peaks, Waveform } from "./waveform.js";

const QUIETEST_DB = -60;
const STEPS = 80;
const UNHEARD = "You do not hear all of it.";
const WORDS = { pending: "Listening to it…", none: "There is no sound in it.", there: "" };

const part = (id) => document.getElementById(id);

export class TrackRow {
  row;
  clip;
  // Whether it is on the screen, or nearly.
  isSeen = false;
  #track;
  #desk;
  #peaks = null;
  #waveform = null;
  #hand = null;
  #cover;
  #mark;
  #levels = { peak: 0, hold: 0 };
  #problem = "";

  // `desk`: what all rows share: `song`, `view`, `rights`, `nameOf(userId)`, `whyUnheard(uploadId)`, `say(words)`, `fail(words)`,
  // `inspect(trackId, from)`, `reorder(trackId, place)`.
  constructor(track, desk) {
    this.#track = track;
    this.#desk = desk;
    this.row = part("track-item").content.firstElementChild.cloneNode(true);
    this.row.dataset.id = track.id;
    this.clip = this.#find(".clip");
    const name = this.#find(".track-name");
    name.id = `track-${track.id}`;
    this.row.setAttribute("aria-labelledby", name.id);
    for (const control of this.row.querySelectorAll("button, input")) control.setAttribute("aria-describedby", name.id);
    this.#cover = this.#find(".meter-cover");
    this.#mark = this.#find(".meter-hold");
    this.#wireStrip();
    if (desk.rights.mayChange) {
      this.#hand = new ClipHand(this.clip, desk, () => this.#track.chosen, {
        moved: (what) => this.#moved(what),
        opened: () => desk.inspect(track.id, this.clip),
        failed: (problem) => this.failed(problem),
      });
    }
    this.#listen();
    this.put(track);
  }

  get track() {
    return this.#track;
  }

  // As the song has it now.
  put(track) {
    const wasChosen = this.#track.chosen.id;
    const wasPending = this.#track.chosen.durationSeconds === null;
    this.row.classList.remove(this.#track.color);
    this.#track = track;
    this.row.classList.add(track.color);
    if (track.chosen.id !== wasChosen) this.#listen();
    else if (wasPending && track.chosen.durationSeconds !== null) this.#peaks.askAnew();
    this.#drawName();
    this.drawMix();
  }

  close() {
    this.#peaks.close();
    this.#waveform.clear();
    this.row.remove();
  }

  failed(problem) {
    this.#problem = problem?.message ?? "";
    this.#drawNotes();
  }

  // Press its button `mute` or `solo`, by a key: once, however long that is held.
  turn(act, { repeat }) {
    if (!repeat) this.#find(`[data-act="${act}"]`).click();
  }

  focus() {
    this.#find('[data-act="inspect"]').focus();
  }

  set isInspected(isInspected) {
    this.#find('[data-act="inspect"]').setAttribute("aria-expanded", String(isInspected));
    this.row.classList.toggle("is-inspected", isInspected);
  }

  // --- the strip -----------------------------------------------------------------------------------------------------

  #wireStrip() {
    const { song, rights, inspect } = this.#desk;
    const fader = this.#find(".fader");
    fader.disabled = this.#find('[data-act="mute"]').disabled = !rights.mayChange;
    this.#find('[data-act="mute"]').addEventListener("click", () => this.#change({ muted: !this.#mix.muted }));
    this.#find('[data-act="solo"]').addEventListener("click", () => song.solo(this.#track.id, !song.isSoloed(this.#track.id)));
    slides(fader, "gainDb", song, { take: () => this.#track.chosen, change: (patch) => this.#change(patch) });
    const more = this.#find('[data-act="inspect"]');
    more.addEventListener("click", () => inspect(this.#track.id, more));
    if (rights.mayChange) reorders(this.row, this.#find(".track-strip"), (place) => this.#desk.reorder(this.#track.id, place));
  }

  async #change(patch) {
    try {
      await this.#desk.song.change(this.#track.chosen.id, patch);
      this.failed(null);
    } catch (problem) {
      this.failed(problem);
    }
  }

  get #mix() {
    return this.#desk.song.mix(this.#track.chosen.id) ?? this.#track.chosen;
  }

  // A file's name is shown once: as the track's, while that is called after it, otherwise on the clip.
  #drawName() {
    const { name, takes, chosen, userId } = this.#track;
    const ending = chosen.fileName.startsWith(name) ? chosen.fileName.slice(name.length) : null;
    const isAfterFile = takes.length === 1 && /^(\.[^.]*)?$/.test(ending ?? "?");
    const [shown, after] = this.#find(".track-name").children;
    shown.textContent = name;
    const take = takes.findIndex(({ id }) => id === chosen.id) + 1;
    const hasTakes = !isAfterFile && takes.length > 1;
    after.firstElementChild.textContent = isAfterFile ? ending : hasTakes ? ` take ${take} of ${takes.length}` : "";
    // Where there is no room for the words.
    if (hasTakes) after.dataset.short = ` ${take}/${takes.length}`;
    else delete after.dataset.short;
    this.#find(".track-name").title = chosen.fileName;
    const label = this.#find(".clip-label");
    label.textContent = isAfterFile ? "" : chosen.fileName;
    label.hidden = isAfterFile;
    this.#find(".track-grip").textContent = initials(this.#desk.nameOf(userId) || "?");
    this.#find(".track-grip").title = this.#desk.nameOf(userId);
    this.#find(".track-grip").className = `track-grip ${colourClass(userId)}`;
  }

  // How it is heard, and where it lies.
  drawMix() {
    const mix = this.#mix;
    const { song } = this.#desk;
    const { id } = this.#track;
    this.row.classList.toggle("is-silent", !song.isHeard(id));
    this.#press("mute", mix.muted);
    this.#press("solo", song.isSoloed(id));
    const fader = this.#find(".fader");
    fader.value = String(mix.gainDb);
    fader.setAttribute("aria-valuetext", gainInWords(mix.gainDb));
    fader.title = gainInWords(mix.gainDb);
    this.clip.classList.toggle("is-unmeasured", mix.durationSeconds === null);
    for (const [name, value] of Object.entries({
      "--begin": beginsAt_s(mix),
      "--length": length_s(mix),
      "--trim": mix.trimStartSeconds,
      "--fade-in": Math.min(mix.fadeInSeconds, length_s(mix)),
      "--fade-out": Math.min(mix.fadeOutSeconds, length_s(mix)),
    })) this.clip.style.setProperty(name, value);
    this.#describe(mix);
    this.#drawNotes();
    this.drawWave();
  }

  #press(act, isPressed) {
    this.#find(`[data-act="${act}"]`).setAttribute("aria-pressed", String(isPressed));
  }

  // --- the clip ------------------------------------------------------------------------------------------------------

  // In words: where it begins, and how long it is.
  get place() {
    const { scale } = this.#desk.view;
    const mix = this.#mix;
    const begins = `begins at ${scale.placeInWords(beginsAt_s(mix))}`;
    return mix.durationSeconds === null ? begins : `${begins}, ${scale.lengthInWords(length_s(mix))}`;
  }

  #describe(mix) {
    const { name } = this.#track;
    if (!this.#hand) {
      this.clip.removeAttribute("tabindex");
      this.clip.setAttribute("role", "img");
      this.clip.setAttribute("aria-label", `${name}, ${this.place}`);
      return;
    }
    this.clip.setAttribute("role", "slider");
    this.clip.setAttribute("aria-label", `Place of ${name}`);
    this.clip.setAttribute("aria-valuenow", beginsAt_s(mix).toFixed(3));
    this.clip.setAttribute("aria-valuemin", mix.trimStartSeconds.toFixed(3));
    this.clip.setAttribute("aria-valuemax", String(3600 + mix.trimStartSeconds));
    this.clip.setAttribute("aria-valuetext", `${name}, ${this.place}`);
  }

  #moved(what) {
    this.failed(null);
    if (what === "place") this.#desk.say(`${this.#track.name}, ${this.place}.`);
    else this.#desk.say(`${this.#track.name} is ${what.startsWith("trim") ? "trimmed" : "faded"}: ${this.place}.`);
  }

  #listen() {
    this.#peaks?.close();
    this.#waveform?.clear();
    const { chosen } = this.#track;
    this.#peaks = new Peaks(chosen, {
      changed: () => {
        this.#waveform.outdate();
        this.#drawNotes();
        this.drawWave();
      },
      // Somebody has listened to it since: ask how long it is, for whom the room does not tell.
      heard: () => {
        if (this.#track.chosen.durationSeconds === null) this.#desk.song.reread(chosen.id).catch((problem) => this.failed(problem));
      },
      failed: (problem) => {
        if (problem.code === "upload_not_found") this.#desk.song.remove(chosen.id);
        else this.failed(problem);
      },
    });
    this.#waveform = new Waveform(this.#find(".clip-wave"), this.#peaks);
  }

  // Another part of it is seen, or at another size. `isAnew`: in other colours.
  drawWave(isAnew = false) {
    if (!this.isSeen) return;
    const mix = this.#mix;
    if (this.clip.dataset.wave !== this.#peaks.state) this.clip.dataset.wave = this.#peaks.state;
    if (mix.durationSeconds === null) return;
    this.#peaks.ask();
    if (this.#peaks.state !== "there") return;
    const { view } = this.#desk;
    const { pxPerSecond } = view.scale;
    const before_px = mix.offsetSeconds * pxPerSecond;
    const from_px = Math.max(view.left_px - before_px, mix.trimStartSeconds * pxPerSecond);
    const ends_px = (mix.durationSeconds - mix.trimEndSeconds) * pxPerSecond;
    const to_px = Math.min(view.left_px + view.lanes_px - before_px, ends_px);
    if (isAnew) this.#waveform.outdate();
    this.#waveform.draw(from_px, to_px, pxPerSecond, view.clip_px, mix.durationSeconds);
  }

  #drawNotes() {
    const { id, warning, durationSeconds } = this.#track.chosen;
    // What has no sound says so once.
    const why = this.#peaks.state === "none" ? "" : this.#desk.whyUnheard(id);
    const isKnown = this.#peaks.state === "pending" && durationSeconds !== null;
    const notes = {
      ".wave-words": isKnown ? "" : WORDS[this.#peaks.state],
      ".warning": warning ?? "",
      ".unheard": why && `${UNHEARD} ${why}`,
      ".fault": this.#problem,
    };
    for (const [selector, words] of Object.entries(notes)) {
      const note = this.#find(`.track-notes ${selector}`);
      if (note.textContent !== words) note.textContent = words;
      note.hidden = !words;
    }
  }

  // --- the meter: in the frame loop, nothing but transforms --------------------------------------------------------------

  // `level`: peak and hold in dBFS; nothing when it is silent.
  drawLevel(level) {
    const peak = level ? stepOf(level.peak) : 0;
    const hold = level ? stepOf(level.hold) : 0;
    if (peak === this.#levels.peak && hold === this.#levels.hold) return;
    this.#levels = { peak, hold };
    this.#cover.style.setProperty("transform", `scaleX(${1 - peak / STEPS})`);
    this.#mark.style.setProperty("transform", `translateX(${(hold / STEPS - 1) * 100}%)`);
  }

  #find(selector) {
    return this.row.querySelector(selector);
  }
}

// From nothing to full scale, in steps of half a pixel or so: what would not be seen is not drawn.
function stepOf(level_db) {
  return Math.round(Math.min(1, Math.max(0, 1 - level_db / QUIETEST_DB)) * STEPS);
}
