// The page: from the door into a room and back. Joins the parts; each part owns its own corner of the page.

import { Connection } from "./connection.js";
import { Entry } from "./entry.js";
import { Log, sending, sent, unsent } from "./log.js";
import { Roster } from "./roster.js";

const MEMBER_KEY = "omnisonic.memberId";
const COPIED_MS = 2_000;

const part = (id) => document.getElementById(id);
const studio = part("studio");
const memberId = rememberedId();
const roster = new Roster(part("roster"), memberId);
const log = new Log(part("log"));

let connection = null;
let place = { name: "", room: "" };
let state = "outside";
let countdown = 0;
let seen = false;
let lastId = 0;
const unacknowledged = new Map();

function enter(name, room) {
  place = { name, room };
  seen = false;
  log.clear();
  roster.clear();
  roster.put({ memberId, displayName: name, status: "active" });
  history.replaceState(null, "", `?room=${encodeURIComponent(room)}`);
  document.title = `${room} · Omnisonic Studio`;
  part("room-name").textContent = room;
  part("link").textContent = link();
  show("room");
  connection = new Connection(address, { state: changed, message: heard, latency });
  connection.open();
}

function leave(words = "") {
  connection?.close();
  connection = null;
  state = "outside";
  clearInterval(countdown);
  failUnacknowledged("");
  document.title = "Omnisonic Studio";
  show("entry");
  entry.look();
  if (words) entry.fail(words);
  entry.focus();
}

function show(section) {
  part("entry").hidden = section !== "entry";
  part("room").hidden = section !== "room";
  part("state").hidden = section !== "room";
  document.body.classList.toggle("in-room", section === "room");
}

// --- the connection's side -------------------------------------------------------------------------------------

function address() {
  const query = new URLSearchParams({
    roomId: place.room,
    memberId,
    displayName: place.name,
    status: presentStatus(),
  });
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const base = studio.dataset.gatewayUrl || `${scheme}//${location.hostname}:${studio.dataset.gatewayPort}/`;
  return `${base}${base.includes("?") ? "&" : "?"}${query}`;
}

function changed(name, detail) {
  state = name;
  part("room").dataset.state = name;
  part("state").dataset.state = name;
  part("latency").textContent = "";
  clearInterval(countdown);
  part("notice").hidden = name === "joining" || name === "connected";
  part("send").setAttribute("aria-disabled", String(name !== "connected"));
  const words = { joining: "Joining…", connected: "Connected", reconnecting: "Reconnecting…", ended: "Disconnected" };
  part("state-words").textContent = words[name];
  if (name === "connected") connected(detail);
  if (name === "reconnecting") reconnecting(detail);
  if (name === "ended") ended(detail);
  drawCompany();
}

function connected({ members }) {
  roster.replace(members);
  log.event(seen ? "You are back." : "You came in.");
  if (!seen) part("message").focus();
  seen = true;
}

function reconnecting({ words, at }) {
  failUnacknowledged("The connection was lost.");
  notice(words, "Try now", () => connection.retry());
  const tick = () => {
    const left_s = Math.ceil((at - performance.now()) / 1000);
    part("notice-countdown").textContent = left_s > 0 ? `Trying again in ${left_s} s.` : "Trying again…";
  };
  tick();
  countdown = setInterval(tick, 250);
}

function ended({ words, wasIn }) {
  if (!wasIn && !seen) return leave(words);
  failUnacknowledged("The connection was lost.");
  part("notice-countdown").textContent = "";
  return notice(words, "Join again", () => connection.open());
}

function notice(words, action, act) {
  part("notice-words").textContent = words;
  part("notice-action").textContent = action;
  part("notice-action").onclick = act;
}

function latency(ms) {
  part("latency").textContent = `${Math.max(1, Math.round(ms))} ms`;
}

function heard({ type, payload, from }) {
  switch (type) {
    case "presence.join":
      roster.put(payload);
      log.event(`${payload.displayName} came in.`);
      break;
    case "presence.update":
      updated(payload);
      break;
    case "presence.leave":
      log.event(`${roster.nameOf(payload.memberId)} ${payload.reason === "kicked" ? "was removed" : "left"}.`);
      roster.remove(payload.memberId);
      break;
    case "chat":
      if (typeof payload?.text !== "string") break;
      log.message(from, roster.nameOf(from), payload.text);
      roster.spoke(from);
      break;
    case "ack":
      acknowledged(payload.id);
      break;
    case "error":
      refused(payload);
      break;
    case "room.degraded":
      log.event("Some people in this room cannot be heard right now.");
      break;
    case "room.restored":
      log.event("Everyone in this room can be heard again.");
      break;
  }
  drawCompany();
}

function updated(member) {
  const before = roster.get(member.memberId);
  roster.put(member);
  if (before && before.displayName !== member.displayName) {
    log.event(`${before.displayName} is now called ${member.displayName}.`);
  }
}

// --- one's own messages: shown at once, settled by `ack` or `error` ------------------------------------------------

function say(text) {
  deliver(log.message(memberId, place.name, text), text);
}

function deliver(entry, text) {
  const id = `${memberId}-${(lastId += 1)}`;
  sending(entry);
  unacknowledged.set(id, { entry, text });
  if (connection.send({ type: "chat", payload: { text }, id })) roster.spoke(memberId);
  else fail(id, "There is no connection now.");
}

function acknowledged(id) {
  const message = unacknowledged.get(id);
  if (!message) return;
  unacknowledged.delete(id);
  sent(message.entry);
}

function refused({ id, message }) {
  if (unacknowledged.has(id)) fail(id, message);
  else if (state === "connected") log.event(message);
}

function fail(id, words) {
  const { entry, text } = unacknowledged.get(id);
  unacknowledged.delete(id);
  unsent(entry, words, () => deliver(entry, text));
}

function failUnacknowledged(words) {
  for (const id of [...unacknowledged.keys()]) fail(id, words);
}

// --- the visitor's side --------------------------------------------------------------------------------------------

function drawCompany() {
  const isAlone = state === "connected" && roster.size === 1;
  part("count").textContent = state === "joining" ? "" : String(roster.size);
  part("alone").hidden = !isAlone;
  part("copy").hidden = isAlone;
}

function link() {
  return `${location.origin}/?room=${encodeURIComponent(place.room)}`;
}

async function copyLink(button) {
  const words = button.querySelector("span");
  try {
    await navigator.clipboard.writeText(link());
    words.textContent = "Copied";
  } catch {
    // Without https a page may not write to the clipboard; the link is in the address bar all the same.
    words.textContent = "Copy it from the address bar";
  }
  setTimeout(() => (words.textContent = "Copy link"), COPIED_MS);
}

function presentStatus() {
  return document.visibilityState === "visible" ? "active" : "away";
}

function rememberedId() {
  let id = sessionStorage.getItem(MEMBER_KEY);
  if (!id) {
    id = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(MEMBER_KEY, id);
  }
  return id;
}

const field = part("message");

part("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  // While there is no connection the text stays where it is.
  if (!text || state !== "connected") return;
  field.value = "";
  field.focus();
  say(text);
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  part("composer").requestSubmit();
});
part("leave").addEventListener("click", () => leave());
for (const id of ["copy", "copy-alone"]) part(id).addEventListener("click", (event) => copyLink(event.currentTarget));
document.addEventListener("visibilitychange", () => {
  connection?.send({ type: "presence.set", payload: { status: presentStatus() } });
});
addEventListener("online", () => state === "reconnecting" && connection.retry());

const entry = part("entry-form") && new Entry(part("entry"), enter);
entry?.focus();
