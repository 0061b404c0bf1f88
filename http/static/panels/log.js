// What was said and what happened, oldest first. Scrolls along only while the reader is at the end, also when the box
// becomes smaller or a line longer.
//
// Earlier messages come in above, and missing ones in between: what the reader sees stays where it is.

import { colourClass } from "../room/roster.js";

const LONGEST = 2000;
const AT_THE_END_PX = 48;
const NEAR_THE_TOP_PX = 160;
const GROUP_WITHIN_MS = 120_000;

const SLOW_MS = 1_500;
const SENDING = "Sending…";

// The timers of entries that are on their way.
const slow = new WeakMap();
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

export class Log {
  #box;
  #earlier;
  #cutOff;
  #showWords;
  // Whether the reader was at the end when they scrolled last, and where that was.
  #wasAtTheEnd = true;
  #top = 0;
  #isKeepingPlace = false;

  // `showEarlier()` is called when the reader wants what is above; `cutOff()` when the oldest lines were removed;
  // `showWords(element, text)` shows what was said.
  constructor(box, { showEarlier, cutOff, showWords }) {
    this.#box = box;
    this.#showWords = showWords;
    this.#cutOff = cutOff;
    this.#earlier = document.createElement("button");
    this.#earlier.type = "button";
    this.#earlier.className = "textual earlier";
    this.#earlier.textContent = "Show earlier messages";
    this.#earlier.addEventListener("click", showEarlier);
    box.addEventListener("scroll", () => {
      this.#top = box.scrollTop;
      this.#wasAtTheEnd = this.#isAtTheEnd;
      if (!this.#earlier.hidden && box.scrollTop < NEAR_THE_TOP_PX) showEarlier();
    }, { passive: true });
    new ResizeObserver(() => this.#follow()).observe(box);
    new MutationObserver(() => this.#follow()).observe(box, { childList: true, subtree: true });
    this.clear();
  }

  clear() {
    this.#wasAtTheEnd = true;
    this.#top = 0;
    this.#earlier.hidden = true;
    this.#box.replaceChildren(this.#earlier);
  }

  // Whether there is something above that is not shown.
  set hasEarlier(has) {
    if (!has && document.activeElement === this.#earlier) this.#box.focus();
    this.#earlier.hidden = !has;
  }

  // The newest line.
  get last() {
    return this.#box.lastElementChild;
  }

  // The newest entry that is before this place in the room's order; undefined when none is known to be.
  entryBefore({ epoch, offset }) {
    for (let line = this.last; line; line = line.previousElementSibling) {
      if (line.dataset.epoch === epoch && Number(line.dataset.offset) < offset) return line;
    }
    return undefined;
  }

  // Someone came, went, or something else of note, now or right after the line `before`. Returns the line.
  event(words, before = this.last) {
    const line = document.createElement("p");
    line.className = "event";
    line.textContent = words;
    if (before === this.last) this.#append(line);
    else this.#keepingPlace(() => before.after(line));
    return line;
  }

  // Something was said. Returns its entry, for `sending`, `sent`, `unsent` and the methods below.
  message(said) {
    const entry = newEntry(said, this.#showWords);
    this.#append(entry);
    return entry;
  }

  // Show an entry that was cleared away again, as the newest line.
  again(entry) {
    this.#append(entry);
  }

  // Something was said earlier: show it after `line`, or above everything.
  insert(said, line = this.#earlier) {
    const entry = newEntry(said, this.#showWords);
    this.#keepingPlace(() => line.after(entry));
    return entry;
  }

  // Show `entry` after `line`.
  move(entry, line) {
    const next = entry.nextElementSibling;
    this.#keepingPlace(() => line.after(entry));
    if (next) group(next);
  }

  // Do several of these; nothing is read out before the end.
  together(act) {
    this.#box.setAttribute("aria-busy", "true");
    this.#keepingPlace(act);
    this.#box.removeAttribute("aria-busy");
  }

  #keepingPlace(act) {
    if (this.#isKeepingPlace) return act();
    this.#isKeepingPlace = true;
    const box = this.#box;
    // In the middle of what is seen: above it, whose a line is may not be said any more, which moves those below.
    const middle = box.scrollTop + box.clientHeight / 2;
    const seen = [...box.children].find((line) => line.offsetTop + line.offsetHeight > middle);
    const top = seen?.offsetTop ?? 0;
    const isFollowed = this.#isFollowed;
    act();
    for (const entry of box.querySelectorAll(".said:not([data-grouped])")) {
      group(entry);
      if (entry.nextElementSibling) group(entry.nextElementSibling);
    }
    if (isFollowed) this.#scrollToTheEnd();
    else if (seen) box.scrollTop += seen.offsetTop - top;
    this.#isKeepingPlace = false;
    return undefined;
  }

  #follow() {
    if (this.#isFollowed) this.#scrollToTheEnd();
  }

  #scrollToTheEnd() {
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#top = this.#box.scrollTop;
    this.#wasAtTheEnd = true;
  }

  // Not if they have scrolled up a moment ago: the event comes later.
  get #isFollowed() {
    return this.#isAtTheEnd || (this.#wasAtTheEnd && this.#box.scrollTop >= this.#top);
  }

  get #isAtTheEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#box;
    return scrollHeight - scrollTop - clientHeight < AT_THE_END_PX;
  }

  #append(line) {
    const box = this.#box;
    const isFollowed = this.#isFollowed;
    box.append(line);
    group(line);
    if (!isFollowed) return;
    if (box.childElementCount > LONGEST) {
      while (box.childElementCount > LONGEST) this.#earlier.nextElementSibling.remove();
      this.#cutOff();
    }
    this.#scrollToTheEnd();
  }
}

// When it was said, as is known now.
export function dated(entry, at) {
  const stamp = entry.querySelector("time");
  stamp.replaceWith(time(at));
  entry.dataset.at = at;
}

// It is on its way; what takes longer than usual says so.
export function sending(entry) {
  entry.classList.add("pending");
  entry.querySelector(".unsent")?.remove();
  clearTimeout(slow.get(entry));
  if (entry.querySelector(".on-its-way")) waits(entry, SENDING);
  else slow.set(entry, setTimeout(() => waits(entry, SENDING), SLOW_MS));
}

// Why it is still on its way.
export function waits(entry, words) {
  clearTimeout(slow.get(entry));
  let line = entry.querySelector(".on-its-way");
  if (!line) {
    line = document.createElement("p");
    line.className = "on-its-way";
    entry.querySelector(".said-body").append(line);
  }
  line.textContent = words;
}

export function sent(entry) {
  clearTimeout(slow.get(entry));
  entry.classList.remove("pending");
  for (const line of entry.querySelectorAll(".on-its-way, .unsent")) line.remove();
}

// It was sent, but something about it is not as it should be.
export function marked(entry, words) {
  sent(entry);
  const line = document.createElement("p");
  line.className = "unsent";
  line.textContent = words;
  entry.querySelector(".said-body").append(line);
  return line;
}

// Mark it as not sent, with the reason and a way to try again.
export function unsent(entry, words, sendAgain) {
  offer(marked(entry, `Not sent. ${words} `), "Send again", sendAgain);
}

// End a line with a button.
export function offer(line, words, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "textual";
  button.textContent = words;
  button.addEventListener("click", act);
  line.append(button);
}

function newEntry({ memberId, name, text, at }, showWords) {
  const entry = document.createElement("article");
  entry.className = `said ${colourClass(memberId)}`;
  entry.dataset.member = memberId;
  entry.dataset.at = at;
  const body = document.createElement("div");
  body.className = "said-body";
  const by = document.createElement("p");
  by.className = "said-by";
  by.append(strong(name), " ", time(at));
  const words = document.createElement("p");
  words.className = "said-text";
  words.dir = "auto";
  showWords(words, text);
  body.append(by, words);
  entry.append(body);
  return entry;
}

// Whoever goes on talking is named once.
function group(entry) {
  if (!entry.matches(".said")) return;
  const before = entry.previousElementSibling;
  const goesOn = before?.matches(".said")
    && before.dataset.member === entry.dataset.member
    && Math.abs(entry.dataset.at - before.dataset.at) < GROUP_WITHIN_MS;
  entry.classList.toggle("goes-on", Boolean(goesOn));
  entry.dataset.grouped = "";
}

function strong(text) {
  const name = document.createElement("strong");
  name.textContent = text;
  return name;
}

function time(at) {
  const stamp = document.createElement("time");
  const moment = new Date(at);
  stamp.dateTime = moment.toISOString();
  stamp.textContent = (moment.toDateString() === new Date().toDateString() ? clock : calendar).format(moment);
  return stamp;
}
