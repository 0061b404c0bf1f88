// Amounts as people read them: sizes, times, levels, places between left and right.

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const reading = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const NOTHING = number.format(0);
const UNITS = ["bytes", "kB", "MB", "GB"];

export function sizeInWords(bytes) {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${number.format(bytes / 1000 ** step)} ${UNITS[step]}`;
}

// Minutes and seconds, as on a tape counter.
export function timeInWords(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// With a sign, as on a fader: a true minus, and a plus, so that which way it goes is seen at once.
export function gainInWords(db) {
  const shown = number.format(Math.abs(db));
  return `${shown === NOTHING ? "" : signOf(db)}${shown} dB`;
}

// As on a meter, always to a tenth: −14.0 LUFS, −1.3 dBFS.
export function levelInWords(level, unit) {
  const tenths = Math.round(level * 10) / 10;
  return `${signOf(tenths)}${reading.format(Math.abs(tenths))} ${unit}`;
}

export function panInWords(pan) {
  const percent = Math.round(Math.abs(pan) * 100);
  if (percent === 0) return "Centre";
  return `${percent} % ${pan < 0 ? "left" : "right"}`;
}

export function channelsInWords(channels) {
  if (channels <= 2) return channels === 1 ? "mono" : "stereo";
  return `${channels} channels`;
}

function signOf(value) {
  if (value === 0) return "";
  return value > 0 ? "+" : "−";
}
