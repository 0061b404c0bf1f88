// One upload on the page: its name on tape, its waveform, how it sits in the mix.
//
// What somebody changes here is shown and heard at once, and asked of the studio one request at a time; until it has
// answered, news of the same values from elsewhere does not move the control under the hand. A refusal puts it back.

import { ask } from "../controls/api.js";
import { colourClass } from "../controls/avatar.js";
import { Deck } from "../sound/deck.js";
import { channelsInWords, gainInWords, panInWords, sizeInWords } from "../controls/quantities.js";
import { Question } from "../controls/question.js";
import { Waveform } from "./waveform.js";

const FRESH_MS = 10_000;
const PLAYABLE = /^(audio|video)\//;
const MIX = ["gainDb", "pan", "muted", "offsetSeconds"];

const part = (id) => document.getElementById(id);

export class Stem {
  row;
  #upload;
  #told;
  #deck;
  #waveform;
  // Changed here: in the hand, and asked for.
  #wanted = {};
  #asked = {};
  #isAsking = false;

  // `rights` are those of `rights.js`. `told`: `removed()` when it is not there any more, `changed(upload)` when it is another, `lost(problem)` whether a
  // problem ends everything.
  constructor(upload, rights, told) {
    this.#upload = upload;
    this.#told = told;
    this.row = part("stem-item").content.firstElementChild.cloneNode(true);
    this.row.classList.add(colourClass(upload.userId));
    this.row.dataset.id = upload.id;
    this.#name();
    const content = `/api/upload/${upload.id}/content`;
    this.#find('[data-act="download"]').href = content;
    this.#find('[data-act="remove"]').hidden = !rights.mayRemove(upload.userId);
    for (const control of this.row.querySelectorAll(".stem-mix :is(button, input)")) control.disabled = !rights.mayChange;
    this.#deck = new Deck(this.row, content, (words) => this.#fail(words));
    this.#waveform = new Waveform(this.#find(".wave"), upload.id, {
      drawn: () => this.#catchUp(),
      failed: (problem) => this.#failed(problem),
    });
    if (this.#isPlayable) this.#askForWave();
    else this.#rest();
    this.#wireMix();
    const question = new Question(this.row, ".stem-top, .stem-mix", () => this.#remove());
    this.#find('[data-act="remove"]').addEventListener("click", () => question.ask());
    this.#draw();
  }

  get upload() {
    return this.#upload;
  }

  // As the studio has it now.
  put(upload) {
    const wasHeard = this.#upload.durationSeconds !== null;
    this.#upload = upload;
    this.#draw();
    if (this.#isPlayable && !wasHeard && upload.durationSeconds !== null) this.#waveform.ask();
  }

  close() {
    this.#deck.close();
    this.#waveform.close();
    this.row.remove();
  }

  get #isPlayable() {
    return PLAYABLE.test(this.#upload.mimeType);
  }

  #name() {
    const name = this.#find(".stem-name");
    name.textContent = name.title = this.#upload.fileName;
    name.id = `stem-${this.#upload.id}`;
    this.row.setAttribute("aria-labelledby", name.id);
    for (const control of this.row.querySelectorAll("button, input, a")) control.setAttribute("aria-describedby", name.id);
  }

  // --- playing -------------------------------------------------------------------------------------------------------

  #askForWave() {
    const age_ms = Date.now() - new Date(this.#upload.createdAt).getTime();
    if (this.#upload.durationSeconds === null && age_ms < FRESH_MS) this.#waveform.askSoon();
    else this.#waveform.ask();
  }

  // Somebody has listened to it since: ask how long it is, for whom the room does not tell.
  async #catchUp() {
    if (this.#upload.durationSeconds !== null) return;
    try {
      this.#told.changed((await ask("GET", `/api/upload/${this.#upload.id}`)).upload);
    } catch (problem) {
      this.#failed(problem);
    }
  }

  // A picture: nothing in it plays, and it has no place in the mix.
  #rest() {
    this.#waveform.close();
    for (const selector of [".stem-wave", ".stem-mix"]) this.#find(selector).hidden = true;
  }

  // --- the mix -------------------------------------------------------------------------------------------------------

  get #mix() {
    return { ...this.#upload, ...this.#asked, ...this.#wanted };
  }

  #wireMix() {
    this.#find('[data-act="mute"]').addEventListener("click", () => this.#change({ muted: !this.#mix.muted }));
    for (const [name, usual] of [["gainDb", 0], ["pan", 0]]) {
      const slider = this.#find(`[name="${name}"]`);
      slider.addEventListener("input", () => this.#hold({ [name]: Number(slider.value) }));
      slider.addEventListener("change", () => this.#change({ [name]: Number(slider.value) }));
      slider.addEventListener("dblclick", () => this.#change({ [name]: usual }));
    }
    const begin = this.#find('[name="offsetSeconds"]');
    begin.addEventListener("change", () => this.#changeBegin(begin));
    begin.addEventListener("keydown", (event) => event.key === "Enter" && begin.blur());
  }

  #changeBegin(field) {
    if (field.checkValidity()) this.#change({ offsetSeconds: Number(field.value) });
    else this.#fail(`A stem begins ${field.min} to ${field.max} seconds into the session.`);
    field.value = String(this.#mix.offsetSeconds);
  }

  // Shown and heard here, while the hand is still moving. Where it was before is nothing to ask for.
  #hold(change) {
    const before = { ...this.#upload, ...this.#asked };
    for (const [name, value] of Object.entries(change)) {
      if (before[name] === value) delete this.#wanted[name];
      else this.#wanted[name] = value;
    }
    this.#draw();
  }

  async #change(change) {
    this.#hold(change);
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (Object.keys(this.#wanted).length > 0) {
        this.#asked = this.#wanted;
        this.#wanted = {};
        const { upload } = await ask("PATCH", `/api/upload/${this.#upload.id}`, this.#asked);
        this.#asked = {};
        this.#told.changed(upload);
      }
      this.#fail("");
    } catch (problem) {
      this.#wanted = {};
      this.#failed(problem);
    } finally {
      this.#asked = {};
      this.#isAsking = false;
      this.#draw();
    }
  }

  #draw() {
    const mix = this.#mix;
    this.#deck.duration_s = this.#upload.durationSeconds;
    this.#deck.mix = Object.fromEntries(MIX.map((name) => [name, mix[name]]));
    this.row.classList.toggle("is-muted", mix.muted);
    this.#find('[data-act="mute"]').setAttribute("aria-pressed", String(mix.muted));
    this.#drawSlider("gainDb", mix.gainDb, gainInWords(mix.gainDb));
    this.#drawSlider("pan", mix.pan, panInWords(mix.pan));
    const begin = this.#find('[name="offsetSeconds"]');
    // Nobody's typing is overwritten.
    if (document.activeElement !== begin) begin.value = String(mix.offsetSeconds);
    const { channels, fileSize, warning } = this.#upload;
    this.#find(".warning").textContent = warning ?? "";
    this.#find(".warning").hidden = !warning;
    const kind = channels ? channelsInWords(channels) : this.#isPlayable ? "" : "picture";
    this.#find(".stem-about").textContent = [kind, sizeInWords(fileSize)].filter(Boolean).join(" · ");
  }

  #drawSlider(name, value, words) {
    const slider = this.#find(`[name="${name}"]`);
    slider.value = String(value);
    slider.setAttribute("aria-valuetext", words);
    slider.closest(".strip").querySelector("output").textContent = words;
  }

  // --- removing ------------------------------------------------------------------------------------------------------

  async #remove() {
    try {
      await ask("DELETE", `/api/upload/${this.#upload.id}`);
    } catch (problem) {
      this.#failed(problem);
      return;
    }
    this.#told.removed();
  }

  #failed(problem) {
    if (problem.code === "upload_not_found") this.#told.removed();
    else if (!this.#told.lost(problem)) this.#fail(problem.message);
  }

  #fail(words) {
    this.#find(".fault").textContent = words;
    this.#find(".fault").hidden = !words;
  }

  #find(selector) {
    return this.row.querySelector(selector);
  }
}
