// Who shares the session, and taking a role back. And the question before what cannot be undone.

import { ask } from "./api.js";
import { avatar } from "./avatar.js";
import { Invites } from "./invites.js";

const part = (id) => document.getElementById(id);

export class People {
  #path;
  #myId;
  #isOwner;
  #invites;

  // `openers` are the buttons that open the dialog.
  constructor(id, myId, isOwner, openers) {
    this.#path = `/api/sessions/${id}`;
    this.#myId = myId;
    this.#isOwner = isOwner;
    for (const button of openers) button?.addEventListener("click", () => this.open());
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
      const lines = collaborators.map((person) => this.#line(person, "collaborator"));
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
    about.textContent = [person.id === this.#myId ? "you" : "", role === "owner" ? "owner" : "", person.email ?? ""]
      .filter(Boolean)
      .join(" · ");
    words.append(strong, about);
    line.append(avatar(person.id, name), words);
    if (this.#isOwner && role !== "owner") line.append(this.#removing(person, name));
    return line;
  }

  #removing(person, name) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove ${name}`);
    button.addEventListener("click", () => this.#remove(person, button));
    return button;
  }

  async #remove(person, button) {
    // Twice, because it also takes back the links they came by.
    if (button.textContent === "Remove") {
      button.textContent = "Remove for good";
      button.classList.add("danger");
      button.addEventListener("blur", () => this.#unsure(button), { once: true });
      return;
    }
    try {
      await ask("DELETE", `${this.#path}/collaborators/${person.id}`);
      this.#invites.ended(`${nameOf(person)} is removed, and the invite links made so far are off.`);
      part("people").querySelector("[data-close]").focus();
      await Promise.all([this.#refresh(), this.#invites.refresh()]);
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  #unsure(button) {
    button.textContent = "Remove";
    button.classList.remove("danger");
  }

  #fail(words) {
    part("people-problem").textContent = words;
    part("people-problem").hidden = !words;
  }
}

// Ask before `act()`, which may fail with a `Problem`.
export function asksFirst(opener, act) {
  const problem = part("sure-problem");
  opener.addEventListener("click", () => {
    problem.hidden = true;
    part("sure").showModal();
  });
  part("sure-act").addEventListener("click", async () => {
    try {
      await act();
    } catch ({ message }) {
      problem.textContent = message;
      problem.hidden = false;
    }
  });
}

// Dialogs close by their buttons and by a press beside them; Escape is the browser's.
export function closes(dialog) {
  for (const button of dialog.querySelectorAll("[data-close]")) button.addEventListener("click", () => dialog.close());
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close());
}

function nameOf(person) {
  return person.name?.trim() || person.email?.split("@")[0] || "Somebody";
}
