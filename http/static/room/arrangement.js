// How uploads make up a song: which are takes of one track, in what order, and when each sounds. Pure: no page, no network.
//
// A track is all uploads with the same `takeOf`; one take of it is chosen, and heard. `offsetSeconds` is where the file's
// own beginning lies in the song; trims cut from it without moving the rest.

export const SHORTEST_S = 0.01;
export const LATEST_S = 3600;
export const LONGEST_FADE_S = 600;

const SOUND = /^(audio|video)\//;

// Whether it can have a place among the tracks. Pictures cannot.
export function isSound(upload) {
  return SOUND.test(upload.mimeType);
}

export function beginsAt_s({ offsetSeconds, trimStartSeconds }) {
  return offsetSeconds + trimStartSeconds;
}

// While nobody knows how long it is, it ends where it begins.
export function endsAt_s(upload) {
  return beginsAt_s(upload) + length_s(upload);
}

export function length_s({ durationSeconds, trimStartSeconds, trimEndSeconds }) {
  return Math.max(0, (durationSeconds ?? 0) - trimStartSeconds - trimEndSeconds);
}

// Tracks in their order, of uploads that sound. `{ id, name, position, userId, takes, chosen }`, takes oldest first.
export function groupTracks(uploads) {
  const takesOf = new Map();
  for (const upload of [...uploads].sort(byAge)) {
    if (!isSound(upload)) continue;
    if (!takesOf.has(upload.takeOf)) takesOf.set(upload.takeOf, []);
    takesOf.get(upload.takeOf).push(upload);
  }
  const tracks = [...takesOf].map(([id, takes]) => {
    const chosen = takes.find((take) => take.chosen) ?? takes.at(-1);
    return { id, name: chosen.name, position: chosen.position, userId: chosen.userId, takes, chosen };
  });
  return tracks.sort((one, other) => one.position - other.position || byAge(one.takes[0], other.takes[0]));
}

// What the other takes of its track are, once `upload` is as it is: they share name and position, and one is chosen.
export function takesBeside(upload, uploads) {
  const others = uploads.filter(({ id, takeOf }) => id !== upload.id && takeOf === upload.takeOf);
  const { name, position } = upload;
  return others.map((take) => ({ ...take, name, position, chosen: take.chosen && !upload.chosen }));
}

// The position to ask for, so that the track comes to stand at `place` among the others (`tracks` with itself in it).
export function positionAt(tracks, trackId, place) {
  const others = tracks.filter(({ id }) => id !== trackId).map(({ position }) => position);
  if (others.length === 0) return 0;
  if (place <= 0) return others[0] - 1;
  if (place >= others.length) return others.at(-1) + 1;
  return (others[place - 1] + others[place]) / 2;
}

// What to change so that this part of a clip comes to lie at that moment of the song, as far as it can: its "place" (where
// it begins), an edge ("trim-start", "trim-end"), or the inner end of a fade ("fade-in", "fade-out").
export function movedTo(upload, part, at_s) {
  const { offsetSeconds, durationSeconds, trimStartSeconds, trimEndSeconds } = upload;
  const longest_s = durationSeconds - SHORTEST_S;
  const longestFade_s = Math.min(length_s(upload), LONGEST_FADE_S);
  switch (part) {
    case "place":
      return { offsetSeconds: between(at_s - trimStartSeconds, 0, LATEST_S) };
    case "trim-start":
      return { trimStartSeconds: between(at_s - offsetSeconds, 0, longest_s - trimEndSeconds) };
    case "trim-end":
      return { trimEndSeconds: between(offsetSeconds + durationSeconds - at_s, 0, longest_s - trimStartSeconds) };
    case "fade-in":
      return { fadeInSeconds: between(at_s - beginsAt_s(upload), 0, longestFade_s) };
    case "fade-out":
      return { fadeOutSeconds: between(endsAt_s(upload) - at_s, 0, longestFade_s) };
  }
}

// Where that part of the clip lies now.
export function placeOf_s(upload, part) {
  const places = {
    "place": beginsAt_s,
    "trim-start": beginsAt_s,
    "trim-end": endsAt_s,
    "fade-in": (clip) => beginsAt_s(clip) + Math.min(clip.fadeInSeconds, length_s(clip)),
    "fade-out": (clip) => endsAt_s(clip) - Math.min(clip.fadeOutSeconds, length_s(clip)),
  };
  return places[part](upload);
}

// To a microsecond: less than a sample, and no more digits than are meant.
function between(seconds, least, most) {
  return Math.round(Math.max(least, Math.min(seconds, most)) * 1e6) / 1e6;
}

function byAge(one, other) {
  return new Date(one.createdAt) - new Date(other.createdAt) || (one.id < other.id ? -1 : 1);
}
