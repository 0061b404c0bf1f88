// WAV files of 24 bits: the header, and sound as its bytes. Pure.
//
// A header that is written before the sound cannot have its length. RIFF has 0xFFFFFFFF for that ("until the end"); the
// studio writes the sizes there once the upload is complete.

export const HEADER_BYTES = 44;
export const BYTES_PER_SAMPLE = 3;
const UNKNOWN = 0xffffffff;
const FULL_SCALE = 2 ** 23;
const PCM = 1;

// `dataBytes` is the length of what follows, or null when nobody knows. What is no whole frame at its end is no sound.
export function wavHeader({ channels, sampleRate }, dataBytes = null) {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  const frameBytes = channels * BYTES_PER_SAMPLE;
  const words = (at, text) => [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  words(0, "RIFF");
  view.setUint32(4, dataBytes === null ? UNKNOWN : HEADER_BYTES - 8 + dataBytes, true);
  words(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, PCM, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 8 * BYTES_PER_SAMPLE, true);
  words(36, "data");
  view.setUint32(40, dataBytes === null ? UNKNOWN : dataBytes - (dataBytes % frameBytes), true);
  return header;
}

// Write the frames `begin` to `end` of `channels` (arrays of samples from -1 to 1) into `bytes`, from byte `at` on.
// What is over full scale is cut off. Returns the byte after the last one.
export function writeFrames(bytes, at, channels, begin, end) {
  for (let frame = begin; frame < end; frame += 1) {
    for (const samples of channels) {
      const scaled = Math.round(samples[frame] * FULL_SCALE);
      // Anything that is not a number is silence.
      const value = Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, scaled)) | 0;
      bytes[at] = value;
      bytes[at + 1] = value >> 8;
      bytes[at + 2] = value >> 16;
      at += BYTES_PER_SAMPLE;
    }
  }
  return at;
}
