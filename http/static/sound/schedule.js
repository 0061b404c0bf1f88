// What is to be played when. Pure: no audio, no page, no time of its own.
//
// Everything counts in frames of 48 kHz, so that nothing is rounded twice. The song's frames are counted from its
// beginning (`position`), the context's from when it was made (`at`). A `Run` joins the two. A clip is the part of a
// file that is heard, and where in the song it is; it is played in pieces, which never go over the end of a segment.

export const RATE_HZ = 48_000;
export const SEGMENT_FRAMES = 10 * RATE_HZ;
// A shorter loop would be a tone, and schedule thousands of pieces.
export const SHORTEST_LOOP_FRAMES = RATE_HZ / 20;

// As the mixdown rounds.
export function framesOf(seconds) {
  return Math.floor(seconds * RATE_HZ + 0.5);
}

export function secondsOf(frames) {
  return frames / RATE_HZ;
}

// One way through the song: from `positionFrame`, which is played at the context's frame `atFrame`. At the end of the
// loop, `{ beginFrame, endFrame }`, it goes back to its beginning; a run that begins behind the loop stays out of it.
export class Run {
  #atFrame;
  #positionFrame;
  #loop;

  constructor({ atFrame, positionFrame, loop = null }) {
    this.#atFrame = atFrame;
    this.#positionFrame = positionFrame;
    const isLoop = loop !== null && loop.endFrame - loop.beginFrame >= SHORTEST_LOOP_FRAMES;
    this.#loop = isLoop && positionFrame < loop.endFrame ? loop : null;
  }

  get atFrame() {
    return this.#atFrame;
  }

  get isLooping() {
    return this.#loop !== null;
  }

  // Where the song is at this frame of the context; before the run has begun, less than where it begins.
  positionAt(atFrame) {
    const position = this.#positionFrame + (atFrame - this.#atFrame);
    if (this.#loop === null || position < this.#loop.endFrame) return position;
    const { beginFrame, endFrame } = this.#loop;
    return beginFrame + ((position - endFrame) % (endFrame - beginFrame));
  }

  // What is passed from one frame of the context to before another: stretches of the song without a jump, in turn.
  stretches(fromFrame, toFrame) {
    const found = [];
    let atFrame = Math.max(fromFrame, this.#atFrame);
    while (atFrame < toFrame) {
      const positionFrame = this.positionAt(atFrame);
      const left = this.#loop === null ? Infinity : this.#loop.endFrame - positionFrame;
      const frames = Math.min(toFrame - atFrame, left);
      found.push({ atFrame, positionFrame, frames });
      atFrame += frames;
    }
    return found;
  }
}

// The part of a file that is heard. `soundFrames` is the length of the whole sound. Trims do not move the sound.
//
// `beginFrame` is its first frame in the song, `sourceFrame` the same one in the file, `frames` its length.
export function clipOf(track, soundFrames) {
  const sourceFrame = Math.min(framesOf(track.trimStartSeconds ?? 0), soundFrames);
  const frames = Math.max(soundFrames - framesOf(track.trimEndSeconds ?? 0) - sourceFrame, 0);
  return {
    beginFrame: framesOf(track.offsetSeconds) + sourceFrame,
    sourceFrame,
    frames,
    fadeInFrames: Math.min(framesOf(track.fadeInSeconds ?? 0), frames),
    fadeOutFrames: Math.min(framesOf(track.fadeOutSeconds ?? 0), frames),
  };
}

// How a stretch is played of this clip: pieces, each of one segment. `clipFrame` is counted from the clip's beginning.
export function piecesOf(clip, { atFrame, positionFrame, frames }) {
  const pieces = [];
  const end = Math.min(positionFrame + frames, clip.beginFrame + clip.frames) - clip.beginFrame;
  let clipFrame = Math.max(positionFrame - clip.beginFrame, 0);
  while (clipFrame < end) {
    const inFile = clip.sourceFrame + clipFrame;
    const segment = Math.floor(inFile / SEGMENT_FRAMES);
    const offsetFrame = inFile - segment * SEGMENT_FRAMES;
    const length = Math.min(end - clipFrame, SEGMENT_FRAMES - offsetFrame);
    const at = atFrame + clip.beginFrame + clipFrame - positionFrame;
    pieces.push({ segment, offsetFrame, frames: length, clipFrame, atFrame: at });
    clipFrame += length;
  }
  return pieces;
}

// The fades that touch a part of a clip, as lines: from the value `from` at the first frame to `to` at `frames`.
// Frames are counted from the beginning of the part, and may lie outside of it. Several lines are multiplied.
export function fadesOf(clip, clipFrame, frames) {
  const lines = [];
  const { fadeInFrames, fadeOutFrames } = clip;
  const outFrame = clip.frames - fadeOutFrames;
  if (clipFrame < fadeInFrames) {
    lines.push({ beginFrame: 0 - clipFrame, endFrame: fadeInFrames - clipFrame, from: 0, to: 1 });
  }
  if (fadeOutFrames > 0 && clipFrame + frames > outFrame) {
    lines.push({ beginFrame: outFrame - clipFrame, endFrame: clip.frames - clipFrame, from: 1, to: 0 });
  }
  return lines;
}

// Clicks whose beginning is in a stretch, each on its nearest frame. `atFrame` is the context's.
export function clicksOf({ tempoBpm, beatsPerBar }, { atFrame, positionFrame, frames }) {
  const clicks = [];
  const frameOf = (beat) => framesOf((beat * 60) / tempoBpm);
  let beat = Math.ceil((secondsOf(positionFrame) * tempoBpm) / 60) - 1;
  while (frameOf(beat) < positionFrame) beat += 1;
  for (; frameOf(beat) < positionFrame + frames; beat += 1) {
    const isAccent = ((beat % beatsPerBar) + beatsPerBar) % beatsPerBar === 0;
    clicks.push({ atFrame: atFrame + frameOf(beat) - positionFrame, isAccent });
  }
  return clicks;
}

// The clicks before a start: they lead up to it, whatever beat it is on. `atFrame` is the context's frame of the start.
export function countInOf({ tempoBpm, beatsPerBar, countInBars }, atFrame) {
  const count = countInBars * beatsPerBar;
  return Array.from({ length: count }, (_, beat) => ({
    atFrame: atFrame - framesOf(((count - beat) * 60) / tempoBpm),
    isAccent: beat % beatsPerBar === 0,
  }));
}

export function countInFrames({ tempoBpm, beatsPerBar, countInBars }) {
  return framesOf((countInBars * beatsPerBar * 60) / tempoBpm);
}

// Which segments are needed for these stretches, the most urgent first. `players`: `{ uploadId, clip, isHeard }`. What
// is not heard is needed when it is unmuted, and waits for what is needed in the next `unheardAfterFrames`.
export function segmentsFor(players, stretches, unheardAfterFrames) {
  const urgencies = new Map();
  const begin = stretches[0]?.atFrame ?? 0;
  for (const { uploadId, clip, isHeard } of players) {
    for (const piece of stretches.flatMap((stretch) => piecesOf(clip, stretch))) {
      const urgency = piece.atFrame - begin + (isHeard ? 0 : unheardAfterFrames);
      const name = `${uploadId} ${piece.segment}`;
      const known = urgencies.get(name);
      if (known === undefined || urgency < known.urgency) urgencies.set(name, { uploadId, segment: piece.segment, urgency });
    }
  }
  return [...urgencies.values()].sort((one, other) => one.urgency - other.urgency);
}
