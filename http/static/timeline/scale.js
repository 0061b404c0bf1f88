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
    if (beats === 0 || Math.abs(this.secondsAt(beats) - seconds) > 0.05 * this.beat_s) return `${number.format(seconds)} seconds`;
    const bars = Math.floor(beats / this.beatsPerBar);
    return [counted(bars, "bar"), counted(beats % this.beatsPerBar, "beat")].filter(Boolean).join(" and ");
  }
}

function counted(count, noun) {
  if (count === 0) return "";
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
