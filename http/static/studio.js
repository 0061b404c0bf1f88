// The studio: joins the parts of the page; each owns its own corner of it. What is not needed at first is loaded later.

import { ask } from "./controls/api.js";
import { LatePlayer, laterParts } from "./later.js";
import { Tabs } from "./panels/tabs.js";
import { listenToKeys, SessionHead, TransportBar } from "./panels/top_bar.js";
import { Conductor } from "./room/conductor.js";
import { isGenuine, Rights, Roster, whose } from "./room/roster.js";
import { Song } from "./room/song.js";
import { presentStatus, Visit } from "./room/visit.js";
import { Timeline } from "./timeline/timeline.js";
import { takesFiles } from "./uploading/sending.js";

const LOOK_EVERY_MS = 10_000;
// What is older when it is added was not added, but brought back from the bin.
const FRESH_MS = 120_000;
// As in `room/recordings.js`, which is loaded when somebody records.
const RECORDING = "recording.";
const SIGNED_OUT = "You are signed out.";
const NOT_SHARED = "This session is not shared with you any more.";
const DELETED = "This session was deleted.";
const OTHERS_NOT_FOUND = /^(?!session_).*_not_found$/u;
const NEW_ROLE = {
  owner: "This session is yours now.",
  editor: "You are an editor in this session now.",
  listener: "You are a listener in this session now.",
};

const part = (id) => document.getElementById(id);
const { session: sessionId, person: memberId, role } = part("main").dataset;
const rights = new Rights(role, memberId);
const tabs = new Tabs();
const roster = new Roster(part("roster"), part("stack"), memberId);
const head = new SessionHead(sessionId, rights.isOwner, retitled);
const player = new LatePlayer();
const song = new Song({ ...head.session, id: sessionId }, memberId, { lost, failed: (words) => timeline?.fail(words) });
const conductor = new Conductor({ player, song, rights, memberId });
const bar = new TransportBar({ conductor, player, record });
const visit = new Visit(sessionId, memberId, roster, {
  begun,
  connected,
  disconnected,
  ended: () => refresh(),
  message: heard,
  drawn: drawState,
  words: connectionWords,
  lost,
});
const timeline = new Timeline(part("timeline"), {
  song, conductor, player, rights, roster, memberId,
  panels: {
    openComment: async (id) => {
      tabs.show("comments");
      (await loaded.comments()).open(id);
    },
    newComment: async (pin) => {
      tabs.show("comments");
      (await loaded.comments()).write(pin);
    },
    tell: (words) => talk?.event(words),
    record: async (trackId) => (await loaded.recording().catch(() => null))?.arm(trackId),
  },
});

// --- what is loaded later ------------------------------------------------------------------------------------------------

const { loaded, parts } = laterParts({
  sessionId, memberId, rights, song, conductor, player, timeline, roster, visit, tabs, go, lost, share, drawState,
  event: (words) => talk?.event(words),
  tellOf,
  undone: () => lookAtEverything(),
  hush,
  failed: (words) => bar.fail(words),
});

async function record() {
  if (rights.mayChange && visit.state !== "gone") (await loaded.recording().catch(() => null))?.toggle();
}

// An ephemeral key of the room's. What is lost while there is no connection is said again.
function share(key, value) {
  visit.connection?.room?.setState(key, value, { ephemeral: true }).catch(() => {});
}

// What is said, and what is done meanwhile. Once somebody has looked, or is in the room, they are there.
let talk = null;
let lines = null;
let making = null;

// In the room, others may begin to play. Some browsers want sound let out in a press, and this is one.
async function begun() {
  player.openContext().catch(() => {});
  await madeTalk();
  talk.clear();
}

function madeTalk() {
  making ??= makeTalk();
  // Perhaps the next time.
  making.catch(() => (making = null));
  return making;
}

async function makeTalk() {
  const names = ["talk", "activity_lines", "places"];
  const [{ Talk }, { ActivityLines }, { showPlaces }] = await Promise.all(names.map((name) => import(`./panels/${name}.js`)));
  talk = new Talk(sessionId, part("log"), part("composer"), {
    me: () => ({ memberId, name: visit.name }),
    isConnected: () => visit.isConnected,
    send: (text, id) => {
      roster.spoke(memberId);
      return visit.connection.ask("chat", { text }, id);
    },
    caughtUp: (count) => noted("talk", count),
    showWords: (element, text) => showPlaces(element, text, { go, beatsPerBar: () => conductor.beatsPerBar }),
  });
  lines = new ActivityLines(talk, rights, {
    tempo: () => conductor,
    go,
    undone: (event) => {
      parts.activity?.heard(event);
      lookAtEverything();
    },
    showAll: () => tabs.show("activity"),
    lost,
  });
}

