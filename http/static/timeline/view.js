// Which part of the timeline is seen, and how large: scrolling and zooming. All that has a place in time is drawn by the
// style from `--scale` (pixels a second), so that zooming touches no element but this one.

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
      if (this.#fingers.size !== 2) return null;
      const [one, other] = [...this.#fingers.values()];
      return { px: Math.max(16, Math.abs(one - other)), middle: (one + other) / 2 };
    };
    let before = null;
    this.#scroller.addEventListener("touchmove", (event) => {
      this.#note(event);
      const now = spread();
      if (!now) return;
      event.preventDefault();
      if (before) this.#zoomAt(now.px / before.px, now.middle);
      before = now;
    }, { passive: false });
    for (const name of ["touchstart", "touchend", "touchcancel"]) {
      this.#scroller.addEventListener(name, (event) => {
        this.#note(event);
        before = spread();
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

// --- the scale -------------------------------------------------------------------------------------------------------
//
// From seconds to beats, bars and pixels, and all of it in words. Pure: knows no page.
//
// Beats count from 0, as in the transport. Bars and beats that people read count from 1: beat 64 of 4/4 is bar 17.

export const LEAST_ZOOM = 0.02;
export const MOST_ZOOM = 800;
// Nearer to a beat than this nobody hears a difference.
const ON_BEAT_S = 0.005;
const LABEL_PX = 44;
const LINE_PX = 10;

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

export class Scale {
  constructor(tempoBpm, beatsPerBar, pxPerSecond) {
    this.tempoBpm = tempoBpm;
    this.beatsPerBar = beatsPerBar;
    this.pxPerSecond = Math.min(Math.max(pxPerSecond, LEAST_ZOOM), MOST_ZOOM);
  }

  get beat_s() {
    return 60 / this.tempoBpm;
  }

  get bar_s() {
    return this.beat_s * this.beatsPerBar;
  }

  beatAt(seconds) {
    return seconds / this.beat_s;
  }

  secondsAt(beat) {
    return beat * this.beat_s;
  }

  px(seconds) {
    return seconds * this.pxPerSecond;
  }

  // The nearest beat's moment, or the nearest bar's where beats are too narrow to aim at.
  snapped_s(seconds) {
    const step_s = this.px(this.beat_s) >= LINE_PX / 2 ? this.beat_s : this.bar_s;
    return Math.max(0, Math.round(seconds / step_s) * step_s);
  }

  // Which bars have a line and which a number, so that they do not crowd: every first, second, fourth, ... And whether
  // beats have lines.
  get grid() {
    const step = (least_px) => 2 ** Math.max(0, Math.ceil(Math.log2(least_px / this.px(this.bar_s))));
    return { barsPerLine: step(LINE_PX), barsPerLabel: step(LABEL_PX), hasBeats: this.px(this.beat_s) >= LINE_PX };
  }

  // "17", "17.3" or, between beats, "17.3.25" with hundredths of a beat.
  placeAsText(beat) {
    const hundredths = Math.round(beat * 100);
    const whole = Math.floor(hundredths / 100);
    const bar = Math.floor(whole / this.beatsPerBar) + 1;
    const inBar = (whole % this.beatsPerBar) + 1;
    const rest = hundredths % 100;
    if (rest !== 0) return `${bar}.${inBar}.${String(rest).padStart(2, "0")}`;
    return inBar === 1 ? String(bar) : `${bar}.${inBar}`;
  }

  // The beat that such a text means. Null when it means none.
  beatOfText(text) {
    const match = /^\s*(?:bar\s*)?(\d+)(?:\.(\d+))?(?:\.(\d{1,2}))?\s*$/i.exec(text);
    if (!match) return null;
    const [bar, inBar, hundredths] = [Number(match[1]), Number(match[2] ?? 1), Number((match[3] ?? "0").padEnd(2, "0"))];
    if (bar < 1 || inBar < 1 || inBar > this.beatsPerBar) return null;
    return (bar - 1) * this.beatsPerBar + inBar - 1 + hundredths / 100;
  }

  // "bar 3", "bar 3.2", "bar 3.2 and 120 ms".
  placeInWords(seconds) {
    const beat = Math.floor(this.beatAt(seconds + ON_BEAT_S));
    const late_ms = Math.round((seconds - this.secondsAt(beat)) * 1000);
    return `bar ${this.placeAsText(beat)}${late_ms > ON_BEAT_S * 1000 ? ` and ${late_ms} ms` : ""}`;
  }

  // "12 bars", "1 bar and 2 beats", "3 beats"; what is no whole number of beats in seconds.
  lengthInWords(seconds) {
    const beats = Math.round(this.beatAt(seconds));
    if (beats === 0 || Math.abs(this.secondsAt(beats) - seconds) > 0.05 * this.beat_s) return counted(number.format(seconds), "second");
    const bars = Math.floor(beats / this.beatsPerBar);
    const rest = beats % this.beatsPerBar;
    return [bars > 0 && counted(bars, "bar"), rest > 0 && counted(rest, "beat")].filter(Boolean).join(" and ");
  }
}

// `count` as it is written.
function counted(count, noun) {
  return `${count} ${noun}${String(count) === "1" ? "" : "s"}`;
}
