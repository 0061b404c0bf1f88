// Being in the session's room: the door, the connection and its troubles, who is there, and leaving again.
//
// States: `outside`, one of the connection's (`joining`, `connected`, `reconnecting`, `ended`), or `gone` when there is
// nothing to come back to.

import { ask, UNREACHABLE } from "../controls/api.js";

const NAME_KEY = "omnisonic.name";
const OFFLINE = "This device is offline.";
const WORDS = { joining: "Joining…", reconnecting: "Reconnecting…", ended: "Disconnected" };

// With the client: both are loaded when somebody is likely to come in.
const connecting = () => import("./connection.js");

const part = (id) => document.getElementById(id);

export class Visit {
  state = "outside";
  name = "";
  #sessionId;
  #memberId;
  #roster;
  #told;
  #connection = null;
  #hasBeenIn = false;
  // Each time that somebody comes in.
  #visit = {};

  // `told`: `begun()` when somebody comes in, which is waited for, `connected(room, isBack)`, `disconnected()`, `ended()` whatever it was,
  // `message(message)`, `drawn()` after each change, `words()` for what the state is when connected, `lost(problem)` whether a
  // problem ends everything.
  constructor(sessionId, memberId, roster, told) {
    this.#sessionId = sessionId;
    this.#memberId = memberId;
    this.#roster = roster;
    this.#told = told;
    const nameField = part("name");
    nameField.value = localStorage.getItem(this.#nameKey) || nameField.dataset.default;
    part("entry").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.state === "outside") this.#join();
    });
    part("entry").addEventListener("pointerenter", connecting, { once: true });
    part("entry").addEventListener("focusin", connecting, { once: true });
    part("leave").addEventListener("click", () => this.leave());
    addEventListener("offline", () => this.#offline());
    addEventListener("online", () => this.#online());
  }

  get isConnected() {
    return this.state === "connected";
  }

  get connection() {
    return this.#connection;
  }

  say(type, payload) {
    this.#connection?.say(type, payload);
  }

  leave(words = "") {
    this.hangUp();
    this.state = "outside";
    this.#show("entry");
    this.#roster.show([]);
    this.look();
    this.#fail(words);
    part("join").focus();
  }

  hangUp() {
    this.#visit = {};
    this.#connection?.close();
    this.#connection = null;
    stopCounting();
    part("notice").hidden = true;
    this.#told.disconnected();
  }

  // There is nothing to come back to: say so, and where to go instead.
  gone(words, link, href) {
    this.hangUp();
    this.state = "gone";
    this.#show("entry");
    this.#roster.show([]);
    this.draw();
    part("entry-words").textContent = words;
    part("entry-way").hidden = false;
    part("entry-link").textContent = link;
    part("entry-link").href = href;
    part("entry").classList.add("is-gone");
    part("join").hidden = true;
    part("entry-link").focus();
  }

  // Who is in there, as seen from outside. Knowing is a comfort, not a need: only what ends everything is told.
  async look() {
    if (this.state !== "outside" || document.visibilityState !== "visible") return;
    try {
      const { members } = await ask("GET", `/api/presence?roomId=${this.#sessionId}`);
      if (this.state === "outside") this.#roster.show(members);
    } catch (problem) {
      if (this.state === "outside") this.#told.lost(problem);
    }
    if (this.state === "outside") this.draw();
  }

  draw() {
    const { size } = this.#roster;
    part("count").textContent = this.state === "joining" || this.state === "gone" ? "" : String(size);
    part("nobody").hidden = size > 0 || this.state === "gone";
    part("roster").hidden = size === 0;
    part("alone").hidden = !(this.isConnected && size === 1);
    if (this.state === "outside") part("entry-words").textContent = invitation(size);
    if (this.isConnected && navigator.onLine) show(part("state-words"), this.#told.words());
    this.#told.drawn();
  }

  get #nameKey() {
    return `${NAME_KEY}.${this.#memberId}`;
  }

  async #join() {
    this.name = part("name").value.trim();
    if (!this.name) {
      this.#fail("Type the name that the others see.");
      return;
    }
    this.#fail("");
    localStorage.setItem(this.#nameKey, this.name);
    this.#hasBeenIn = false;
    this.#roster.show([{ memberId: this.#memberId, displayName: this.name, status: "active" }]);
    this.state = "joining";
    this.#show("inside");
    const visit = (this.#visit = {});
    let connection;
    try {
      [connection] = await Promise.all([connecting(), this.#told.begun()]);
    } catch {
      if (visit === this.#visit) this.leave(UNREACHABLE);
      return;
    }
    if (visit !== this.#visit) return;
    this.#connection = new connection.Connection(() => this.#place(), {
      state: (next, detail) => this.#changed(next, detail),
      message: (message) => this.#told.message(message),
      latency: () => this.#told.drawn(),
    });
    await this.#connection.open();
  }

  #show(side) {
    const isInside = side === "inside";
    part("entry").hidden = isInside;
    part("outside").hidden = isInside || this.state === "gone";
    for (const id of ["composer", "leave", "state"]) part(id).hidden = !isInside;
    document.body.classList.toggle("in-room", isInside);
  }

  // A ticket lets in once, so each attempt needs one of its own.
  async #place() {
    const body = { displayName: this.name };
    const { ticket, url, eventsUrl } = await ask("POST", `/api/rooms/${this.#sessionId}/ticket`, body);
    return { ticket, url: withStatus(url), eventsUrl: withStatus(eventsUrl) };
  }

  #changed(next, detail) {
    this.state = next;
    part("state").dataset.state = next;
    part("latency").textContent = "";
    stopCounting();
    part("notice").hidden = next === "joining" || next === "connected";
    part("send").setAttribute("aria-disabled", String(next !== "connected"));
    part("state-words").textContent = WORDS[next] ?? this.#told.words();
    if (next === "connected") this.#connected();
    else if (next !== "joining") this.#told.disconnected();
    if (next === "reconnecting") {
      notice(detail.words, "Try now", () => this.#connection.retry());
      countDown(detail.at);
    }
    if (next === "ended") this.#ended(detail);
    this.draw();
  }

  #connected() {
    this.#roster.show(this.#connection.members);
    this.#told.connected(this.#connection.room, this.#hasBeenIn);
    this.#hasBeenIn = true;
  }

  async #ended({ words, problem }) {
    if (problem && this.#told.lost(problem)) return;
    if (!this.#hasBeenIn) {
      this.leave(words);
      return;
    }
    notice(words, "Join again", () => this.#connection.open());
    await this.#told.ended();
  }

  // The browser knows before the connection does.
  #offline() {
    if (!this.isConnected) return;
    part("state").dataset.state = "reconnecting";
    part("state-words").textContent = WORDS.reconnecting;
    notice(OFFLINE, "Try now", () => this.#online());
    part("notice").hidden = false;
  }

  #online() {
    if (this.state === "reconnecting") this.#connection.retry();
    if (!this.isConnected) return;
    part("state").dataset.state = "connected";
    part("notice").hidden = true;
    this.draw();
  }

  #fail(words) {
    part("entry-problem").textContent = words;
    part("entry-problem").hidden = !words;
    part("name").toggleAttribute("aria-invalid", Boolean(words));
    if (words) part("name").focus();
  }
}

