// The studio: from outside a session's room into it and back. Joins the parts; each owns its own corner of the page.

import { ask } from "./controls/api.js";
import { copies } from "./controls/copying.js";
import { countDown, notice, stopCounting } from "./controls/notice.js";
import { Activity } from "./panels/activity.js";
import { asksFirst, closes, People } from "./panels/people.js";
import { Tabs } from "./panels/tabs.js";
import { Talk } from "./panels/talk.js";
import { Connection } from "./room/connection.js";
import { Rights } from "./room/rights.js";
import { Roster, whose } from "./room/roster.js";
import { SessionHead } from "./room/session_head.js";
import { Sounds } from "./sound/sounds.js";
import { takesFiles } from "./uploading/dropping.js";

const NAME_KEY = "omnisonic.name";
const LOOK_EVERY_MS = 10_000;
const SIGNED_OUT = "You are signed out.";
const NOT_SHARED = "This session is not shared with you any more.";
const NEW_ROLE = {
  owner: "This session is yours now.",
  editor: "You are an editor in this session now.",
  listener: "You are a listener in this session now.",
};
const LISTENING = "You are a listener here. The owner can make you an editor, who adds files.";
const DELETED = "This session was deleted.";

const part = (id) => document.getElementById(id);
const main = part("main");
const sessionId = main.dataset.session;
const memberId = main.dataset.person;
const role = main.dataset.role;
const rights = new Rights(role, memberId);
const nameKey = `${NAME_KEY}.${memberId}`;

// `outside`, one of the connection's states, or `gone` when there is nothing to come back to.
let state = "outside";
let connection = null;
let name = "";
let hasBeenIn = false;

const roster = new Roster(part("roster"), part("stack"), memberId);
const tabs = new Tabs();
const head = new SessionHead(sessionId, rights.isOwner, ({ name }) => (tabs.title = `${name} · Omnisonic Studio`));
const talk = new Talk(sessionId, part("log"), part("composer"), {
  me: () => ({ memberId, name }),
  isConnected: () => state === "connected",
  send: (text, id) => {
    roster.spoke(memberId);
    return connection.ask("chat", { text }, id);
  },
});
const sounds = new Sounds(sessionId, memberId, rights, {
  isTold: () => state === "connected",
  nameOf: (id) => roster.nameOf(id),
  event: (words) => talk.event(words),
  lost,
});
const activity = new Activity(sessionId, memberId, rights, { undone: () => lookAtEverything(), lost });

function join() {
  name = part("name").value.trim();
  if (!name) return failEntry("Type the name that the others see.");
  failEntry("");
  localStorage.setItem(nameKey, name);
  hasBeenIn = false;
  talk.clear();
  roster.show([{ memberId, displayName: name, status: "active" }]);
  show("inside");
  connection = new Connection(place, { state: changed, message: heard, latency });
  return connection.open();
}

function leave(words = "") {
  hangUp();
  state = "outside";
  show("entry");
  roster.show([]);
  look();
  failEntry(words);
  part("join").focus();
}

function hangUp() {
  connection?.close();
  connection = null;
  stopCounting();
}

function show(side) {
  part("entry").hidden = side !== "entry";
  part("inside").hidden = side !== "inside";
  part("outside").hidden = side === "inside" || state === "gone";
  part("leave").hidden = side !== "inside";
  part("state").hidden = side !== "inside";
  document.body.classList.toggle("in-room", side === "inside");
}

// There is nothing to come back to: say so, and where to go instead.
function gone(words, link = "Your sessions", href = "/sessions") {
  hangUp();
  state = "gone";
  show("entry");
  roster.show([]);
  sounds.close();
  activity.close();
  drawCompany();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const id of ["join", "people-open", "share-open", "more", "company", "tabs", "panel-open"]) part(id).hidden = true;
  for (const id of ["panel-talk", "panel-comments", "panel-activity", "panel-mixdowns"]) part(id).hidden = true;
  part("readouts").inert = part("transport").inert = true;
  part("entry-words").textContent = words;
  part("entry-way").hidden = false;
  part("entry-link").textContent = link;
  part("entry-link").href = href;
  part("entry").classList.add("is-gone");
  part("entry-link").focus();
}

