// Who shares the session: invites, and taking a role back. And the question before what cannot be undone.

import { ask } from "./api.js";
import { avatar } from "./avatar.js";
import { copies } from "./copying.js";

const part = (id) => document.getElementById(id);
const dates = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export class People {
  #path;
  #myId;
  #isOwner;

  // `openers` are the buttons that open the dialog.
  constructor(id, myId, isOwner, openers) {
    this.#path = `/api/sessions/${id}`;
    this.#myId = myId;
    this.#isOwner = isOwner;
    for (const button of openers) button?.addEventListener("click", () => this.open());
    if (!isOwner) return;
    part("invite-make").addEventListener("click", () => this.#invite());
    copies(part("invite-link").querySelector("button"), () => part("invite-url").value, part("invite-url"));
  }

  async open() {
    this.#fail("");
    part("people").showModal();
    await this.#refresh();
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
      part("invite-link").hidden = true;
      part("invite-make").hidden = false;
      part("invite-ends").textContent = `${nameOf(person)} is removed, and the invite links made so far are off.`;
      part("people").querySelector("[data-close]").focus();
      await this.#refresh();
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  #unsure(button) {
    button.textContent = "Remove";
    button.classList.remove("danger");
  }

  async #invite() {
    try {
      const { url, expiresAt } = await ask("POST", `${this.#path}/invites`, {});
      part("invite-url").value = url;
      part("invite-link").hidden = false;
      part("invite-make").hidden = true;
      part("invite-ends").textContent = `Good until ${dates.format(new Date(expiresAt))}, for as many as open it.`;
      part("invite-url").focus();
      part("invite-url").select();
      this.#fail("");
    } catch (problem) {
      this.#fail(problem.message);
    }
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
