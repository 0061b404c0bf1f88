// The head of the studio: what the session is called, and its tempo and metre. Owners change them in place.

import { ask } from "../controls/api.js";

const part = (id) => document.getElementById(id);
const heading = part("session-name");
const rename = part("rename");
const tempo = part("tempo");
const beats = part("beats");

export class SessionHead {
  #path;
  #session;
  #told;

  // `told(session)` whenever it may have changed.
  constructor(id, isOwner, told) {
    this.#path = `/api/sessions/${id}`;
    this.#told = told;
    this.#session = { name: heading.textContent, tempoBpm: Number(tempo.value), beatsPerBar: Number(beats.value) };
    if (isOwner) this.#wire();
  }

  get session() {
    return this.#session;
  }

  // The session as it is now, whoever changed it.
  draw(session) {
    this.#session = { ...this.#session, ...session };
    const { name, tempoBpm, beatsPerBar } = this.#session;
    heading.textContent = heading.title = name;
    this.#told(this.#session);
    // Nobody's typing is overwritten.
    if (document.activeElement !== tempo) tempo.value = String(tempoBpm);
    if (document.activeElement !== beats) beats.value = String(beatsPerBar);
  }

  #wire() {
    part("rename-open").addEventListener("click", () => this.#open());
    part("rename-cancel").addEventListener("click", () => this.#close());
    rename.addEventListener("keydown", (event) => event.key === "Escape" && this.#close());
    rename.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this.#change({ name: part("rename-name").value })) this.#close();
    });
    for (const [field, name] of [[tempo, "tempoBpm"], [beats, "beatsPerBar"]]) {
      field.addEventListener("change", () => this.#changeNumber(field, name));
      field.addEventListener("keydown", (event) => event.key === "Enter" && field.blur());
    }
  }

  #open() {
    this.#show(true);
    part("rename-name").value = this.#session.name;
    part("rename-name").select();
    part("rename-name").focus();
  }

  #close() {
    this.#show(false);
    this.#fail("");
    heading.focus();
  }

  #show(isRenaming) {
    rename.hidden = !isRenaming;
    heading.hidden = isRenaming;
  }

  async #changeNumber(field, name) {
    if (field.checkValidity()) {
      await this.#change({ [name]: Number(field.value) });
    } else {
      this.#fail(`${name === "tempoBpm" ? "A tempo" : "A bar"} goes from ${field.min} to ${field.max}.`);
    }
    // Nobody's typing is overwritten.
    if (document.activeElement !== field) field.value = String(this.#session[name]);
  }

  async #change(change) {
    // Before the answer, not after it: what has gone wrong meanwhile is not this change's to clear.
    this.#fail("");
    try {
      const { session } = await ask("PATCH", this.#path, change);
      this.draw(session);
      return true;
    } catch (problem) {
      this.#fail(problem.message);
      return false;
    }
  }

  #fail(words) {
    part("head-problem").textContent = words;
    part("head-problem").hidden = !words;
  }
}