function lost(problem) {
  if (problem.status === 401) gone(SIGNED_OUT, "Sign in again", `/signin?callbackUrl=${encodeURIComponent(location.pathname)}`);
  else if (problem.status === 404) gone(NOT_SHARED);
  else return false;
  return true;
}

// --- the connection's side -----------------------------------------------------------------------------------------

// A ticket lets in once, so each attempt needs one of its own.
async function place() {
  const { ticket, url, eventsUrl } = await ask("POST", `/api/rooms/${sessionId}/ticket`, { displayName: name });
  return { ticket, url: withStatus(url), eventsUrl: withStatus(eventsUrl) };
}

function withStatus(url) {
  const address = new URL(url);
  address.searchParams.set("status", presentStatus());
  return address.href;
}

function changed(next, detail) {
  state = next;
  part("state").dataset.state = next;
  part("latency").textContent = "";
  stopCounting();
  part("notice").hidden = next === "joining" || next === "connected";
  part("send").setAttribute("aria-disabled", String(next !== "connected"));
  const words = { joining: "Joining…", connected: "Connected", reconnecting: "Reconnecting…", ended: "Disconnected" };
  part("state-words").textContent = words[next];
  if (next === "connected") connected();
  if (next === "reconnecting") reconnecting(detail);
  if (next === "ended") ended(detail);
  drawCompany();
}

function connected() {
  roster.show(connection.members);
  talk.event(hasBeenIn ? "You are back." : "You came in.");
  // What the room said meanwhile nobody here has heard.
  sounds.refresh();
  activity.refresh();
  talk.connected();
  if (hasBeenIn) refresh();
  else talk.focus();
  hasBeenIn = true;
}

function reconnecting({ words, at }) {
  talk.interrupted();
  notice(words, "Try now", () => connection.retry());
  countDown(at);
}

async function ended({ words, problem }) {
  if (problem && lost(problem)) return;
  if (!hasBeenIn) {
    leave(words);
    return;
  }
  notice(words, "Join again", () => connection.open());
  // Removed, signed out, deleted: the room cannot say which, the session can.
  await refresh();
}

function latency(ms) {
  part("latency").textContent = `${Math.max(1, Math.round(ms))} ms`;
}

function heard({ type, payload, from, id, offset }) {
  switch (type) {
    case "presence.join":
      talk.event(whose(payload) ? `${payload.displayName} came in, ${whose(payload)}.` : `${payload.displayName} came in.`);
      break;
    case "presence.update":
      updated(payload);
      break;
    case "presence.leave":
      talk.event(`${roster.nameOf(payload.memberId)} ${payload.reason === "kicked" ? "was removed" : "left"}.`);
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
      activity.heard(payload);
      if (payload.actor.id !== memberId) tabs.news("activity");
      // Perhaps mine; the session says what I am now.
      if (payload.kind === "member.changed") refresh();
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
      sounds.heard(type, payload);
  }
  if (type.startsWith("presence.")) roster.show(connection.members);
  drawCompany();
}

function said(from, text, id, offset) {
  if (typeof text !== "string") return;
  if (from === null) {
    // Said into the room by a program of the owner's: nobody in the room.
    talk.event(text);
    return;
  }
  const isNew = talk.heard(from, roster.nameOf(from), text, id, { epoch: connection.epoch, offset });
  if (!isNew) return;
  roster.spoke(from);
  if (from !== memberId) tabs.news("talk");
}

function updated(member) {
  const before = roster.get(member.memberId);
  if (before && before.displayName !== member.displayName) {
    talk.event(`${before.displayName} is now called ${member.displayName}.`);
  }
}