// From outside, it can be read.
async function lookAtTalk() {
  if (visit.state !== "outside" || !tabs.isSeen("talk") || document.visibilityState !== "visible") return;
  await madeTalk().catch(() => {});
  if (visit.state === "outside") talk?.look();
}

// --- the room's side -----------------------------------------------------------------------------------------------------

function connected(room, isBack) {
  conductor.connected(room);
  talk.event(isBack ? "You are back." : "You came in.");
  // What the room said meanwhile nobody here has heard.
  lookAtMusic(true);
  talk.connected();
  heardRecordings(room.state);
  // From before the page was loaded again, or the connection was lost.
  if (room.state.has(`${RECORDING}${memberId}`) && !conductor.isRecording) share(`${RECORDING}${memberId}`, null);
  refresh();
  if (!isBack) talk.focus();
}

function disconnected() {
  conductor.disconnected();
  talk?.interrupted();
  parts.recordings?.close();
}

function connectionWords() {
  if (visit.connection?.room?.isDegraded) return "Not everyone can be heard";
  return conductor.isTogether ? "Together" : "Listening alone";
}

function heard(message) {
  if (!isGenuine(message)) return;
  const { type, payload, from, id, offset } = message;
  conductor.heard({ type, payload });
  switch (type) {
    case "welcome":
      moved(payload);
      break;
    case "presence.join":
      talk.event(whose(payload) ? `${payload.displayName} came in, ${whose(payload)}.` : `${payload.displayName} came in.`);
      break;
    case "presence.update":
      updated(payload);
      break;
    case "presence.leave":
      talk.event(`${roster.nameOf(payload.memberId)} ${payload.reason === "kicked" ? "was removed" : "left"}.`);
      parts.recordings?.left(payload.memberId);
      break;
    case "chat":
      said(from, payload?.text, id, offset);
      break;
    case "session.updated":
      head.draw(payload.session ?? payload);
      break;
    case "session.deleted":
      gone(DELETED);
      break;
    case "activity.added":
      happened(payload);
      break;
    case "state.changed":
      heardRecording(payload.key, payload.value, payload.by);
      break;
    case "export.progress":
      parts.mixdowns?.heard(payload);
      break;
    case "export.removed":
      parts.mixdowns?.remove(payload.exportId);
      break;
    case "error":
      talk.event(payload.message);
      break;
    case "history.gap":
      talk.missed();
      break;
    case "room.degraded":
      talk.event("Some people in this room cannot be heard right now.");
      break;
    case "room.restored":
      talk.event("Everyone in this room can be heard again.");
      break;
    default:
      heardMusic(type, payload);
  }
  if (type.startsWith("presence.")) roster.show(visit.connection.members);
  visit.draw();
}

// Another gateway has taken the room over. Who has come and gone meanwhile is told after this.
function moved({ recovered }) {
  const { state } = visit.connection.room;
  if (parts.recordings) parts.recordings.seen(state);
  else heardRecordings(state);
  if (recovered) return;
  lookAtMusic(true);
  refresh();
}

function heardMusic(type, payload) {
  if (!song.heard(type, payload)) return;
  if (type === "upload.added") {
    if (Date.now() - new Date(payload.createdAt) > FRESH_MS) talk.event("A removed file is back.");
    else if (payload.userId !== memberId) tellOf(payload.userId, "added a file");
  }
  if (type === "comment.added" && payload.author.id !== memberId) {
    talk.event(`${payload.author.name} wrote a comment.`);
    noted("comments");
  }
}

// Of whoever need not be in the room: a file can be sent, and a mixdown asked for, from outside.
async function tellOf(userId, what) {
  const name = roster.get(userId)?.displayName ?? ((await song.learnName(userId)) || roster.nameOf(userId));
  talk?.event(`${name} ${what}.`);
}

function heardRecordings(state) {
  for (const [key, value] of state) heardRecording(key, value, state.by(key));
}

