// What a hand does to a track: moves its clip, trims it, fades it, slides its fader, and puts the tracks into another order.

import { movedTo, placeOf_s } from "../room/arrangement.js";

// --- clips -----------------------------------------------------------------------------------------------------------
//
// The hand on a clip: dragged it moves, by its edges it is trimmed, by the knobs at its top it is faded in and out. The
// keyboard moves it; trims and fades are numbers in the inspector.
//
// Moments snap to beats; Alt frees them. Near the edge of the lanes the song scrolls on under the hand. A finger scrolls: it moves a clip only once that is selected by a tap.

const PARTS = ["trim-start", "trim-end", "fade-in", "fade-out"];
const STILL_PX = 4;
const FINE_S = 0.01;
// So near to the edge it scrolls; a frame by so much of how near it is.
const EDGE_PX = 24;
const SCROLLED = 0.4;

export class ClipHand {
  #clip;
  #view;
  #song;
  #take;
  #told;
  #held = null;

  // `take()` is the upload that the clip shows. `told`: `moved(part)` when it was let go elsewhere, `opened()` when more is
  // asked for, `failed(problem)`.
  constructor(clip, { view, song }, take, told) {
    this.#clip = clip;
    this.#view = view;
    this.#song = song;
    this.#take = take;
    this.#told = told;
    for (const part of PARTS) {
      const handle = document.createElement("span");
      handle.className = `clip-handle ${part}`;
      handle.dataset.part = part;
      clip.append(handle);
    }
    clip.addEventListener("pointerdown", (event) => this.#grasp(event));
    clip.addEventListener("pointermove", (event) => this.#drag(event));
    clip.addEventListener("pointerup", () => this.#letGo(true));
    clip.addEventListener("pointercancel", () => this.#letGo(false));
    clip.addEventListener("keydown", (event) => this.#press(event));
    clip.addEventListener("dblclick", () => told.opened());
  }

  get isHeld() {
    return this.#held !== null;
  }

  #grasp(event) {
    const take = this.#song.mix(this.#take().id);
    if (event.button !== 0 || !take || take.durationSeconds === null) return;
    const part = event.target.dataset.part ?? "place";
    this.#held = { part, take, x: event.clientX, from: event.clientX, at_s: placeOf_s(take, part), patch: null, frame: 0 };
    this.#clip.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    const held = this.#held;
    if (!held) return;
    if (held.patch === null && Math.abs(event.clientX - held.x) < STILL_PX) return;
    held.hand = event.clientX;
    held.isFree = event.altKey || held.part.startsWith("fade");
    this.#hold(held);
    held.frame ||= requestAnimationFrame(() => this.#scroll(held));
  }

  #scroll(held) {
    if (held !== this.#held) return;
    const scroller = this.#clip.closest("#timeline-scroller");
    const { left, right } = scroller.getBoundingClientRect();
    const begin = left + this.#view.strip_px + EDGE_PX;
    const end = right - EDGE_PX;
    // Whoever has taken it there, and moves away, does not mean the edge.
    const beyond_px = held.hand > held.from ? Math.max(0, held.hand - end) : Math.min(0, held.hand - begin);
    const before_px = scroller.scrollLeft;
    scroller.scrollLeft += Math.max(-2 * EDGE_PX, Math.min(beyond_px, 2 * EDGE_PX)) * SCROLLED;
    held.x -= scroller.scrollLeft - before_px;
    if (scroller.scrollLeft !== before_px) this.#hold(held);
    held.frame = beyond_px === 0 ? 0 : requestAnimationFrame(() => this.#scroll(held));
  }

  #hold(held) {
    const { scale } = this.#view;
    const at_s = held.at_s + (held.hand - held.x) / scale.pxPerSecond;
    held.patch = movedTo(held.take, held.part, held.isFree ? at_s : scale.snapped_s(at_s));
    this.#clip.classList.add("is-held");
    this.#clip.dataset.bubble = this.#words({ ...held.take, ...held.patch }, held.part);
    this.#song.hold(held.take.id, held.patch);
  }

  async #letGo(isMeant) {
    const held = this.#held;
    this.#held = null;
    this.#clip.classList.remove("is-held");
    delete this.#clip.dataset.bubble;
    if (!held?.patch) return;
    if (isMeant) await this.#change(held.take.id, held.patch, held.part);
    else this.#song.release(held.take.id);
  }

  #words(take, part) {
    if (part.startsWith("fade")) return `${(part === "fade-in" ? take.fadeInSeconds : take.fadeOutSeconds).toFixed(2)} s`;
    return this.#view.scale.placeInWords(placeOf_s(take, part));
  }

  #press(event) {
    if (event.target !== this.#clip || event.ctrlKey || event.metaKey) return;
    const { scale } = this.#view;
    const step_s = event.altKey ? FINE_S : event.shiftKey ? scale.bar_s : scale.beat_s;
    const take = this.#song.mix(this.#take().id);
    if (event.key === "Escape" && this.#held) this.#letGo(false);
    else if (event.key === "Enter") this.#told.opened();
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const at_s = placeOf_s(take, "place") + (event.key === "ArrowLeft" ? -step_s : step_s);
      this.#change(take.id, movedTo(take, "place", at_s), "place");
    } else return;
    // Alt and an arrow is a page back, otherwise; arrows scroll.
    event.preventDefault();
    event.stopPropagation();
  }

  async #change(uploadId, patch, part) {
    try {
      const sent = this.#song.change(uploadId, patch);
      this.#told.moved(part);
      await sent;
    } catch (problem) {
      this.#told.failed(problem);
    }
  }
}

// --- faders and pans -------------------------------------------------------------------------------------------------
//
// What a slider of an upload is moved to is heard while the hand moves, and asked for once it lets go.

// `name` is what of the upload `take()` the slider is. `change(patch)` asks for it.
export function slides(slider, name, song, { take, change }) {
  let held = null;
  const release = () => {
    if (held !== null) song.release(held, [name]);
    held = null;
  };
  slider.addEventListener("input", () => {
    if (held !== take().id) release();
    held = take().id;
    song.hold(held, { [name]: Number(slider.value) });
  });
  slider.addEventListener("change", () => {
    if (held !== take().id) release();
    held = null;
    change({ [name]: Number(slider.value) });
  });
  slider.addEventListener("blur", release);
  // A slider that comes back to where it was taken is changed for no browser: nothing was meant then.
  slider.addEventListener("pointerdown", ({ pointerId }) => {
    const from = slider.value;
    const over = new AbortController();
    const letGo = (event) => {
      if (event.pointerId !== pointerId) return;
      over.abort();
      if (event.type === "pointercancel" || slider.value === from) release();
    };
    for (const type of ["pointerup", "pointercancel"]) addEventListener(type, letGo, { signal: over.signal });
  });
  slider.addEventListener("dblclick", () => change({ [name]: 0 }));
}

// --- the order of the tracks -----------------------------------------------------------------------------------------
//
// Tracks are put into another order: by dragging their strips (with a finger: the grip), and by Alt with up and down.

const STILL_ROW_PX = 6;

// `moved(place)` is told where among the rows this one comes to stand.
export function reorders(row, strip, moved) {
  let held = null;

  const places = () => [...row.parentElement.children];
  const letGo = (isMeant) => {
    const { by } = held ?? {};
    held = null;
    row.classList.remove("is-held");
    row.style.removeProperty("transform");
    for (const each of places()) each.classList.remove("gives-way");
    if (isMeant && by) moved(places().indexOf(row) + by);
  };

  strip.addEventListener("pointerdown", (event) => {
    const isGrip = event.target.closest(".track-grip") !== null;
    if (event.button !== 0 || event.target.closest("button, input")) return;
    if (event.pointerType === "touch" && !isGrip) return;
    held = { y: event.clientY, by: 0, height_px: row.offsetHeight };
    strip.setPointerCapture(event.pointerId);
  });
  strip.addEventListener("pointermove", (event) => {
    if (!held) return;
    const moved_px = event.clientY - held.y;
    if (Math.abs(moved_px) < STILL_ROW_PX && held.by === 0) return;
    const at = places().indexOf(row);
    const by = Math.round(moved_px / held.height_px);
    held.by = Math.min(Math.max(by, -at), places().length - 1 - at);
    row.classList.add("is-held");
    row.style.setProperty("transform", `translateY(${moved_px}px)`);
    const target = places()[at + held.by];
    for (const each of places()) each.classList.toggle("gives-way", each === target && each !== row);
  });
  strip.addEventListener("pointerup", () => letGo(true));
  strip.addEventListener("pointercancel", () => letGo(false));
  row.addEventListener("keydown", (event) => {
    if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const place = places().indexOf(row) + (event.key === "ArrowUp" ? -1 : 1);
    if (place >= 0 && place < places().length) moved(place);
  });
}