// What is the same is not said again.
function show(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

export function presentStatus() {
  return document.visibilityState === "visible" ? "active" : "away";
}

function withStatus(url) {
  const address = new URL(url);
  address.searchParams.set("status", presentStatus());
  return address.href;
}

function invitation(size) {
  if (size === 0) return "Nobody is in the room yet. Be the first.";
  return size === 1 ? "Somebody is in the room." : `${size} people are in the room.`;
}

// --- the notice ------------------------------------------------------------------------------------------------------
//
// The line above the talk when the connection is lost: why, when it is tried again, and what to press meanwhile.

const COUNT_EVERY_MS = 250;

let counting = 0;

// `act()` is what pressing the button named `action` does.
export function notice(words, action, act) {
  stopCounting();
  part("notice-words").textContent = words;
  part("notice-action").textContent = action;
  part("notice-action").onclick = act;
}

// Count down to `at`, by `performance.now`.
export function countDown(at) {
  const count = () => {
    const left_s = Math.ceil((at - performance.now()) / 1000);
    part("notice-countdown").textContent = left_s > 0 ? `Trying again in ${left_s} s.` : "Trying again…";
  };
  count();
  counting = setInterval(count, COUNT_EVERY_MS);
}

export function stopCounting() {
  clearInterval(counting);
  part("notice-countdown").textContent = "";
}
