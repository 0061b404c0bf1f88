// What somebody does to the song, as small lines between what is said: "bo moved Guitar to bar 9 · Undo".
//
// They are merged, so that a fader that moves is no flood: the same thing done again by the same person is the same line,
// and of many in a row the last few are shown. All of it is under Activity.

import { inWords } from "./activity_words.js";
import { ask } from "../controls/api.js";
import { barInWords, beatsOf } from "../room/transport.js";
import { showPlaces } from "./places.js";

const KINDS = ["upload.changed", "upload.removed", "upload.restored", "session.changed"];
const SHOWN = 3;
const SAME_WITHIN_MS = 120_000;

// As it is said between two who play: in bars, and in short.
export function shortly(event, { tempoBpm, beatsPerBar }) {
  const { kind, field, before, after } = event;
  // A file is named in full once on the page.
  const name = event.subjectName.replace(/\.[a-z0-9]{1,5}$/iu, "");
  if (kind !== "upload.changed" || before === after) return inWords({ ...event, subjectName: name });
  if (field === "offsetSeconds") return `moved ${name} to bar ${barInWords(beatsOf(after, tempoBpm), beatsPerBar).replace(/\.1$/u, "")}`;
  if (field === "muted") return `turned ${name} ${after ? "off" : "on"}`;
  if (field === "chosen") return `chose another take of ${name}`;
  if (field === "position") return `moved ${name} to another place in the list`;
  return inWords({ ...event, subjectName: name });
}

export class ActivityLines {
  #log;
  #rights;
  #told;
  // The newest lines, oldest first: `{ event, line, at }`.
  #lines = [];

  // `log.event("")` makes a line. `told`: `tempo()`, `go(place)`, `undone(event)`, `showAll()`, `lost(problem)`.
  constructor(log, rights, told) {
    this.#log = log;
    this.#rights = rights;
    this.#told = told;
  }

  // Somebody has done something.
  heard(event) {
    if (!KINDS.includes(event.kind)) return;
    this.#lines = this.#lines.filter(({ line }) => line.isConnected);
    for (const each of this.#lines) if (isOutdated(each.event, event)) this.#draw(each, { ...each.event, undo: null });
    if (event.undoes) return this.#undone(event);
    const same = this.#lines.find((each) => each.event.id === event.id || isSame(each, event));
    if (same) {
      // As it is told: with the values between which its undo goes.
      this.#draw(same, event);
      same.at = Date.now();
      return;
    }
    const entry = { line: this.#log.event(""), at: Date.now() };
    entry.line.classList.add("act");
    this.#draw(entry, event);
    this.#lines.push(entry);
    this.#thin();
  }

  // Of what was done in a row, the last few, and how many there were before.
  #thin() {
    const run = [];
    for (let line = this.#log.last; line?.classList.contains("act"); line = line.previousElementSibling) run.unshift(line);
    if (run.length <= SHOWN + 1) return;
    const first = run[0].dataset.more ? run[0] : this.#more(run[0]);
    const hidden = run.filter((line) => !line.dataset.more).slice(0, -SHOWN);
    for (const line of hidden) line.remove();
    first.dataset.more = String(Number(first.dataset.more) + hidden.length);
    first.querySelector("button").textContent = `${first.dataset.more} more changes`;
  }

  #more(before) {
    const line = document.createElement("p");
    line.className = "event act";
    line.dataset.more = "0";
    line.append(textual("", () => this.#told.showAll()));
    before.before(line);
    return line;
  }

  #draw(entry, event) {
    entry.event = event;
    const words = document.createElement("span");
    const options = { go: this.#told.go, beatsPerBar: () => this.#told.tempo().beatsPerBar };
    showPlaces(words, `${event.actor.name} ${shortly(event, this.#told.tempo())}`, options);
    entry.line.replaceChildren(words);
    if (event.undoneBy) entry.line.append(" · Undone");
    else if (this.#rights.mayUndo(event.undo)) entry.line.append(" · ", textual("Undo", () => this.#undo(entry)));
  }

  async #undo(entry) {
    const button = entry.line.querySelector(".textual:last-child");
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    try {
      const { event } = await ask("POST", entry.event.undo.url);
      this.#undone(event);
      this.#told.undone(event);
    } catch (problem) {
      if (problem.code === "sign_in_required" || problem.code === "session_not_found") this.#told.lost(problem);
      else entry.line.append(` ${problem.message}`);
      button.remove();
    }
  }

  #undone({ undoes, actor }) {
    const entry = this.#lines.find(({ event }) => event.id === undoes);
    if (entry) this.#draw(entry, { ...entry.event, undo: null, undoneBy: actor });
  }
}

// The same thing, done again by the same person a moment later.
function isSame({ event: before, at }, event) {
  const names = ["kind", "field", "subjectId"];
  return before.actor.id === event.actor.id
    && !before.undoneBy
    && names.every((name) => before[name] === event[name])
    && event.kind.endsWith(".changed")
    && Date.now() - at < SAME_WITHIN_MS;
}

// What was done to the same thing before cannot be undone any more.
function isOutdated(before, event) {
  if (before.id === event.id || before.subjectId !== event.subjectId) return false;
  return before.field === event.field || event.kind === "upload.removed";
}

function textual(words, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "textual";
  button.textContent = words;
  button.addEventListener("click", act);
  return button;
}
