// The links to one mixdown, for people without an account: making one, what it allows, how often it was played, revoking it.
//
// Its dialog is in a template of the page (share_dialog.html), and is made at the first press.

import { ask } from "../controls/api.js";
import { copies } from "../controls/copying.js";
import { twice } from "../controls/twice.js";

const DAY_MS = 86_400_000;
const ENDED = "share_not_found";

const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const moments = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

export class ShareDialog {
  #dialog;
  #mayChange;
  #lost;
  #path = "";
  #shownId = "";
  // The paths at which a link is being made.
  #making = new Set();

  // `mayChange`: whether links may be made and revoked; a listener only sees them. `lost(problem)`: whether a problem ends
  // everything, such as a session that is not shared any more.
  constructor({ mayChange, lost }) {
    this.#mayChange = mayChange;
    this.#lost = lost;
    this.#dialog = document.getElementById("share-template").content.firstElementChild.cloneNode(true);
    document.body.append(this.#dialog);
    this.#part("make").hidden = !mayChange;
    this.#part("make").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
    copies(this.#act("copy"), () => this.#url.value, this.#url);
    this.#act("send").hidden = !("share" in navigator);
    this.#act("send").addEventListener("click", () => this.#send());
    this.#dialog.querySelector("[data-close]").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("pointerdown", (event) => event.target === this.#dialog && this.#dialog.close());
  }

  // Show the links to this mixdown, which is finished.
  async open({ exportId, fileName }) {
    this.#path = `/api/export/${exportId}/shares`;
    this.#part("name").textContent = fileName;
    this.#part("list").replaceChildren();
    this.#part("links").hidden = this.#part("none").hidden = true;
    this.#showLink("");
    this.#say("");
    this.#fail("");
    this.#drawMaking();
    this.#dialog.showModal();
    await this.#refresh();
  }

  close() {
    this.#dialog.close();
  }

  async #refresh() {
    const path = this.#path;
    try {
      const { shares } = await ask("GET", path);
      if (path !== this.#path) return;
      this.#part("list").replaceChildren(...shares.map((share) => this.#line(share)));
      this.#part("links").hidden = shares.length === 0;
      this.#part("none").hidden = shares.length > 0 || this.#mayChange;
    } catch (problem) {
      this.#tell(problem, path);
    }
  }

  async #make() {
    const path = this.#path;
    // One press, one link: of two, only the second would be shown.
    if (this.#making.has(path)) return;
    this.#making.add(path);
    this.#drawMaking();
    const { download, comments, days: howLong } = this.#part("make").elements;
    const expiresAt = new Date(Date.now() + Number(howLong.value) * DAY_MS).toISOString();
    try {
      const share = await ask("POST", path, { expiresAt, download: download.checked, comments: comments.checked });
      // Another mixdown is shown by now. The list of its own has the link, and can revoke it.
      if (path !== this.#path) return;
      this.#fail("");
      this.#showLink(share.url, share.id);
      this.#say(`Copy it now: it is not shown again. It plays until ${days.format(new Date(share.expiresAt))}.`);
      this.#url.focus();
      this.#url.select();
      await this.#refresh();
    } catch (problem) {
      this.#tell(problem, path);
    } finally {
      this.#making.delete(path);
      this.#drawMaking();
    }
  }

  #drawMaking() {
    const button = this.#part("make").querySelector("button");
    button.setAttribute("aria-disabled", String(this.#making.has(this.#path)));
  }

  #line({ id, createdAt, expiresAt, download, comments, plays, sharedBy }) {
    const made = `${moments.format(new Date(createdAt))}${sharedBy ? ` by ${sharedBy.name}` : ""}`;
    const line = document.createElement("li");
    const words = document.createElement("p");
    words.className = "person-words";
    const strong = document.createElement("strong");
    strong.textContent = `Made ${made}`;
    const about = document.createElement("span");
    about.className = "quiet";
    about.textContent = `until ${days.format(new Date(expiresAt))} · ${playsInWords(plays)}`;
    words.append(strong, about);
    const acts = document.createElement("div");
    acts.className = "share-acts";
    if (this.#mayChange) {
      acts.append(
        this.#choice("Download", made, download, (isOn) => this.#change(id, { download: isOn })),
        this.#choice("Comments", made, comments, (isOn) => this.#change(id, { comments: isOn })),
        // Whoever has the link cannot be given it back.
        twice("Revoke", "Revoke for good", `the link made ${made}`, () => this.#revoke(id)),
      );
    }
    line.append(words, acts);
    return line;
  }

  #choice(words, made, isOn, change) {
    const label = document.createElement("label");
    label.className = "share-choice";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = isOn;
    box.setAttribute("aria-label", `${words}: the link made ${made}`);
    let kept = isOn;
    let asked = 0;
    box.addEventListener("change", async () => {
      const wanted = box.checked;
      asked += 1;
      if (await change(wanted)) kept = wanted;
      asked -= 1;
      if (asked === 0) box.checked = kept;
    });
    label.append(box, words);
    return label;
  }

  // Whether it was done.
  async #change(id, change) {
    const path = this.#path;
    try {
      await ask("PATCH", `${path}/${id}`, change);
      if (path === this.#path) this.#fail("");
      return true;
    } catch (problem) {
      this.#tell(problem, path);
      return false;
    }
  }

  async #revoke(id) {
    const path = this.#path;
    try {
      await ask("DELETE", `${path}/${id}`);
    } catch (problem) {
      if (problem.code !== ENDED) return this.#tell(problem, path);
    }
    if (path !== this.#path) return;
    this.#fail("");
    if (id === this.#shownId) this.#showLink("");
    this.#say("The link is revoked: it does not play any more.");
    await this.#refresh();
    // What had the focus is gone.
    (this.#part("list").querySelector("button") ?? this.#part("make").querySelector("button")).focus();
  }

  async #send() {
    try {
      await navigator.share({ title: this.#part("name").textContent, url: this.#url.value });
    } catch {
      // Whoever changed their mind has the link still.
    }
  }

  #showLink(url, id = "") {
    this.#url.value = url;
    this.#shownId = id;
    this.#part("link").hidden = !url;
  }

  // `path` is the one that was asked: another mixdown may be shown by now.
  #tell(problem, path) {
    if (!this.#lost(problem) && path === this.#path) this.#fail(problem.message);
  }

  #say(words) {
    this.#part("news").textContent = words;
  }

  #fail(words) {
    this.#part("problem").textContent = words;
    this.#part("problem").hidden = !words;
  }

  get #url() {
    return this.#dialog.querySelector("input[readonly]");
  }

  #part(name) {
    return this.#dialog.querySelector(`[data-show="${name}"]`);
  }

  #act(name) {
    return this.#dialog.querySelector(`[data-act="${name}"]`);
  }
}

function playsInWords(plays) {
  if (plays === 0) return "not played yet";
  return plays === 1 ? "played once" : `played ${plays} times`;
}
