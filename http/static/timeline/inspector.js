// All about one track, in numbers: its name and file, level, place, trims, fades and takes; what can be done with it.

import { channelsInWords, gainInWords, panInWords, sizeInWords } from "../controls/quantities.js";
import { Question } from "../controls/question.js";
import { beginsAt_s, movedTo } from "../room/arrangement.js";
import { slides } from "./clip.js";

const RANGES = {
  gainDb: "A gain goes from −60 to 12 dB.",
  offsetSeconds: "A stem begins 0 to 3600 seconds into the session.",
  trimStartSeconds: "Cut off 0 seconds or more, and leave something.",
  trimEndSeconds: "Cut off 0 seconds or more, and leave something.",
  fadeInSeconds: "A fade takes 0 to 600 seconds.",
  fadeOutSeconds: "A fade takes 0 to 600 seconds.",
};
const BAD_BAR = "Write a bar, or a bar and a beat, such as 17 or 17.3.";

export class Inspector {
  #box;
  #desk;
  #shown;
  #trackId = null;
  #opener = null;
  #question;
  // What each field was last drawn with.
  #drawn = new Map();

  // `desk` as in `track_row.js`. `shown(trackId)` is told of which track it shows, or null.
  constructor(box, desk, shown) {
    this.#box = box;
    this.#desk = desk;
    this.#shown = shown;
    box.append(document.getElementById("inspector-body").content.cloneNode(true));
    box.setAttribute("role", "dialog");
    box.setAttribute("aria-labelledby", "inspector-title");
    box.addEventListener("keydown", (event) => {
      // A question closes itself.
      if (event.key !== "Escape" || event.target.closest(".line-sure")) return;
      event.preventDefault();
      this.close();
    });
    this.#wire();
  }

  // Show that track; hide it when it is shown already.
  turn(trackId, from) {
    if (trackId === this.#trackId) {
      this.close();
      return;
    }
    this.#trackId = trackId;
    this.#opener = from;
    this.#box.hidden = false;
    this.#question.close();
    this.#fail("");
    this.#shown(trackId);
    this.draw();
    this.#find('[data-act="close"]').focus();
  }

  close() {
    if (this.#trackId === null) return;
    this.#trackId = null;
    this.#box.hidden = true;
    this.#question.close();
    this.#shown(null);
    if (this.#opener?.isConnected) this.#opener.focus();
  }

  // As the song has it now. Nobody's typing is overwritten, but for that of `done`.
  draw(done = null) {
    if (this.#trackId === null) return;
    const track = this.#desk.song.track(this.#trackId);
    if (!track) {
      this.close();
      return;
    }
    const mix = this.#mix;
    const { scale } = this.#desk.view;
    this.#find("#inspector-title").textContent = track.name;
    this.#find(".inspector-about").textContent = this.#about(track, mix);
    this.#set("name", track.name, done);
    for (const name of Object.keys(RANGES)) this.#set(name, String(Math.round(mix[name] * 1000) / 1000), done);
    this.#set("pan", String(mix.pan), done);
    this.#find('[name="pan"]').setAttribute("aria-valuetext", panInWords(mix.pan));
    this.#find('[name="pan"] + output').textContent = panInWords(mix.pan);
    this.#set("bar", scale.placeAsText(scale.beatAt(beginsAt_s(mix))), done);
    this.#find('[data-act="download"]').href = `/api/upload/${mix.id}/content`;
    this.#find('[data-act="remove"]').hidden = !this.#desk.rights.mayRemove(mix.userId);
    const place = this.#desk.song.tracks.findIndex(({ id }) => id === track.id);
    this.#enable("up", place > 0);
    this.#enable("down", place < this.#desk.song.tracks.length - 1);
    this.#drawTakes(track);
  }

  get #mix() {
    return this.#desk.song.mix(this.#desk.song.track(this.#trackId).chosen.id);
  }

  #about(track, mix) {
    const channels = mix.channels ? channelsInWords(mix.channels) : "";
    return [this.#desk.nameOf(track.userId), channels, sizeInWords(mix.fileSize)].filter(Boolean).join(" · ");
  }

  #set(name, value, done) {
    const field = this.#find(`[name="${name}"]`);
    if (document.activeElement === field && field.type !== "range" && field !== done) return;
    field.value = value;
    this.#drawn.set(name, field.value);
  }

  #enable(act, isPossible) {
    this.#find(`[data-act="${act}"]`).setAttribute("aria-disabled", String(!isPossible));
  }

  // --- changing ------------------------------------------------------------------------------------------------------