function heardRecording(key, value, by) {
  if (key.startsWith(RECORDING)) loaded.recordings().then((recordings) => recordings.heard(key, value, by), () => {});
}

const counted = new Set();

function happened(event) {
  parts.activity?.heard(event);
  lines.heard(event);
  // One that goes on, as a fader that moves, is told again.
  if (event.actor.id !== memberId && !counted.has(event.id)) noted("activity");
  counted.add(event.id);
  // Perhaps mine; the session says what I am now.
  if (event.kind === "member.changed") refresh();
}

function said(from, text, id, offset) {
  if (typeof text !== "string") return;
  if (from === null) {
    // Said into the room by a program of the owner's: nobody in the room.
    talk.event(text);
    return;
  }
  if (!talk.heard(from, roster.nameOf(from), text, id, { epoch: visit.connection.epoch, offset })) return;
  roster.spoke(from);
  if (from !== memberId) noted("talk");
}

function updated(member) {
  const before = roster.get(member.memberId);
  if (before && before.displayName !== member.displayName) talk.event(`${before.displayName} is now called ${member.displayName}.`);
}

async function shown(name) {
  if (name === "talk") await lookAtTalk();
  else if (name === "activity") (await loaded.activity()).open();
  else if (name in loaded) await loaded[name]();
}

function noted(name, count = 1) {
  tabs.news(name, count);
  parts.unread?.noted();
}

// --- the visitor's side --------------------------------------------------------------------------------------------------

// A place that somebody has named: bars and beats are counted from 1.
function go({ seconds, bar: barNumber, beat, beat0 = (barNumber - 1) * conductor.beatsPerBar + beat - 1 }) {
  timeline.goTo(seconds === undefined ? { beat: beat0 } : { seconds });
}

// There is nothing to come back to: say so, and where to go instead. Of several reasons the first counts.
function gone(words, link = "Your sessions", href = "/sessions") {
  if (visit.state === "gone") return;
  // The words are in the panel. The next session's stays folded.
  document.body.classList.remove("panel-folded");
  if (conductor.isPlaying) conductor.listenAlone();
  visit.gone(words, link, href);
  song.close();
  timeline.close({ isForLater: words === SIGNED_OUT });
  player.close();
  for (const each of Object.values(parts)) each.close?.();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const id of ["people-open", "share-open", "more", "company", "tabs", "panel-open", "mixing"]) part(id).hidden = true;
  for (const name of ["talk", "comments", "activity", "mixdowns"]) part(`panel-${name}`).hidden = true;
  for (const id of ["readouts", "transport"]) part(id).inert = true;
}

function lost(problem) {
  if (problem.status === 401) gone(SIGNED_OUT, "Sign in again", `/signin?callbackUrl=${encodeURIComponent(location.pathname)}`);
  // Something in the session that is not there any more ends nothing.
  else if (problem.status === 404 && !OTHERS_NOT_FOUND.test(problem.code)) gone(NOT_SHARED);
  else return false;
  return true;
}

// Nobody tells the page of the music while it is not connected.
function lookAtMusic(always = false) {
  if (!always && (visit.isConnected || document.visibilityState !== "visible")) return;
  song.refresh();
  parts.mixdowns?.refresh();
  parts.activity?.refresh();
}

// The same, and of the session itself.
function lookAtEverything() {
  lookAtMusic();
  if (!visit.isConnected && document.visibilityState === "visible") refresh();
}

async function refresh() {
  if (visit.state === "gone") return;
  try {
    const session = await head.read();
    const words = session.role === role ? "" : NEW_ROLE[session.role];
    // What the page offers is another role's. It is told once.
    if (part("role-words").textContent !== words) part("role-words").textContent = words;
    part("role-news").hidden = !words;
  } catch (problem) {
    lost(problem);
  }
}

function retitled(session) {
  tabs.title = `${session.name} · Omnisonic Studio`;
  song.heard("session.updated", session);
  conductor.setTempo(session);
}

function drawState() {
  const { uncertaintyMs, isInRoom, isTogether, following, others } = conductor;
  part("latency").textContent = isInRoom && uncertaintyMs !== null ? `· ±${Math.max(1, Math.round(uncertaintyMs))} ms` : "";
  part("together").hidden = !isInRoom || isTogether;
  roster.showAlone(others.map((each) => each.memberId), following, (id) => conductor.follow(id === following ? null : id));
}

