// One mixdown of the session, from being asked for to being taken home: how far it is, what was measured, its sound.
//
// The newest is shown large; of the others one sees what tells them apart.

import { ask } from "../controls/api.js";
import { Deck } from "../sound/deck.js";
import { levelInWords, sizeInWords, timeInWords } from "../controls/quantities.js";
import { Question } from "../controls/question.js";

const IN_THE_MAKING = ["pending", "processing"];
const NOT_YET = "–";
const SILENT = "Silent";

const part = (id) => document.getElementById(id);
const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

export class Mixdown {
  row;
  #export;
  #told;
  #deck;
  #question;

  // `rights` are those of `room/roster.js`. `told`: `removed(wasMaking)` when it is not there any more, `again(format)` when another is wanted in its place,
  // `share(export)` and `compare(export)` when that is wanted of it, `lost(problem)` whether a problem ends everything.
  constructor(export_, rights, told) {
    this.#export = export_;
    this.#told = told;
    this.row = part("mixdown-item").content.firstElementChild.cloneNode(true);
    this.row.dataset.id = export_.exportId;
    this.#name();
    const path = `/api/export/${export_.exportId}/download`;
    this.#find('[data-act="download"]').href = path;
    this.#deck = new Deck(this.row, path, (words) => this.#fail(words));
    this.#question = new Question(this.row, ".mixdown-top, .mixdown-deck, .mixdown-more", () => this.#remove());
    this.#find('[data-act="remove"]').hidden = !rights.mayRemove(export_.userId);
    this.#find('[data-act="again"]').hidden = !rights.mayChange;
    this.#find('[data-act="remove"]').addEventListener("click", () => this.#leave());
    this.#find('[data-act="again"]').addEventListener("click", () => told.again(export_.format));
    for (const act of ["share", "compare"]) {
      this.#find(`[data-act="${act}"]`).addEventListener("click", () => told[act](this.#export));
    }
    this.#draw();
  }

  // As the studio has it.
  get export() {
    return this.#export;
  }

  set isCompared(isCompared) {
    this.#find('[data-act="compare"]').setAttribute("aria-pressed", String(isCompared));
  }

  // Whether there is another one to compare it with.
  set isComparable(isComparable) {
    this.#find('[data-act="compare"]').hidden = !isComparable;
  }

  get createdAt() {
    return new Date(this.#export.createdAt);
  }

  get userId() {
    return this.#export.userId;
  }

  get status() {
    return this.#export.status;
  }

  // Whether it can be heard, and so compared, and shared with people without an account.
  get isPlayable() {
    return this.status === "completed" && !this.#isArchive;
  }

  get isInTheMaking() {
    return IN_THE_MAKING.includes(this.status);
  }

  set isNewest(isNewest) {
    this.row.classList.toggle("is-newest", isNewest);
  }

  // As the studio has it now, in whole or in part. What is over stays over, whatever comes late.
  put(change) {
    if (!this.isInTheMaking && IN_THE_MAKING.includes(change.status)) return;
    this.#export = { ...this.#export, ...change };
    this.#draw();
  }

  close() {
    this.#deck.close();
    this.row.remove();
  }

  #name() {
    const name = this.#find(".mixdown-name");
    name.textContent = name.title = this.#export.fileName;
    name.id = `mixdown-${this.#export.exportId}`;
    this.#find('[data-act="download"]').download = this.#export.fileName;
    this.row.setAttribute("aria-labelledby", name.id);
    for (const control of this.row.querySelectorAll("button, input, a, progress")) {
      control.setAttribute("aria-describedby", name.id);
    }
    const { createdAt, format } = this.#export;
    this.#find(".mixdown-format").textContent = format.toUpperCase();
    this.#find("time").dateTime = createdAt;
    this.#find("time").textContent = moments.format(this.createdAt);
  }

  // Stems are many files in one, which is not played and has no loudness.
  get #isArchive() {
    return this.#export.format === "stems";
  }

  // --- drawing -------------------------------------------------------------------------------------------------------

  #draw() {
    const { status, progress, errorMessage, warning } = this.#export;
    const isMade = status === "completed";
    this.row.dataset.status = status;
    this.#find('[data-act="download"]').hidden = !isMade;
    this.#find(".mixdown-deck").hidden = !isMade || this.#isArchive;
    this.#find(".mixdown-more").hidden = !this.isPlayable;
    this.#find("progress").hidden = !this.isInTheMaking;
    this.#find("progress").value = progress;
    this.#find(".mixdown-why").hidden = status !== "failed";
    this.#find(".mixdown-why > p").textContent = errorMessage ?? "";
    this.#find(".warning").textContent = warning ?? "";
    this.#find(".warning").hidden = !warning;
    this.#drawRemove();
    this.#drawFacts();
    this.#drawStatus();
  }

  // One button, so that whoever has come to it with the keyboard keeps it when the mixdown is made.
  #drawRemove() {
    const button = this.#find('[data-act="remove"]');
    button.classList.toggle("square", !this.isInTheMaking);
    button.setAttribute("aria-label", this.isInTheMaking ? "Cancel" : "Remove");
  }

  #drawFacts() {
    const { status, durationSeconds, loudnessLufs, peakDbfs, fileSize } = this.#export;
    const isMade = status === "completed";
    const facts = {
      length: isMade ? timeInWords(durationSeconds) : NOT_YET,
      loudness: isMade && !this.#isArchive ? measured(loudnessLufs, "LUFS") : NOT_YET,
      peak: isMade && !this.#isArchive ? measured(peakDbfs, "dBFS") : NOT_YET,
      size: isMade ? sizeInWords(fileSize) : NOT_YET,
    };
    for (const [name, words] of Object.entries(facts)) this.#find(`[data-show="${name}"]`).textContent = words;
    this.#find(".mixdown-facts").hidden = status === "failed";
    this.#deck.duration_s = durationSeconds;
  }

  // How far it is: "processing, 42 %".
  get statusInWords() {
    const { status, progress } = this.#export;
    return `${status}${{ pending: ", waiting for its turn", processing: `, ${progress} %` }[status] ?? ""}`;
  }

  #drawStatus() {
    const words = this.statusInWords;
    this.#find(".mixdown-status").textContent = `${words[0].toUpperCase()}${words.slice(1)}`;
  }

  // --- leaving -------------------------------------------------------------------------------------------------------

  // What is still being made can be made again; what is made may be somebody's last copy.
  #leave() {
    if (this.isInTheMaking) this.#remove();
    else this.#question.ask();
  }

  async #remove() {
    this.#fail("");
    const wasMaking = this.isInTheMaking;
    try {
      await ask("DELETE", `/api/export/${this.#export.exportId}`);
    } catch (problem) {
      if (problem.code === "export_not_found") this.#told.removed(wasMaking);
      else if (!this.#told.lost(problem)) this.#fail(problem.message);
      return;
    }
    this.#told.removed(wasMaking);
  }

  #fail(words) {
    this.#find(".mixdown-problem").textContent = words;
    this.#find(".mixdown-problem").hidden = !words;
  }

  #find(selector) {
    return this.row.querySelector(selector);
  }
}

// Nothing was measured of what is too quiet.
function measured(level, unit) {
  return level === null ? SILENT : levelInWords(level, unit);
}
