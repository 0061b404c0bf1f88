// The waveform of a shared mixdown, drawn from its peaks: as many bars as there is room for.

const WIDE = 240;
const TALL = 100;
const LEAST = 1;
const BAR_PX = 4;

let watching = null;

// `peaks` are from 0 to 1. The loudest is as tall as there is room.
export function draw(peaks) {
  watching?.disconnect();
  const box = document.getElementById("wave");
  watching = new ResizeObserver(() => {
    const d = shape(joined(peaks, Math.floor(box.clientWidth / BAR_PX)));
    for (const id of ["wave-all", "wave-played"]) document.getElementById(id).setAttribute("d", d);
  });
  watching.observe(box);
}

// At most so many peaks, each the highest of its stretch.
export function joined(peaks, most) {
  const count = Math.max(1, Math.min(most, peaks.length));
  const edge = (place) => Math.floor((place * peaks.length) / count);
  return Array.from({ length: count }, (_, place) => Math.max(0, ...peaks.slice(edge(place), edge(place + 1))));
}

// A bar for each peak, up and down from the middle.
function shape(peaks) {
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