async function quit() {
  if (rights.isOwner) await ask("DELETE", `/api/sessions/${sessionId}`);
  else await ask("DELETE", `/api/sessions/${sessionId}/collaborators/${memberId}`);
  visit.hangUp();
  location.assign("/sessions");
}

// The song is silent here; the room plays on.
function hush() {
  if (!conductor.isPlaying && !conductor.isCountingIn) return;
  conductor.listenAlone();
  conductor.stop();
}

// The newest mixdown's links; without one, where it is made.
async function shareNewest() {
  const mixdowns = await loaded.mixdowns();
  await mixdowns.refresh();
  if (mixdowns.share()) return;
  tabs.show("mixdowns");
  part("render-note").textContent = rights.mayChange ? "Render a mixdown, then share it." : "There is no mixdown to share yet.";
  part(rights.mayChange ? "render-go" : "tab-mixdowns").focus();
}

// --- wiring --------------------------------------------------------------------------------------------------------------

for (const name of ["tracks", "mix"]) song.addEventListener(name, () => player.setTracks(song.sounding()));
song.addEventListener("mix", () => (player.masterGainDb = song.myVolumeDb));
conductor.addEventListener("change", () => visit.draw());
player.addEventListener("problem", ({ detail }) => {
  if (detail.uploadId) timeline.tellUnheard(detail);
  else if (detail.words) bar.fail(detail.words);
});
// A mixdown is heard alone: the song is silent then, here only.
player.addEventListener("state", () => {
  if (player.state !== "playing") return;
  for (const sound of document.querySelectorAll("audio")) sound.pause();
  parts.mixdowns?.pause();
});
document.addEventListener("play", ({ target }) => {
  for (const sound of document.querySelectorAll("audio")) if (sound !== target) sound.pause();
  hush();
}, true);
tabs.addEventListener("shown", ({ detail }) => shown(detail.name));
// The song comes first.
if (tabs.current !== "talk" && tabs.isSeen(tabs.current)) shown(tabs.current);
listenToKeys({ conductor, bar, record });
for (const id of ["people-open", "people-open-menu", "people-open-alone"]) {
  part(id)?.addEventListener("click", async () => (await loaded.people()).open());
}
for (const id of ["share-open", "share-open-menu"]) part(id).addEventListener("click", shareNewest);
part(rights.isOwner ? "delete-open" : "quit-open").addEventListener("click", async () => (await import("./panels/leaving.js")).askBefore(quit));
const copyHere = document.querySelector('[data-copy="here"]');
if (copyHere) import("./controls/copying.js").then(({ copies }) => copies(copyHere, () => location.href));
// What a listener drops is taken, too, or the browser would leave the page for it; but it is only told why not.
takesFiles(part("files"), {
  over: (event) => {
    part("veil").hidden = event === null || !rights.mayChange;
    timeline.hintDrop(event);
  },
  taken: (files, event) => {
    if (visit.state !== "gone" && files.length > 0) timeline.add(files, event ? timeline.dropAt(event.clientX, event.clientY) : 0);
  },
  refused: (words) => timeline.fail(words),
});
document.addEventListener("visibilitychange", () => {
  visit.say("presence.set", { status: presentStatus() });
  visit.look();
  lookAtEverything();
});
setInterval(() => {
  visit.look();
  lookAtEverything();
  lookAtTalk();
}, LOOK_EVERY_MS);
visit.look();
// Whether there is anything, nobody knows before.
song.refresh().then(() => {
  document.body.classList.remove("is-reading");
  lookAtTalk();
});
for (const id of ["transport", "readouts", "acts", "entry"]) part(id).inert = false;
loaded.mixdowns().then((mixdowns) => {
  part("render").inert = false;
  mixdowns.refresh();
});
if (localStorage.getItem("omnisonic.recordings")) {
  const put = (upload) => song.put(upload);
  import("./panels/unfinished.js").then(({ offerUnfinished }) => offerUnfinished({ host: part("recording-host"), sessionId, memberId, put, lost }));
}
import("./panels/unread.js").then(async ({ Unread }) => {
  parts.unread = new Unread(sessionId, memberId);
  const counts = await parts.unread.count();
  for (const [name, count] of Object.entries(counts)) if (count) tabs.news(name, count);
});
