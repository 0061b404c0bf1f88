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
  #box;
  #head;
  #others = new Map();
  #told;
  #frame = 0;
  #stopped_ms = 0;
  #isFollowing = true;
  #wasPlaying = false;
  #scrolled_ms = 0;

  // `rows()` are the tracks' rows. `told.at(beat)` hears where it is, `told.turn(left_px)` turns the view over.
  constructor(box, { view, conductor, player }, rows, told) {
    this.#box = box;
    this.#head = box.firstElementChild;
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
    this.#box.classList.toggle("is-live", isPlaying);
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
    this.#head.style.setProperty("transform", `translateX(${scale.px(seconds).toFixed(1)}px)`);
    this.#told.at(beat);
    for (const other of others) {
      const tick = this.#others.get(other.memberId);
      tick?.style.setProperty("transform", `translateX(${scale.px(scale.secondsAt(other.beat())).toFixed(1)}px)`);
    }
    const hasMeters = isPlaying || performance.now() - this.#stopped_ms < AFTERWARDS_MS;
    for (const row of this.#rows()) if (row.isSeen) row.drawLevel(hasMeters ? this.#player.levelOf(row.track.id) : null);
    if (isPlaying) this.#turn(scale.px(seconds));
    const goesOn = hasMeters || others.some((other) => other.isPlaying);
    this.#frame = goesOn ? requestAnimationFrame(() => this.#draw()) : 0;
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
    for (const [memberId, tick] of this.#others) {
      if (there.has(memberId)) continue;
      tick.remove();
      this.#others.delete(memberId);
    }
    for (const { memberId, name, colorClass } of others) {
      if (!this.#others.has(memberId)) {
        const tick = document.createElement("div");
        tick.append(document.createElement("b"));
        this.#box.append(tick);
        this.#others.set(memberId, tick);
      }
      const tick = this.#others.get(memberId);
      tick.className = `other-playhead ${colorClass}`;
      tick.firstElementChild.textContent = initials(name);
    }
  }
}
