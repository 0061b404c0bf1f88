// Which part of the timeline is seen, and how large: scrolling and zooming. All that has a place in time is drawn by the
// style from `--scale` (pixels a second), so that zooming touches no element but this one.

import { Scale } from "./scale.js";

const STEP = 1.5;
const WHEEL_PX = 300;
// Before anything is there: so many bars across.
const FIRST_BARS = 32;
const WIDEST_PX = 16_000_000;
// What can be scrolled to behind the end.
const BEYOND_BARS = 8;

export class View extends EventTarget {
  #scroller;
  #inner;
  #length_s = 0;
  #isFitted = false;
  #frame = 0;
  #fingers = new Map();
  strip_px = 200;
  clip_px = 48;
  width_px = 800;
  height_px = 400;
  left_px = 0;
  top_px = 0;

  // Events: "view" when another part is seen, "zoom" when `scale` is another.
  constructor(scroller, tempoBpm, beatsPerBar) {
    super();
    this.#scroller = scroller;
    this.#inner = scroller.firstElementChild;
    this.scale = new Scale(tempoBpm, beatsPerBar, 20);
    scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    scroller.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#wirePinch();
    new ResizeObserver(() => this.#measure()).observe(scroller);
    this.#measure();
  }

  // Seconds between the left and the right edge.
  get from_s() {
    return this.left_px / this.scale.pxPerSecond;
  }

  get to_s() {
    return (this.left_px + this.lanes_px) / this.scale.pxPerSecond;
  }

  // How wide the lanes are beside the strips.
  get lanes_px() {
    return Math.max(1, this.width_px - this.strip_px);
  }

  get length_s() {
    return this.#length_s;
  }

  set length_s(length_s) {
    this.#length_s = length_s;
    if (length_s > 0 && !this.#isFitted) this.fit();
    this.#draw();
  }

  setTempo(tempoBpm, beatsPerBar) {
    this.scale = new Scale(tempoBpm, beatsPerBar, this.scale.pxPerSecond);
    this.#draw();
    this.dispatchEvent(new Event("zoom"));
  }

  // The moment at that place of the screen. Not before the beginning.
  secondsAt(clientX) {
    const left = this.#scroller.getBoundingClientRect().left + this.strip_px;
    return Math.max(0, (clientX - left + this.#scroller.scrollLeft) / this.scale.pxPerSecond);
  }

  // Whether the lanes lie there, and not the strips or what is outside.
  hasLaneAt(clientX, clientY) {
    const box = this.#scroller.getBoundingClientRect();
    return clientX >= box.left + this.strip_px && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
  }

  // While files are dragged there: the beat on which they would begin. Nothing at null, or outside the lanes.
  hintDrop(event) {
    const line = document.getElementById("drop-line");
    line.hidden = event === null || !this.hasLaneAt(event.clientX, event.clientY);
    if (line.hidden) return;
    const at_s = this.scale.snapped_s(this.secondsAt(event.clientX));
    line.style.setProperty("--begin", at_s);
    line.firstElementChild.textContent = this.scale.placeInWords(at_s);
  }

  // All of it across.
  fit() {
    this.#isFitted = true;
    const least_s = this.scale.bar_s * 8;
    this.#zoom(this.lanes_px / Math.max(least_s, this.#length_s * 1.02), 0, 0);
  }

  zoomIn() {
    this.#zoomAround(STEP);
  }

  zoomOut() {
    this.#zoomAround(1 / STEP);
  }

  // Bring that moment into sight, a little from the left edge; nothing when it is seen.
  show(seconds) {
    if (seconds >= this.from_s && seconds <= this.to_s) return;
    this.#scroller.scrollLeft = this.scale.px(seconds) - this.lanes_px * 0.1;
  }

  #zoomAround(factor) {
    const middle_px = this.lanes_px / 2;
    this.#zoom(this.scale.pxPerSecond * factor, this.from_s + middle_px / this.scale.pxPerSecond, middle_px);
  }

  // So that `seconds` lie `at_px` from the left of the lanes.
  #zoom(pxPerSecond, seconds, at_px) {
    const most = WIDEST_PX / Math.max(60, this.#length_s);
    this.scale = new Scale(this.scale.tempoBpm, this.scale.beatsPerBar, Math.min(pxPerSecond, most));
    this.#isFitted = true;
    this.#draw();
    this.#scroller.scrollLeft = this.scale.px(seconds) - at_px;
    this.left_px = this.#scroller.scrollLeft;
    this.dispatchEvent(new Event("zoom"));
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    // Otherwise the browser zooms the page.
    event.preventDefault();
    this.#zoomAt(Math.exp(-event.deltaY / WHEEL_PX), event.clientX);
  }

  #zoomAt(factor, clientX) {
    const seconds = this.secondsAt(clientX);
    this.#zoom(this.scale.pxPerSecond * factor, seconds, this.scale.px(seconds) - this.#scroller.scrollLeft);
  }

  // Two fingers. One finger scrolls, by the browser.
  #wirePinch() {
    const spread = () => {
      const [one, other] = [...this.#fingers.values()];
      return { px: Math.max(16, Math.abs(one - other)), middle: (one + other) / 2 };
    };
    let before = null;
    this.#scroller.addEventListener("touchstart", (event) => this.#note(event), { passive: true });
    this.#scroller.addEventListener("touchmove", (event) => {
      this.#note(event);
      if (this.#fingers.size !== 2) return;
      event.preventDefault();
      const now = spread();
      if (before) this.#zoomAt(now.px / before.px, now.middle);
      before = now;
    }, { passive: false });
    for (const name of ["touchend", "touchcancel"]) {
      this.#scroller.addEventListener(name, (event) => {
        this.#note(event);
        before = null;
      }, { passive: true });
    }
  }

  #note(event) {
    this.#fingers = new Map([...event.touches].map((touch) => [touch.identifier, touch.clientX]));
  }

  #draw() {
    const bars = this.#length_s === 0 ? FIRST_BARS : BEYOND_BARS;
    this.#inner.style.setProperty("--scale", this.scale.pxPerSecond);
    this.#inner.style.setProperty("--length", this.#length_s + bars * this.scale.bar_s);
  }

  #measure() {
    this.width_px = this.#scroller.clientWidth;
    this.height_px = this.#scroller.clientHeight;
    this.#inner.style.setProperty("--across", `${this.width_px}px`);
    const style = getComputedStyle(this.#inner);
    this.strip_px = parseFloat(style.getPropertyValue("--strip")) || 200;
    this.clip_px = parseFloat(style.getPropertyValue("--clip")) || 48;
    if (!this.#isFitted) {
      this.scale = new Scale(this.scale.tempoBpm, this.scale.beatsPerBar, this.lanes_px / (FIRST_BARS * this.scale.bar_s));
      this.#draw();
      this.dispatchEvent(new Event("zoom"));
    }
    this.#look();
  }

  // Once a frame at most.
  #look() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.left_px = this.#scroller.scrollLeft;
      this.top_px = this.#scroller.scrollTop;
      this.dispatchEvent(new Event("view"));
    });
  }
}