  #wire() {
    const { mayChange } = this.#desk.rights;
    for (const field of this.#box.querySelectorAll("input")) field.disabled = !mayChange;
    for (const act of ["up", "down", "record"]) this.#find(`[data-act="${act}"]`).hidden = !mayChange;
    this.#find('[data-act="close"]').addEventListener("click", () => this.close());
    for (const field of this.#box.querySelectorAll('input:not([type="range"])')) {
      field.addEventListener("change", () => this.#changeField(field));
      field.addEventListener("keydown", (event) => event.key === "Enter" && this.#changeField(field));
    }
    const pan = this.#find('[name="pan"]');
    slides(pan, "pan", this.#desk.song, { take: () => this.#mix, change: (patch) => this.#change(patch) });
    for (const [act, by] of [["up", -1], ["down", 1]]) this.#find(`[data-act="${act}"]`).addEventListener("click", () => this.#move(by));
    this.#find('[data-act="record"]').addEventListener("click", () => this.#desk.record(this.#trackId));
    this.#question = new Question(this.#box, ".inspector-parts fieldset:not(:first-child)", () => this.#remove());
    this.#find('[data-act="remove"]').addEventListener("click", () => this.#question.ask());
  }

  #changeField(field) {
    const { name, value } = field;
    // What is shown is rounded, and may be old: it is asked for only where somebody has typed.
    if (value === this.#drawn.get(name)) return this.draw(field);
    if (name === "name") this.#rename(value.trim());
    else if (name === "bar") this.#place(value);
    else if (!field.checkValidity()) this.#fail(RANGES[name]);
    else this.#change({ [name]: Number(value) });
    // What was meant by it is in the song now, or was not possible.
    return this.draw(field);
  }

  #rename(name) {
    if (name) this.#change({ name });
    else this.#fail("Type a name.");
  }

  #place(text) {
    const { scale } = this.#desk.view;
    const beat = scale.beatOfText(text);
    if (beat === null) this.#fail(BAD_BAR);
    else this.#change(movedTo(this.#mix, "place", scale.secondsAt(beat)));
  }

  #move(by) {
    const { tracks } = this.#desk.song;
    const place = tracks.findIndex(({ id }) => id === this.#trackId) + by;
    if (place >= 0 && place < tracks.length) this.#desk.reorder(this.#trackId, place);
  }

  async #change(patch, uploadId = this.#mix.id) {
    this.#fail("");
    try {
      await this.#desk.song.change(uploadId, patch);
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  async #remove() {
    try {
      await this.#desk.remove(this.#mix.id);
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  // --- takes ---------------------------------------------------------------------------------------------------------

  #drawTakes({ takes, chosen }) {
    const list = this.#find(".take-list");
    const drawn = takes.map(({ id, fileName }) => `${id} ${fileName}`).join();
    if (list.dataset.drawn !== drawn) {
      list.dataset.drawn = drawn;
      list.replaceChildren(...takes.map((take, place) => this.#takeLine(take, place + 1)));
    }
    for (const radio of list.querySelectorAll("input")) radio.checked = radio.value === chosen.id;
    this.#find(".takes").hidden = takes.length < 2 && !this.#desk.rights.mayChange;
    list.hidden = takes.length < 2;
  }

  #takeLine(take, number) {
    const line = document.createElement("p");
    line.className = "row take";
    const label = document.createElement("label");
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "take";
    radio.value = take.id;
    radio.disabled = !this.#desk.rights.mayChange;
    radio.addEventListener("change", (event) => {
      event.stopPropagation();
      this.#change({ chosen: true }, take.id);
      this.#desk.say(`Take ${number} is heard.`);
    });
    label.append(radio, `Take ${number}`);
    const about = document.createElement("span");
    about.className = "quiet";
    about.textContent = [this.#desk.nameOf(take.userId), gainInWords(take.gainDb)].filter(Boolean).join(" · ");
    line.append(label, about);
    if (this.#desk.rights.mayChange) line.append(this.#apart(take, number));
    return line;
  }

  #apart(take, number) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button plain";
    button.textContent = "Own track";
    button.setAttribute("aria-label", `Make take ${number} a track of its own`);
    button.addEventListener("click", () => this.#change({ takeOf: null }, take.id));
    return button;
  }

  #fail(words) {
    const fault = this.#box.querySelector(":scope > .fault");
    fault.textContent = words;
    fault.hidden = !words;
  }

  #find(selector) {
    return this.#box.querySelector(selector);
  }
}
