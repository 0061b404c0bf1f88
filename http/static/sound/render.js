// The session as it is played, rendered into memory as fast as the machine can: for comparisons with the mixdown.

import { Mixer, USUAL_DELAY_FRAMES } from "./mixer.js";
import { Playback } from "./playback.js";
import { clipOf, RATE_HZ, Run } from "./schedule.js";

// `tracks` as of `Player.setTracks`, each with `segments` as the studio describes them and `buffers`, all of them decoded.
// Returns an `AudioBuffer` of so many frames, from the song's beginning or from `positionFrame`.
export async function render(tracks, frames, { positionFrame = 0, loop = null, click = null } = {}) {
  const context = new OfflineAudioContext(2, frames + USUAL_DELAY_FRAMES, RATE_HZ);
  const mixer = new Mixer(context);
  await mixer.loadLimiter();
  mixer.centre();
  const byUpload = new Map(tracks.map((track) => [track.uploadId, track.buffers]));
  const run = new Run({ atFrame: 0, positionFrame, loop });
  const segments = { buffer: (id, segment) => byUpload.get(id)[segment], hold() {}, release() {} };
  const playback = new Playback(context, mixer, { run, segments });
  for (const { id, segments: about, gainDb, pan, muted, isHeard = true } of tracks) {
    const mix = { channels: about.channels, scale: about.gain, gainDb, pan, isHeard: isHeard && !muted };
    mixer.strip(id).set(mix);
  }
  const clips = tracks.map((track) => ({ ...track, clip: clipOf(track, track.segments.frames) }));
  playback.setTracks(clips, 0);
  if (click !== null) playback.setClick(click, 0);
  playback.advance(0, frames);
  const rendered = await context.startRendering();
  const heard = new AudioBuffer({ length: frames, numberOfChannels: 2, sampleRate: RATE_HZ });
  for (const side of [0, 1]) heard.copyToChannel(rendered.getChannelData(side).subarray(USUAL_DELAY_FRAMES), side);
  return heard;
}
