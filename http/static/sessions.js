// The list of sessions: making one, showing more, and how many are in each room, looked up now and then.

import { ask } from "./controls/api.js";

const REFRESH_EVERY_MS = 15_000;

const part = (id) => document.getElementById(id);
const main = part("main");
const list = part("sessions");
const dates = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

// --- the lines -----------------------------------------------------------------------------------------------------

function lineOf(id) {
  return [...list.children].find((line) => line.dataset.id === id);
}

function newLine(session) {
  const line = part("session-item").content.firstElementChild.cloneNode(true);
  line.dataset.id = session.id;
  line.dataset.made = session.createdAt;
  const name = line.querySelector(".session-name");
  name.id = `name-${session.id}`;
  const link = line.querySelector("a");
  link.href = `/sessions/${session.id}`;
  link.setAttribute("aria-describedby", name.id);
  return line;
}

function draw(line, session) {
  const { owner } = session;
  line.querySelector(".session-name").textContent = session.name;
  line.querySelector(".session-role").textContent =
    session.role === "owner" ? "Yours" : `Shared by ${owner.name?.trim() || owner.email?.split("@")[0] || "somebody"}`;
  const time = line.querySelector("time");
  time.dateTime = session.createdAt;
  drawTime(time);
  line.querySelector(".session-live").classList.toggle("is-live", session.participants > 0);
  line.querySelector(".session-count").textContent =
    session.participants === null ? "" : `${session.participants || "Nobody"} in the room`;
}

function drawTime(time) {
  time.textContent = dates.format(new Date(time.dateTime));
}

// Newest first, as the server has them.
function put(session) {
  let line = lineOf(session.id);
  if (!line) {
    line = newLine(session);
    const after = [...list.children].find((other) => new Date(other.dataset.made) <= new Date(session.createdAt));
    list.insertBefore(line, after ?? null);
  }
  draw(line, session);
}

function drawEmptiness() {
  part("empty").hidden = list.childElementCount > 0;
  list.hidden = list.childElementCount === 0;
}

// --- keeping it so -------------------------------------------------------------------------------------------------

async function refresh() {
  if (document.visibilityState !== "visible" || main.dataset.isLater) return;
  try {
    const { sessions, nextBefore } = await ask("GET", "/api/sessions");
    sessions.forEach(put);
    dropMissing(sessions, nextBefore === null);
    fail("list-problem", "");
    drawEmptiness();
  } catch (problem) {
    if (problem.status === 401) signedOut();
    else if (!problem.isPassing) fail("list-problem", problem.message);
  }
}

// What the newest page of the list should hold and does not is deleted, or shared no more.
function dropMissing(sessions, isAll) {
  const there = new Set(sessions.map((session) => session.id));
  const oldest = isAll || !sessions.length ? 0 : new Date(sessions[sessions.length - 1].createdAt).getTime();
  for (const line of [...list.children]) {
    if (!there.has(line.dataset.id) && new Date(line.dataset.made).getTime() > oldest) line.remove();
  }
}

async function more(event) {
  event.preventDefault();
  const button = part("more");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    const { sessions, nextBefore } = await ask("GET", `/api/sessions?before=${encodeURIComponent(main.dataset.nextBefore)}`);
    sessions.forEach(put);
    fail("list-problem", "");
    part("news").textContent = `${sessions.length} more.`;
    main.dataset.nextBefore = nextBefore ?? "";
    lineOf(sessions[0]?.id)?.querySelector("a").focus();
    if (nextBefore === null) button.remove();
  } catch (problem) {
    if (problem.status === 401) signedOut();
    else fail("list-problem", problem.message);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// --- making one ----------------------------------------------------------------------------------------------------

async function create(event) {
  event.preventDefault();
  const button = part("create-button");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  const field = part("new-name");
  try {
    const { session } = await ask("POST", "/api/sessions", { name: field.value });
    put({ participants: 0, ...session });
    drawEmptiness();
    field.value = "";
    field.focus();
    fail("create-problem", "");
    part("news").textContent = `${session.name} is made.`;
  } catch (problem) {
    if (problem.status === 401) signedOut();
    else fail("create-problem", problem.message);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

function fail(id, words) {
  part(id).textContent = words;
  part(id).hidden = !words;
}

// The sign-in has ended, here or elsewhere: signing in leads back here.
function signedOut() {
  location.assign("/signin?error=SessionRequired&callbackUrl=%2Fsessions");
}

part("create").addEventListener("submit", create);
part("more")?.addEventListener("click", more);
list.querySelectorAll("time").forEach(drawTime);
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, REFRESH_EVERY_MS);
refresh();
