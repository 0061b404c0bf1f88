// The ruler, and what moves below it while the song plays.

import { initials } from "../room/roster.js";

// --- the ruler -------------------------------------------------------------------------------------------------------
//
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

// --- playheads and meters --------------------------------------------------------------------------------------------
//
// What moves while it plays: the playhead, the play positions of the others, and the meters.
//
// In the loop of frames nothing is measured and nothing but transforms is set, so that the browser lays out nothing.

// After the end the meters fall.
const AFTERWARDS_MS = 1_500;
// The view turns over when the playhead is so far across.
const TURN_AT = 0.94;
const OWN_SCROLL_MS = 200;

export class Playheads {
  #view;
  #conductor;
  #player;
  #rows;
  // Lines through the tracks, and what stands on them in the ruler.
  #boxes;
  #mine;
  #others = new Map();
  #told;
  #frame = 0;
  #stopped_ms = 0;
  #isFollowing = true;
  #wasPlaying = false;
  #scrolled_ms = 0;
  #turnOf = 0;

  // `rows()` are the tracks' rows. `told.at(beat)` hears where it is, `told.turn(left_px)` turns the view over.
  constructor(boxes, { view, conductor, player }, rows, told) {
    this.#boxes = boxes;
    this.#mine = boxes.map((box) => box.firstElementChild);
    this.#view = view;
    this.#conductor = conductor;
    this.#player = player;
    this.#rows = rows;
    this.#told = told;
  }

  // Something begins, ends or stands elsewhere.
  wake() {
    const { isPlaying } = this.#conductor;
    if (isPlaying && !this.#wasPlaying) this.#isFollowing = true;
    if (!isPlaying && this.#wasPlaying) this.#stopped_ms = performance.now();
    this.#wasPlaying = isPlaying;
    for (const box of this.#boxes) box.classList.toggle("is-live", isPlaying);
    this.#seatOthers();
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  // Somebody scrolls by hand: the view stays where it was put.
  scrolled() {
    if (performance.now() - this.#scrolled_ms > OWN_SCROLL_MS) this.#isFollowing = false;
  }

  // Follow again, from where it is now.
  follow() {
    this.#isFollowing = true;
  }

  #draw() {
    const { isPlaying, others } = this.#conductor;
    const { beat, seconds } = this.#conductor.position();
    const { scale } = this.#view;
    shift(this.#mine, scale.px(seconds));
    this.#told.at(beat);
    for (const other of others) {
      shift(this.#others.get(other.memberId) ?? [], scale.px(scale.secondsAt(other.beat())));
    }
    const hasMeters = isPlaying || performance.now() - this.#stopped_ms < AFTERWARDS_MS;
    this.#drawLevels(hasMeters);
    if (isPlaying) this.#turn(scale.px(seconds));
    const goesOn = hasMeters || others.some((other) => other.isPlaying);
    this.#frame = goesOn ? requestAnimationFrame(() => this.#draw()) : 0;
  }

  // In a frame every second row's: thirty times a second is enough for a meter.
  #drawLevels(hasMeters) {
    this.#turnOf = 1 - this.#turnOf;
    let place = 0;
    for (const row of this.#rows()) {
      place += 1;
      if (!row.isSeen || (hasMeters && place % 2 !== this.#turnOf)) continue;
      row.drawLevel(hasMeters ? this.#player.levelOf(row.track.id) : null);
    }
  }

  #turn(at_px) {
    if (!this.#isFollowing) return;
    const { left_px, lanes_px } = this.#view;
    if (at_px >= left_px && at_px <= left_px + lanes_px * TURN_AT) return;
    this.#scrolled_ms = performance.now();
    this.#told.turn(Math.max(0, at_px - lanes_px * 0.06));
  }

  #seatOthers() {
    const { others } = this.#conductor;
    const there = new Set(others.map(({ memberId }) => memberId));
    for (const [memberId, ticks] of this.#others) {
      if (there.has(memberId)) continue;
      for (const tick of ticks) tick.remove();
      this.#others.delete(memberId);
    }
    for (const { memberId, name, colorClass } of others) {
      if (!this.#others.has(memberId)) this.#others.set(memberId, this.#boxes.map(newTick));
      const [line, head] = this.#others.get(memberId);
      line.className = `other-playhead ${colorClass}`;
      head.className = `other-head ${colorClass}`;
      head.textContent = initials(name);
    }
  }
}

function newTick(box) {
  const tick = document.createElement("div");
  box.append(tick);
  return tick;
}

function shift(ticks, px) {
  for (const tick of ticks) tick.style.setProperty("transform", `translateX(${px.toFixed(1)}px)`);
}
