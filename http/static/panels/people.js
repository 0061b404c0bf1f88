// Who shares the session and as what; the owner changes roles, takes them back, and passes the session on.

import { ask } from "../controls/api.js";
import { twice } from "../controls/twice.js";
import { avatar } from "../room/roster.js";
import { Invites } from "./invites.js";

const ROLES = { editor: "Editor", listener: "Listener" };

const part = (id) => document.getElementById(id);

export class People {
  #path;
  #myId;
  #isOwner;
  #invites;

  constructor(id, myId, isOwner) {
    this.#path = `/api/sessions/${id}`;
    this.#myId = myId;
    this.#isOwner = isOwner;
    if (!isOwner) return;
    this.#invites = new Invites(this.#path, (problem) => this.#fail(problem));
  }

  async open() {
    this.#fail("");
    part("people").showModal();
    await Promise.all([this.#refresh(), this.#invites?.refresh()]);
  }

  async #refresh() {
    try {
      const { owner, collaborators } = await ask("GET", `${this.#path}/collaborators`);
      const lines = collaborators.map((person) => this.#line(person, person.role));
      part("people-list").replaceChildren(this.#line(owner, "owner"), ...lines);
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  #line(person, role) {
    const line = document.createElement("li");
    const name = nameOf(person);
    const words = document.createElement("p");
    words.className = "person-words";
    const strong = document.createElement("strong");
    strong.textContent = name;
    const about = document.createElement("span");
    about.className = "quiet";
    const shownRole = this.#isOwner && role !== "owner" ? "" : role;
    about.textContent = [person.id === this.#myId ? "you" : "", shownRole, person.email ?? ""]
      .filter(Boolean)
      .join(" · ");
    words.append(strong, about);
    line.append(avatar(person.id, name), words);
    if (this.#isOwner && role !== "owner") line.append(this.#acts(person, name));
    return line;
  }

  #acts(person, name) {
    const acts = document.createElement("div");
    acts.className = "person-acts";
    // Twice: the one takes away what the owner cannot take back, the other also the links they came by.
    const passing = twice("Make owner", "Hand it over", name, () => this.#passOn(person));
    const removing = twice("Remove", "Remove for good", name, () => this.#remove(person));
    acts.append(this.#choice(person, name), passing, removing);
    return acts;
  }

  #choice(person, name) {
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", `Role of ${name}`);
    for (const role of ["editor", "listener"]) choice.append(new Option(ROLES[role], role, false, role === person.role));
    choice.addEventListener("change", () => this.#changeRole(person, choice));
    return choice;
  }

  async #changeRole(person, choice) {
    this.#fail("");
    try {
      const { collaborator } = await ask("PATCH", `${this.#path}/collaborators/${person.id}`, { role: choice.value });
      person.role = collaborator.role;
      await this.#invites.refresh();
    } catch (problem) {
      choice.value = person.role;
      this.#fail(problem.message);
    }
  }

  async #passOn(person) {
    try {
      await ask("POST", `${this.#path}/ownership`, { userId: person.id });
      // What this page offers is the owner's.
      location.reload();
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  async #remove(person) {
    try {
      await ask("DELETE", `${this.#path}/collaborators/${person.id}`);
      this.#invites.ended(`${nameOf(person)} is removed, and the invite links made so far are off.`);
      part("people").querySelector("[data-close]").focus();
      await Promise.all([this.#refresh(), this.#invites.refresh()]);
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  #fail(words) {
    part("people-problem").textContent = words;
    part("people-problem").hidden = !words;
  }
}

function nameOf(person) {
  return person.name?.trim() || person.email?.split("@")[0] || "Somebody";
}
