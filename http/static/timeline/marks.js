// What is written on the ruler: markers and sections, and the pins of comments.
//
// A press goes there. Who may change them drags them, and opens their form with a double click, F2 or Enter; by the
// keyboard they move as clips do, and Delete removes them.

import { arrange, colourClass, initials } from "../room/roster.js";

const STILL_PX = 4;

const part = (id) => document.getElementById(id);

export class Marks {
  #view;
  #song;
  #conductor;
  #told;
  #mayChange;
  #rows = new Map();
  #pins = new Map();

  // `told`: `edit(marker)` opens its form, `openComment(id)`, `failed(problem)`, `say(words)`.
  constructor({ view, song, conductor, rights }, told) {
    this.#view = view;
    this.#song = song;
    this.#conductor = conductor;
    this.#mayChange = rights.mayChange;
    this.#told = told;
  }

  drawMarkers() {
    const { markers } = this.#song;
    const there = new Set(markers.map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!there.has(id)) this.#rows.delete(id);
    const rows = markers.map((marker) => {
      if (!this.#rows.has(marker.id)) this.#rows.set(marker.id, this.#markerRow(marker.id));
      const row = this.#rows.get(marker.id);
      this.#drawMarker(row, marker);
      return row;
    });
    arrange(part("sections"), rows, refocus);
  }

  // First comments of threads that are not resolved.
  drawPins() {
    const pinned = this.#song.comments.filter(({ atBeat, parentId, resolved, exportId, text }) =>
      atBeat !== null && parentId === null && !resolved && exportId === null && text !== null);
    const there = new Set(pinned.map(({ id }) => id));
    for (const id of this.#pins.keys()) if (!there.has(id)) this.#pins.delete(id);
    const rows = pinned.sort(byPlace).map((comment) => {
      if (!this.#pins.has(comment.id)) this.#pins.set(comment.id, this.#pinRow(comment));
      const row = this.#pins.get(comment.id);
      this.#drawPin(row, comment);
      return row;
    });
    part("pins").hidden = rows.length === 0;
    arrange(part("pins"), rows, refocus);
  }

  // --- markers -------------------------------------------------------------------------------------------------------

  #markerRow(id) {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    row.append(button);
    const marker = () => this.#song.markers.find((each) => each.id === id);
    button.addEventListener("keydown", (event) => this.#press(event, marker()));
    if (!this.#mayChange) {
      button.addEventListener("click", () => this.#conductor.locate(marker().atBeat));
      return row;
    }
    const edge = document.createElement("span");
    edge.className = "section-edge";
    button.append(document.createElement("span"), edge);
    button.addEventListener("dblclick", () => this.#told.edit(marker()));
    this.#wireDrag(row, button, edge, marker);
    return row;
  }

  #drawMarker(row, { name, atBeat, endBeat }) {
    const { scale } = this.#view;
    row.className = endBeat === null ? "marker" : "section";
    row.style.setProperty("--begin", scale.secondsAt(atBeat));
    row.style.setProperty("--length", scale.secondsAt((endBeat ?? atBeat) - atBeat));
    const button = row.firstElementChild;
    (button.firstElementChild ?? button).textContent = name;
    const until = endBeat === null ? "" : ` to ${scale.placeAsText(endBeat)}`;
    button.setAttribute("aria-label", `${name}, ${endBeat === null ? "marker at" : "section from"} bar ${scale.placeAsText(atBeat)}${until}`);
    button.title = name;
  }

  #wireDrag(row, button, edge, marker) {
    let held = null;
    let wasDragged = false;
    const beatAt = ({ clientX, altKey }) => {
      const { scale } = this.#view;
      const seconds = this.#view.secondsAt(clientX);
      return scale.beatAt(altKey ? seconds : scale.snapped_s(seconds));
    };
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = { x: event.clientX, beat: beatAt(event), before: marker(), isEdge: event.target === edge, patch: null };
      button.setPointerCapture(event.pointerId);
    });
    button.addEventListener("pointermove", (event) => {
      if (!held || event.pointerType === "touch") return;
      if (held.patch === null && Math.abs(event.clientX - held.x) < STILL_PX) return;
      held.patch = movedBy(held.before, beatAt(event) - held.beat, held.isEdge);
      this.#drawMarker(row, { ...held.before, ...held.patch });
    });
    button.addEventListener("pointercancel", () => {
      held = null;
      this.drawMarkers();
    });
    button.addEventListener("pointerup", () => {
      const { patch, before } = held ?? {};
      held = null;
      wasDragged = Boolean(patch);
      if (patch) this.#change(before, patch);
    });
    // Also what Enter and a finger mean. The end of a drag is a click, too.
    button.addEventListener("click", (event) => {
      if (event.detail < 2 && !wasDragged) this.#conductor.locate(marker().atBeat);
      wasDragged = false;
    });
  }

  #press(event, marker) {
    if (event.ctrlKey || event.metaKey || !this.#mayChange) return;
    const { beatsPerBar } = this.#view.scale;
    const step = event.altKey ? 0.25 : event.shiftKey ? beatsPerBar : 1;
    if (event.key === "F2") this.#told.edit(marker);
    else if (event.key === "Delete" || event.key === "Backspace") this.#remove(marker);
    else if (event.key === "ArrowLeft") this.#change(marker, movedBy(marker, -step, false));
    else if (event.key === "ArrowRight") this.#change(marker, movedBy(marker, step, false));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  async #change(marker, patch) {
    const { scale } = this.#view;
    try {
      const sent = this.#song.annotations.changeMarker(marker.id, patch);
      this.#told.say(`${marker.name} is at bar ${scale.placeAsText({ ...marker, ...patch }.atBeat)}.`);
      await sent;
    } catch (problem) {
      this.#told.failed(problem);
    }
  }

  async #remove(marker) {
    try {
      await this.#song.annotations.removeMarker(marker.id);
      this.#told.say(`${marker.name} is removed.`);
    } catch (problem) {
      this.#told.failed(problem);
    }
  }

  // --- comments ------------------------------------------------------------------------------------------------------

  #pinRow({ id, atBeat }) {
    const row = document.createElement("li");
    row.className = "pin";
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => {
      this.#conductor.locate(atBeat);
      this.#told.openComment(id);
    });
    row.append(button);
    return row;
  }

  #drawPin(row, { author, atBeat, text }) {
    row.style.setProperty("--begin", this.#view.scale.secondsAt(atBeat));
    const button = row.firstElementChild;
    button.className = colourClass(author.id ?? author.name);
    button.textContent = initials(author.name);
    button.setAttribute("aria-label", `Comment by ${author.name} at bar ${this.#view.scale.placeAsText(atBeat)}: ${text}`);
    button.title = `${author.name}: ${text}`;
  }
}

// From left to right.
function byPlace(one, other) {
  return one.atBeat - other.atBeat || (one.id < other.id ? -1 : 1);
}

// What had the focus is gone: the next one gets it, or the ruler.
function refocus(row) {
  (row?.firstElementChild ?? part("bars")).focus();
}

// Both ends of a section move together, unless it is its end that is held.
export function movedBy({ atBeat, endBeat }, beats, isEnd) {
  if (isEnd) return { endBeat: Math.max(atBeat + 1, endBeat + beats) };
  const at = Math.max(0, atBeat + beats);
  return endBeat === null ? { atBeat: at } : { atBeat: at, endBeat: at + (endBeat - atBeat) };
}
