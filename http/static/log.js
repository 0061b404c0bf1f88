// What was said and what happened, oldest first. Scrolls along only while the reader is at the end.

import { avatar } from "./avatar.js";

const LONGEST = 500;
const AT_THE_END_PX = 48;
const GROUP_WITHIN_MS = 120_000;

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

export class Log {
  #box;
  #last = null;

  constructor(box) {
    this.#box = box;
  }

  clear() {
    this.#box.replaceChildren();
    this.#last = null;
  }

  // Someone came, went, or something else of note.
  event(words) {
    const line = document.createElement("p");
    line.className = "event";
    line.textContent = words;
    this.#last = null;
    this.#append(line);
  }

  // Something was said. Returns its entry, for `sending`, `sent` and `unsent`.
  message(memberId, name, text) {
    const now = Date.now();
    const goesOn = this.#last?.memberId === memberId && now - this.#last.at < GROUP_WITHIN_MS;
    const entry = document.createElement("article");
    entry.className = goesOn ? "said goes-on" : "said";
    entry.append(goesOn ? document.createElement("span") : avatar(memberId, name));
    const body = document.createElement("div");
    body.className = "said-body";
    const by = document.createElement("p");
    by.className = goesOn ? "said-by unseen" : "said-by";
    by.append(strong(name), " ", time(now));
    const words = document.createElement("p");
    words.className = "said-text";
    words.textContent = text;
    body.append(by, words);
    entry.append(body);
    this.#last = { memberId, at: now };
    this.#append(entry);
    return entry;
  }

  #append(line) {
    const box = this.#box;
    const isAtTheEnd = box.scrollHeight - box.scrollTop - box.clientHeight < AT_THE_END_PX;
    box.append(line);
    while (box.childElementCount > LONGEST) box.firstElementChild.remove();
    if (isAtTheEnd) box.scrollTop = box.scrollHeight;
  }
}

export function sending(entry) {
  entry.classList.add("pending");
  entry.querySelector(".unsent")?.remove();
}

export function sent(entry) {
  entry.classList.remove("pending");
}

// Mark it as not sent, with the reason and a way to try again.
export function unsent(entry, words, sendAgain) {
  entry.classList.remove("pending");
  const line = document.createElement("p");
  line.className = "unsent";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "textual";
  button.textContent = "Send again";
  button.addEventListener("click", sendAgain);
  line.append(`Not sent. ${words} `, button);
  entry.querySelector(".unsent")?.remove();
  entry.querySelector(".said-body").append(line);
}

function strong(text) {
  const name = document.createElement("strong");
  name.textContent = text;
  return name;
}

function time(at) {
  const stamp = document.createElement("time");
  stamp.dateTime = new Date(at).toISOString();
  stamp.textContent = clock.format(at);
  return stamp;
}
