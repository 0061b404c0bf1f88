// The list of sessions: searching it, showing more, making one, and what is new in each, looked up now and then.

import { ask } from "./controls/api.js";
import { drawTime } from "./sessions/line.js";
import { SessionList } from "./sessions/list.js";

const REFRESH_EVERY_MS = 15_000;
const TYPING_MS = 250;

const part = (id) => document.getElementById(id);
const main = part("main");
const words = part("search-words");
const list = new SessionList(part("sessions"));
// The words by which the list was found; those that are being looked for, or null.
let searched = words.value.trim();
let searching = null;
let typing = 0;
let asked = 0;

function address(sought, before = "") {
  const query = new URLSearchParams({ order: "activity" });
  if (sought) query.set("q", sought);
  if (before) query.set("before", before);
  return `/api/sessions?${query}`;
}

// What is asked for last is what counts. Returns null when something else was asked for meanwhile.
async function read(sought, before) {
  asked += 1;
  const mine = asked;
  try {
    const page = await ask("GET", address(sought, before));
    if (mine !== asked) return null;
    fail("list-problem", "");
    return page;
  } catch (problem) {
    if (problem.status === 401) signedOut();
    else if (mine === asked) return { problem };
    return null;
  }
}

function drawRest(nextBefore) {
  const isEmpty = list.count === 0;
  part("sessions").hidden = isEmpty;
  part("empty").hidden = !isEmpty || searched !== "";
  part("not-found").hidden = !isEmpty || searched === "";
  part("search").hidden = isEmpty && searched === "" && words.value === "";
  if (nextBefore === undefined) return;
  main.dataset.nextBefore = nextBefore ?? "";
  part("more-line").hidden = !nextBefore;
}

// --- keeping it so -------------------------------------------------------------------------------------------------

// What somebody has asked for comes first.
async function refresh() {
  if (document.visibilityState !== "visible" || main.dataset.isLater || searching !== null || isReadingMore()) return;
  const page = await read(searched);
  if (!page) return;
  if (page.problem) {
    if (!page.problem.isPassing) fail("list-problem", page.problem.message);
    return;
  }
  list.update(page.sessions, page.nextBefore === null);
  drawRest();
}

function isReadingMore() {
  return part("more").getAttribute("aria-disabled") === "true";
}

async function more(event) {
  event.preventDefault();
  if (searching !== null || isReadingMore()) return;
  const button = part("more");
  button.setAttribute("aria-disabled", "true");
  const page = await read(searched, main.dataset.nextBefore);
  button.removeAttribute("aria-disabled");
  if (page?.problem) fail("list-problem", page.problem.message);
  if (!page || page.problem) return;
  list.append(page.sessions);
  part("news").textContent = `${page.sessions.length} more.`;
  list.lineOf(page.sessions[0]?.id)?.querySelector("a").focus();
  drawRest(page.nextBefore);
}

// --- searching -----------------------------------------------------------------------------------------------------

async function search() {
  clearTimeout(typing);
  const sought = words.value.trim();
  if (sought === (searching ?? searched) && !main.dataset.isLater) return;
  searching = sought;
  const page = await read(sought);
  if (!page) return;
  searching = null;
  if (page.problem) {
    fail("list-problem", page.problem.message);
    return;
  }
  searched = sought;
  delete main.dataset.isLater;
  list.replace(page.sessions);
  drawRest(page.nextBefore);
  history.replaceState(null, "", searched ? `/sessions?q=${encodeURIComponent(searched)}` : "/sessions");
  const count = page.nextBefore ? `More than ${list.count}` : list.count || "No";
  part("news").textContent = `${count} ${list.count === 1 ? "session" : "sessions"}.`;
}

// --- making one ----------------------------------------------------------------------------------------------------

async function create(event) {
  event.preventDefault();
  const button = part("create-button");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    const { session } = await ask("POST", "/api/sessions", { name: part("new-name").value });
    // It stays disabled until the session is open.
    location.assign(`/sessions/${session.id}`);
  } catch (problem) {
    button.removeAttribute("aria-disabled");
    if (problem.status === 401) signedOut();
    else fail("create-problem", problem.message);
  }
}

function fail(id, sentence) {
  part(id).textContent = sentence;
  part(id).hidden = !sentence;
}

// The sign-in has ended, here or elsewhere: signing in leads back here.
function signedOut() {
  location.assign("/signin?error=SessionRequired&callbackUrl=%2Fsessions");
}

// Back at the page that the browser has kept.
function comeBack(event) {
  if (!event.persisted) return;
  part("create-button").removeAttribute("aria-disabled");
  part("new-name").value = "";
  refresh();
}

part("create").addEventListener("submit", create);
part("more").addEventListener("click", more);
part("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
words.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, TYPING_MS);
});
part("sessions").querySelectorAll("time").forEach(drawTime);
document.addEventListener("visibilitychange", refresh);
window.addEventListener("pageshow", comeBack);
setInterval(refresh, REFRESH_EVERY_MS);
refresh();
