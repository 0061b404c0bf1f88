// The studio: joins the parts of the page; each owns its own corner of it. What is not needed at first is loaded later.

import { ask } from "./controls/api.js";
import { LatePlayer, laterParts } from "./later.js";
import { Tabs } from "./panels/tabs.js";
import { listenToKeys, SessionHead, TransportBar } from "./panels/top_bar.js";
import { Conductor } from "./room/conductor.js";
import { Rights, Roster } from "./room/roster.js";
import { Song } from "./room/song.js";
import { presentStatus, Visit } from "./room/visit.js";
import { Timeline } from "./timeline/timeline.js";
import { takesFiles } from "./uploading/sending.js";

const LOOK_EVERY_MS = 10_000;
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
  connected: (room, isBack) => handler.connected(room, isBack),
  disconnected,
  ended: () => refresh(),
  message: (message) => handler.heard(message),
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
let handler = null;
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
  const names = ["panels/talk", "panels/activity_lines", "panels/places", "room/message_handler"];
  const [{ Talk }, { ActivityLines }, { showPlaces }, { MessageHandler }] = await Promise.all(names.map((name) => import(`./${name}.js`)));
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
  const lines = new ActivityLines(talk, rights, {
    tempo: () => conductor,
    go,
    undone: (event) => {
      parts.activity?.heard(event);
      lookAtEverything();
    },
    showAll: () => tabs.show("activity"),
    lost,
  });
  handler = new MessageHandler({
    memberId, visit, roster, head, song, conductor, talk, lines, loaded, parts, share, noted, tellOf, refresh,
    lookAtMusic: () => lookAtMusic(true),
    deleted: () => gone(DELETED),
  });
}

// From outside, it can be read.
async function lookAtTalk() {
  if (visit.state !== "outside" || !tabs.isSeen("talk") || document.visibilityState !== "visible") return;
  await madeTalk().catch(() => {});
  if (visit.state === "outside") talk?.look();
}

// --- the room's side -----------------------------------------------------------------------------------------------------

function disconnected() {
  conductor.disconnected();
  talk?.interrupted();
  parts.recordings?.close();
}

function connectionWords() {
  if (visit.connection?.room?.isDegraded) return "Not everyone can be heard";
  return conductor.isTogether ? "Together" : "Listening alone";
}

// Of whoever need not be in the room: a file can be sent, and a mixdown asked for, from outside.
async function tellOf(userId, what) {
  const name = roster.get(userId)?.displayName ?? ((await song.learnName(userId)) || roster.nameOf(userId));
  talk?.event(`${name} ${what}.`);
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
