// What moves while it plays: the playhead, the play positions of the others, and the meters.
//
// In the loop of frames nothing is measured and nothing but transforms is set, so that the browser lays out nothing.

import { initials } from "../controls/avatar.js";

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