// --- the visitor's side --------------------------------------------------------------------------------------------

// Who is in there, as seen from outside. Knowing is a comfort, not a need: only what ends everything is told.
async function look() {
  if (state !== "outside" || document.visibilityState !== "visible") return;
  try {
    const { members } = await ask("GET", `/api/presence?roomId=${sessionId}`);
    if (state === "outside") roster.show(members);
  } catch (problem) {
    if (state === "outside") lost(problem);
  }
  if (state === "outside") drawCompany();
}

// Nobody tells the page of the sounds while it is not connected.
function lookAtSounds() {
  if (state === "connected" || document.visibilityState !== "visible") return;
  sounds.refresh();
  activity.refresh();
}

// The same, and of the session itself.
function lookAtEverything() {
  lookAtSounds();
  if (state !== "connected") refresh();
}

async function refresh() {
  try {
    const { session } = await ask("GET", `/api/sessions?id=${sessionId}`);
    head.draw(session);
    // What the page offers is another role's.
    if (session.role !== role) part("role-words").textContent = NEW_ROLE[session.role];
    part("role-news").hidden = session.role === role;
  } catch (problem) {
    lost(problem);
  }
}

function drawCompany() {
  part("count").textContent = state === "joining" || state === "gone" ? "" : String(roster.size);
  part("nobody").hidden = roster.size > 0 || state === "gone";
  part("alone").hidden = !(state === "connected" && roster.size === 1);
  if (state === "outside") part("entry-words").textContent = invitation();
  part("roster").hidden = roster.size === 0;
}

function invitation() {
  if (roster.size === 0) return "Nobody is in the room yet. Be the first.";
  return roster.size === 1 ? "Somebody is in the room." : `${roster.size} people are in the room.`;
}

function failEntry(words) {
  part("entry-problem").textContent = words;
  part("entry-problem").hidden = !words;
  part("name").toggleAttribute("aria-invalid", Boolean(words));
  if (words) part("name").focus();
}

function presentStatus() {
  return document.visibilityState === "visible" ? "active" : "away";
}

async function quit() {
  if (rights.isOwner) await ask("DELETE", `/api/sessions/${sessionId}`);
  else await ask("DELETE", `/api/sessions/${sessionId}/collaborators/${memberId}`);
  hangUp();
  location.assign("/sessions");
}

tabs.addEventListener("shown", ({ detail }) => detail.name === "activity" && activity.open());
new People(sessionId, memberId, rights.isOwner, [part("people-open"), part("people-open-menu"), part("people-open-alone")]);
const copyHere = document.querySelector('[data-copy="here"]');
if (copyHere) copies(copyHere, () => location.href);
asksFirst(part(rights.isOwner ? "delete-open" : "quit-open"), quit);
document.querySelectorAll("dialog").forEach(closes);
part("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  if (state === "outside") join();
});
part("leave").addEventListener("click", () => leave());
part("name").value = localStorage.getItem(nameKey) || part("name").dataset.default;
document.addEventListener("visibilitychange", () => {
  connection?.say("presence.set", { status: presentStatus() });
  look();
  lookAtSounds();
});
// What a listener drops is taken, too, or the browser would leave the page for it; but it is only told why not.
takesFiles(part("files"), rights.mayChange ? part("veil") : document.createElement("div"), {
  taken: (files) => {
    if (state === "gone" || files.length === 0) return;
    if (rights.mayChange) sounds.add(files);
    else sounds.refuse(LISTENING);
  },
  refused: (words) => sounds.refuse(words),
});
addEventListener("online", () => state === "reconnecting" && connection.retry());
setInterval(() => {
  look();
  lookAtSounds();
}, LOOK_EVERY_MS);
look();
lookAtSounds();
for (const id of ["transport", "readouts", "acts", "entry", "render"]) part(id).inert = false;
