// The door: a name, a room, and a look at who is in there already.

import { colourClass, initials } from "./avatar.js";

const PEEK_AFTER_MS = 350;
const NAME_KEY = "omnisonic.name";
const NAMED = 3;
const ADVICE = "Any word you agree on. Whoever types it is in.";

export class Entry {
  #form;
  #peek;
  #problem;
  #strips;
  #timer = 0;
  #asked = "";

  // `enter(name, room)` is called when both are there.
  constructor(section, enter) {
    this.#form = section.querySelector("form");
    this.#strips = [...section.querySelectorAll(".strip")];
    this.#peek = section.querySelector("#peek");
    this.#problem = section.querySelector("#entry-problem");
    this.name.value = localStorage.getItem(NAME_KEY) ?? "";
    this.room.value = new URLSearchParams(location.search).get("room") ?? "";
    this.room.addEventListener("input", () => this.#peekSoon());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(enter);
    });
    this.look();
  }

  get name() {
    return this.#form.elements.name;
  }

  get room() {
    return this.#form.elements.room;
  }

  focus() {
    (this.name.value ? this.room : this.name).focus();
  }

  fail(words) {
    this.#problem.textContent = words;
    this.#problem.hidden = false;
  }

  #submit(enter) {
    this.#problem.hidden = true;
    const missing = [this.name, this.room].filter((field) => !field.value.trim());
    for (const field of [this.name, this.room]) field.toggleAttribute("aria-invalid", missing.includes(field));
    if (missing.length) {
      this.fail(`Type ${missing.map((field) => (field === this.name ? "your name" : "a room")).join(" and ")}.`);
      missing[0].focus();
      return;
    }
    localStorage.setItem(NAME_KEY, this.name.value.trim());
    enter(this.name.value.trim(), this.room.value.trim());
  }

  #peekSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.look(), PEEK_AFTER_MS);
  }

  // Show who is in the room that is typed now. Knowing is a comfort, not a need: failures are silent.
  async look() {
    const room = this.room.value.trim();
    this.#asked = room;
    let members = [];
    if (room) {
      try {
        const response = await fetch(`/api/presence?roomId=${encodeURIComponent(room)}`);
        if (response.ok) members = (await response.json()).members;
      } catch {
        members = [];
      }
    }
    if (this.#asked === room) this.#draw(members);
  }

  #draw(members) {
    const names = members.map((member) => member.displayName);
    this.#peek.textContent = names.length ? `${listed(names)} in there now.` : ADVICE;
    this.#strips.forEach((strip, index) => {
      const member = members[index];
      strip.setAttribute("class", member ? `strip live ${colourClass(member.memberId)}` : "strip");
      strip.querySelector(".tape-name").textContent = member ? initials(member.displayName) : "";
    });
  }
}

function listed(names) {
  const shown = names.slice(0, NAMED);
  const others = names.length - shown.length;
  if (others) shown.push(others === 1 ? "one other" : `${others} others`);
  const list = new Intl.ListFormat("en").format(shown);
  return `${list} ${names.length === 1 ? "is" : "are"}`;
}
