// The ruler: bars with their numbers and, down through the tracks, their lines; the loop; and where one presses to go there.
//
// Only what is in sight, and a screen beside it, has lines.

const STILL_PX = 4;

export class Ruler {
  #view;
  #conductor;
  #bars = document.getElementById("bars");
  #grid = document.getElementById("timeline-grid");
  #loop = document.getElementById("ruler-loop");
  #shade = document.createElement("div");
  #drawn = "";
  #held = null;
  #mayMove;

  // `mayMove` says whether the loop may be changed here.
  constructor(view, conductor, mayMove) {
    this.#view = view;
    this.#conductor = conductor;
    this.#mayMove = mayMove;
    this.#shade.className = "loop-shade";
    this.#bars.addEventListener("pointerdown", (event) => this.#grasp(event, "new"));
    this.#bars.addEventListener("pointermove", (event) => this.#drag(event));
    this.#bars.addEventListener("pointerup", (event) => this.#letGo(event));
    this.#bars.addEventListener("pointercancel", () => this.#drop());
    this.#bars.addEventListener("keydown", (event) => this.#press(event));
    for (const edge of this.#loop.querySelectorAll(".loop-edge")) {
      edge.addEventListener("pointerdown", (event) => this.#grasp(event, edge.dataset.edge));
      edge.addEventListener("pointermove", (event) => this.#drag(event));
      edge.addEventListener("pointerup", (event) => this.#letGo(event));
      edge.addEventListener("pointercancel", () => this.#drop());
    }
  }

  // --- drawing -------------------------------------------------------------------------------------------------------

  draw() {
    const { scale, from_s, to_s } = this.#view;
    const { barsPerLine, barsPerLabel, hasBeats } = scale.grid;
    const screen_s = to_s - from_s;
    // In whole screens, so that most of scrolling draws nothing.
    const first_s = Math.max(0, (Math.floor(from_s / screen_s) - 1) * screen_s);
    const drawn = `${first_s} ${scale.pxPerSecond} ${scale.tempoBpm} ${scale.beatsPerBar} ${screen_s}`;
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const lines = [this.#shade];
    const labels = [];
    const first = Math.floor(first_s / scale.bar_s / barsPerLine) * barsPerLine;
    const last = Math.ceil((first_s + 4 * screen_s) / scale.bar_s);
    for (let bar = first; bar <= last; bar += barsPerLine) {
      lines.push(mark("bar-line", bar * scale.bar_s));
      if (bar % barsPerLabel === 0) labels.push(mark("bar-label", bar * scale.bar_s, String(bar + 1)));
      if (!hasBeats) continue;
      for (let beat = 1; beat < scale.beatsPerBar; beat += 1) {
        lines.push(mark("beat-line", bar * scale.bar_s + beat * scale.beat_s));
      }
    }
    this.#grid.replaceChildren(...lines);
    this.#bars.replaceChildren(...labels);
  }

  drawLoop(loop = this.#conductor.loop) {
    for (const each of [this.#loop, this.#shade]) {
      each.hidden = loop === null;
      if (loop === null) continue;
      each.style.setProperty("--begin", this.#view.scale.secondsAt(loop.startBeat));
      each.style.setProperty("--length", this.#view.scale.secondsAt(loop.endBeat - loop.startBeat));
    }
  }

  // For whoever hears where it is instead of seeing it.
  tell(beat) {
    const { scale } = this.#view;
    const words = `bar ${scale.placeAsText(Math.floor(beat))}`;
    if (this.#bars.getAttribute("aria-valuetext") === words) return;
    this.#bars.setAttribute("aria-valuetext", words);
    this.#bars.setAttribute("aria-valuenow", String(Math.floor(beat)));
    this.#bars.setAttribute("aria-valuemax", String(Math.max(Math.floor(beat), Math.ceil(scale.beatAt(this.#view.length_s)))));
  }

  // --- the hand ------------------------------------------------------------------------------------------------------

  #grasp(event, edge) {
    if (event.button !== 0) return;
    // A finger scrolls, and locates when it is lifted; the loop's edges it may hold.
    const beat = this.#beatAt(event);
    const { loop } = this.#conductor;
    const anchor = edge === "new" ? beat : edge === "start" ? loop.endBeat : loop.startBeat;
    this.#held = { x: event.clientX, anchor, loop: null, isNew: edge === "new" };
    event.target.setPointerCapture(event.pointerId);
    event.stopPropagation();
  }

  #drag(event) {
    const held = this.#held;
    if (!held || !this.#mayMove() || (held.isNew && event.pointerType === "touch")) return;
    if (held.loop === null && Math.abs(event.clientX - held.x) < STILL_PX) return;
    const beat = this.#beatAt(event);
    const [startBeat, endBeat] = [Math.min(held.anchor, beat), Math.max(held.anchor, beat)];
    held.loop = endBeat > startBeat ? { startBeat, endBeat } : null;
    this.drawLoop(held.loop ?? this.#conductor.loop);
  }

  #letGo(event) {
    const held = this.#held;
    this.#held = null;
    if (held?.loop) this.#conductor.setLoop(held.loop);
    else if (held?.isNew) this.#conductor.locate(this.#beatAt(event));
    this.drawLoop();
  }

  #drop() {
    this.#held = null;
    this.drawLoop();
  }

  #beatAt({ clientX, altKey }) {
    const { scale } = this.#view;
    const seconds = this.#view.secondsAt(clientX);
    return scale.beatAt(altKey ? seconds : scale.snapped_s(seconds));
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { beat } = this.#conductor.position();
    const { scale, length_s } = this.#view;
    const step = event.shiftKey ? scale.beatsPerBar : 1;
    const targets = {
      ArrowLeft: Math.ceil(beat - 1e-6) - step,
      ArrowRight: Math.floor(beat + 1e-6) + step,
      PageUp: beat + scale.beatsPerBar,
      PageDown: beat - scale.beatsPerBar,
      Home: 0,
      End: scale.beatAt(length_s),
    };
    if (event.key in targets) this.#conductor.locate(Math.max(0, targets[event.key]));
    else if (["[", "]"].includes(event.key) && this.#mayMove()) this.#bound(event.key, Math.round(beat));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The loop begins or ends at that beat.
  #bound(key, beat) {
    const { scale } = this.#view;
    const loop = this.#conductor.loop ?? { startBeat: beat, endBeat: beat + scale.beatsPerBar };
    const startBeat = key === "[" ? beat : Math.min(loop.startBeat, Math.max(0, beat - 1));
    const endBeat = key === "]" ? Math.max(beat, 1) : Math.max(loop.endBeat, beat + 1);
    this.#conductor.setLoop({ startBeat, endBeat });
  }
}

function mark(name, seconds, text = "") {
  const line = document.createElement("span");
  line.className = name;
  line.style.setProperty("--begin", seconds);
  line.textContent = text;
  return line;
}
