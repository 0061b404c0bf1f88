// The invites to a session, for its owner: making one, seeing those that hold, withdrawing them.

import { ask } from "../controls/api.js";
import { copies } from "../controls/copying.js";

const part = (id) => document.getElementById(id);
const days = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", hour: "numeric", minute: "2-digit" });

export class Invites {
  #path;
  #fail;
  #shownId = "";
  #isMaking = false;

  // `path` is the session's in the API; `fail(words)` shows what went wrong.
  constructor(path, fail) {
    this.#path = `${path}/invites`;
    this.#fail = fail;
    for (const choice of part("invite-role").elements) choice.addEventListener("change", () => this.ended(""));
    part("invite-make").addEventListener("click", () => this.#make());
    part("invites-withdraw").addEventListener("click", () => this.#withdraw("", "All invites are withdrawn."));
    copies(part("invite-link").querySelector("button"), () => part("invite-url").value, part("invite-url"));
  }

  async refresh() {
    try {
      const { invites } = await ask("GET", this.#path);
      part("invite-list").replaceChildren(...invites.map((invite) => this.#line(invite)));
      part("invites").hidden = invites.length === 0;
      part("invites-withdraw").hidden = invites.length < 2;
    } catch (problem) {
      this.#fail(problem.message);
    }
  }

  // The link that was shown leads nowhere any more; `words` say why.
  ended(words) {
    this.#shownId = "";
    part("invite-link").hidden = true;
    part("invite-make").hidden = false;
    part("invite-ends").textContent = words;
  }

  get #role() {
    return part("invite-role").querySelector(":checked").value;
  }

  // One press, one link: of two, only the second would be shown. And it stays one for that role.
  async #make() {
    if (this.#isMaking) return;
    this.#drawMaking(true);
    try {
      const { url, id, expiresAt } = await ask("POST", this.#path, { role: this.#role });
      this.#shownId = id;
      part("invite-url").value = url;
      part("invite-link").hidden = false;
      part("invite-make").hidden = true;
      part("invite-ends").textContent = `Good until ${days.format(new Date(expiresAt))}, for as many as accept it.`;
      part("invite-url").focus();
      part("invite-url").select();
      this.#fail("");
      await this.refresh();
    } catch (problem) {
      this.#fail(problem.message);
    } finally {
      this.#drawMaking(false);
    }
  }

  #drawMaking(isMaking) {
    this.#isMaking = isMaking;
    part("invite-role").disabled = isMaking;
    part("invite-make").setAttribute("aria-disabled", String(isMaking));
  }

  #line({ id, role, createdAt, expiresAt }) {
    const made = `Made ${moments.format(new Date(createdAt))}`;
    const line = document.createElement("li");
    const words = document.createElement("p");
    words.className = "person-words";
    const strong = document.createElement("strong");
    strong.textContent = made;
    const about = document.createElement("span");
    about.className = "quiet";
    about.textContent = `for ${role}s, good until ${days.format(new Date(expiresAt))}`;
    words.append(strong, about);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "Withdraw";
    button.setAttribute("aria-label", `Withdraw the invite: ${made}`);
    button.addEventListener("click", () => this.#withdraw(id, "The invite is withdrawn: its link leads nowhere now."));
    line.append(words, button);
    return line;
  }

  async #withdraw(id, words) {
    try {
      await ask("DELETE", id ? `${this.#path}/${id}` : this.#path);
    } catch (problem) {
      if (problem.code !== "invite_not_found") return this.#fail(problem.message);
    }
    this.#fail("");
    if (!id || id === this.#shownId) this.ended(words);
    else part("invite-ends").textContent = words;
    await this.refresh();
    // What had the focus is gone.
    const next = part("invite-list").querySelector("button") ?? part("invite-make");
    (next.offsetParent ? next : part("people").querySelector("[data-close]")).focus();
  }
}
