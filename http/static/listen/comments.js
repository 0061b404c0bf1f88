// What guests say of a shared mixdown, at a place of it or of the whole. Whoever writes gives a name, kept in this browser.

import { ask } from "../controls/api.js";
import { timeInWords } from "../controls/quantities.js";

const NAME_KEY = "omnisonic.guest";
const NAMELESS = "Write your name, so that the band knows who it is.";
const WORDLESS = "Write something first.";

const part = (id) => document.getElementById(id);
const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

export class Comments {
  #path;
  #duration_s;
  #goTo;
  #place_s = 0;
  #isSending = false;

  // `goTo(place_s)` goes to a place of the mixdown.
  constructor(path, duration_s, goTo) {
    this.#path = path;
    this.#duration_s = duration_s;
    this.#goTo = goTo;
    part("name").value = remembered();
    part("write").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    part("write").inert = false;
    this.#read();
  }

  // The place that a new comment is about: where it plays, or where it stood when the writing began.
  moved(place_s) {
    if (part("text").value) return;
    this.#place_s = place_s;
    part("pinned-time").textContent = timeInWords(place_s);
  }

  async #read() {
    try {
      const { comments } = await ask("GET", this.#path);
      part("comments").replaceChildren(...comments.map((comment) => this.#line(comment)));
      part("pins").replaceChildren(...comments.filter(({ atSeconds }) => atSeconds !== null).map((each) => this.#pin(each)));
      part("no-comments").hidden = comments.length > 0;
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  async #send() {
    const name = part("name").value.trim();
    const text = part("text").value.trim();
    part("name").toggleAttribute("aria-invalid", !name);
    part("text").toggleAttribute("aria-invalid", Boolean(name) && !text);
    if (!name || !text) {
      this.#fail(name ? WORDLESS : NAMELESS);
      part(name ? "text" : "name").focus();
      return;
    }
    if (this.#isSending) return;
    this.#isSending = true;
    const button = part("write").querySelector("button");
    button.setAttribute("aria-disabled", "true");
    try {
      await ask("POST", this.#path, { name, text, atSeconds: part("pinned").checked ? this.#place_s : null });
      remember(name);
      this.#fail("");
      // What was typed meanwhile stays.
      if (part("text").value.trim() === text) part("text").value = "";
      part("news").textContent = "Your comment is there.";
      await this.#read();
    } catch (problem) {
      this.#fail(problem.message);
    } finally {
      this.#isSending = false;
      button.removeAttribute("aria-disabled");
    }
  }

  #line({ name, text, atSeconds, createdAt }) {
    const line = part("comment").content.firstElementChild.cloneNode(true);
    line.querySelector("strong").textContent = name;
    line.querySelector("time").dateTime = createdAt;
    line.querySelector("time").textContent = moments.format(new Date(createdAt));
    line.querySelector(".said").textContent = text;
    if (atSeconds !== null) line.querySelector(".tag").after(this.#way(atSeconds));
    return line;
  }

  // A button that goes to the place.
  #way(place_s) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "goes";
    button.textContent = timeInWords(place_s);
    button.setAttribute("aria-label", `Go to ${timeInWords(place_s)}`);
    button.addEventListener("click", () => this.#goTo(place_s));
    return button;
  }

  #pin({ atSeconds }) {
    const pin = document.createElement("span");
    pin.className = "pin";
    pin.style.setProperty("--at", `${Math.min(100, (100 * atSeconds) / (this.#duration_s || Infinity))}%`);
    return pin;
  }

  #fail(words) {
    part("write-problem").textContent = words;
    part("write-problem").hidden = !words;
  }
}

// Some browsers keep nothing for pages that are opened in private.
function remembered() {
  try {
    return localStorage.getItem(NAME_KEY) ?? "";
  } catch {
    return "";
  }
}

function remember(name) {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch {
    // Then it is written anew.
  }
}
