// What somebody did, as a sentence goes on after their name. Without the page, so that it can be read by itself.

import { gainInWords, panInWords } from "../controls/quantities.js";

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 3 });
const ROLES = { owner: "the owner", editor: "an editor", listener: "a listener" };
const quoted = (value) => `“${value}”`;
const seconds = (value) => `${number.format(value)} s`;

export function inWords(event) {
  const name = event.subjectName;
  switch (event.kind) {
    case "upload.added":
      return `added ${name}`;
    case "upload.changed":
      return mixInWords(event);
    case "upload.removed":
      return `removed ${name}`;
    case "upload.restored":
      return `brought ${name} back`;
    case "export.requested":
      return `asked for ${exported(name)}`;
    case "export.removed":
      return `removed ${exported(name)}`;
    case "share.added":
      return `made a link to the mixdown ${name}`;
    case "share.removed":
      return `revoked a link to the mixdown ${name}`;
    case "member.joined":
      return "joined the session";
    case "member.left":
      return "left the session";
    case "member.removed":
      return `removed ${name} from the session`;
    case "member.changed":
      return roleInWords(event);
    case "session.changed":
      return sessionInWords(event);
    case "marker.added":
      return `set the marker ${name}`;
    case "marker.changed":
      return markerInWords(event);
    case "marker.removed":
      return `removed the marker ${name}`;
    case "marker.restored":
      return `brought the marker ${name} back`;
    case "comment.removed":
      return `removed a comment by ${name}`;
    default:
      // A studio that is newer than this page.
      return `did something to ${name}`;
  }
}

// What was exported: the studio names its archives itself.
function exported(name) {
  return name.endsWith(" stems.zip") ? `the stems ${name}` : `the mixdown ${name}`;
}

function roleInWords({ actor, subjectId, subjectName, after }) {
  // By an editor's invite, which they have accepted themselves.
  if (actor.id === subjectId) return `is ${ROLES[after]} now`;
  return after === "owner" ? `passed the session on to ${subjectName}` : `made ${subjectName} ${ROLES[after]}`;
}

function mixInWords(event) {
  const name = event.subjectName;
  switch (event.field) {
    case "gainDb":
      return moved(event, `moved the gain of ${name}`, gainInWords);
    case "pan":
      return moved(event, `panned ${name}`, panInWords);
    case "offsetSeconds":
      return moved(event, `moved ${name}`, seconds);
    case "trimStartSeconds":
      return moved(event, `trimmed the beginning of ${name}`, seconds);
    case "trimEndSeconds":
      return moved(event, `trimmed the end of ${name}`, seconds);
    case "fadeInSeconds":
      return moved(event, `set the fade-in of ${name}`, seconds);
    case "fadeOutSeconds":
      return moved(event, `set the fade-out of ${name}`, seconds);
    case "name":
      return moved(event, "renamed a track", quoted);
    case "position":
      return orderInWords(event);
    case "takeOf":
      return event.after === event.subjectId ? `made ${name} a track of its own` : `moved a take to the track ${name}`;
    case "chosen":
      return choiceInWords(event);
    case "muted":
      if (event.before === event.after) return event.after ? `unmuted ${name} and muted it again` : `muted ${name} and unmuted it again`;
      return event.after ? `muted ${name}` : `unmuted ${name}`;
    default:
      return `changed ${name}`;
  }
}

function orderInWords({ subjectName, before, after, undoes }) {
  if (before === after) return `moved ${subjectName} in the order of the tracks and back`;
  return `moved ${subjectName} ${undoes ? "back " : ""}${after < before ? "up" : "down"}`;
}

function choiceInWords({ subjectName, before, after, undoes }) {
  if (before === after) return `chose another take of ${subjectName} and went back`;
  return undoes ? `went back to the take of ${subjectName} before` : `chose another take of ${subjectName}`;
}

function sessionInWords(event) {
  switch (event.field) {
    case "name":
      return moved(event, "renamed the session", quoted);
    case "tempoBpm":
      return moved(event, "set the tempo", (value) => `${number.format(value)} BPM`);
    case "beatsPerBar":
      return moved(event, "set the metre", (value) => `${number.format(value)} beats a bar`);
    default:
      return "changed the session";
  }
}

function markerInWords(event) {
  const what = `the marker ${event.subjectName}`;
  if (event.field === "name") return moved(event, "renamed a marker", (value) => `“${value}”`);
  return event.field === "place" ? moved(event, `moved ${what}`, placeInWords) : `changed ${what}`;
}

// Beats are counted from 1, as bars are.
function placeInWords([atBeat, endBeat]) {
  const from = number.format(atBeat + 1);
  return endBeat === undefined ? `beat ${from}` : `beats ${from}–${number.format(endBeat + 1)}`;
}

function moved({ before, after, undoes }, what, valueInWords) {
  if (JSON.stringify(before) === JSON.stringify(after)) return `${what} away from ${valueInWords(before)} and back`;
  return `${what}${undoes ? " back" : ""} from ${valueInWords(before)} to ${valueInWords(after)}`;
}
