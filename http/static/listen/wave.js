// The waveform of a shared mixdown, drawn from its peaks.

const WIDE = 240;
const TALL = 100;
const LEAST = 1;

// `peaks` are from 0 to 1. The loudest is as tall as there is room.
export function draw(peaks) {
  const d = shape(peaks);
  for (const id of ["wave-all", "wave-played"]) document.getElementById(id).setAttribute("d", d);
}

// A bar for each peak, up and down from the middle.
export function shape(peaks) {
  const scale = TALL / 2 / Math.max(...peaks, 0.01);
  const step = WIDE / peaks.length;
  const bars = peaks.map((peak, place) => {
    const half = Math.max(peak * scale, LEAST);
    return `M${tenths((place + 0.5) * step)} ${tenths(TALL / 2 - half)}v${tenths(2 * half)}`;
  });
  return bars.join("");
}

function tenths(value) {
  return String(Math.round(value * 10) / 10);
}
