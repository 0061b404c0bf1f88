// The panel at the right, which is a sheet on a phone: its tabs, whether it is open, and what is new in it.
//
// What comes in while its tab is not seen is counted: on the tab, on the button that opens the panel, and in the title.

const NAMES = ["talk", "comments", "activity", "mixdowns"];
const FOLDED_KEY = "omnisonic.panel";
const MOST = 99;

const part = (id) => document.getElementById(id);
const phone = matchMedia("(max-width: 900px), (max-height: 440px) and (orientation: landscape)");

export class Tabs extends EventTarget {
  #current = "talk";
  #unseen = new Map(NAMES.map((name) => [name, 0]));
  #title = document.title;

  // Tells `shown` (`detail.name`) when somebody sees a tab that they did not see before.
  constructor() {
    super();
    for (const name of NAMES) {
      part(`tab-${name}`).addEventListener("click", () => this.show(name));
      part(`tab-${name}`).addEventListener("keydown", (event) => this.#turn(event));
    }
    part("panel-open").addEventListener("click", () => this.#setOpen(!this.isOpen, { focus: true }));
    part("panel-close").addEventListener("click", () => this.#setOpen(false, { focus: true }));
    part("panel").addEventListener("keydown", (event) => {
      if (event.key === "Escape" && phone.matches && !event.defaultPrevented) this.#setOpen(false, { focus: true });
    });
    document.body.classList.toggle("panel-folded", localStorage.getItem(FOLDED_KEY) === "folded");
    phone.addEventListener("change", () => this.#drawOpen());
    document.addEventListener("visibilitychange", () => this.#see());
    this.#drawOpen();
    if (NAMES.includes(location.hash.slice(1))) this.show(location.hash.slice(1));
  }

  get current() {
    return this.#current;
  }

  get isOpen() {
    const { classList } = document.body;
    return phone.matches ? classList.contains("panel-open") : !classList.contains("panel-folded");
  }

  // Whether somebody sees this tab now.
  isSeen(name) {
    return this.isOpen && this.#current === name && document.visibilityState === "visible";
  }

  set title(title) {
    this.#title = title;
    this.#draw();
  }

  // Turn to this tab, in the open panel.
  show(name) {
    this.#current = name;
    part("panel").dataset.tab = name;
    // Above the mixdowns, below everything else.
    if (name === "mixdowns") part("panel-mixdowns").prepend(part("mixing"));
    else part("panel").append(part("mixing"));
    for (const each of NAMES) {
      const isShown = each === name;
      part(`panel-${each}`).hidden = !isShown;
      part(`tab-${each}`).setAttribute("aria-selected", String(isShown));
      part(`tab-${each}`).tabIndex = isShown ? 0 : -1;
    }
    if (this.isOpen) this.#see();
    else this.#setOpen(true);
  }

  // Something has come in. Not counted while it is seen.
  news(name, count = 1) {
    if (this.isSeen(name)) return;
    this.#unseen.set(name, this.#unseen.get(name) + count);
    this.#draw();
  }

  #setOpen(isOpen, { focus = false } = {}) {
    if (phone.matches) document.body.classList.toggle("panel-open", isOpen);
    else {
      document.body.classList.toggle("panel-folded", !isOpen);
      localStorage.setItem(FOLDED_KEY, isOpen ? "open" : "folded");
    }
    this.#drawOpen();
    if (!focus) return;
    if (isOpen && phone.matches) part(`tab-${this.#current}`).focus();
    if (!isOpen) part("panel-open").focus();
  }

  #drawOpen() {
    part("panel-open").setAttribute("aria-expanded", String(this.isOpen));
    this.#see();
  }

  #see() {
    if (this.isSeen(this.#current)) {
      this.#unseen.set(this.#current, 0);
      this.dispatchEvent(new CustomEvent("shown", { detail: { name: this.#current } }));
    }
    this.#draw();
  }

  // The arrow keys turn, as in every list of tabs.
  #turn(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = NAMES.indexOf(this.#current);
    const edge = { Home: 0, End: NAMES.length - 1 }[event.key];
    if (step === undefined && edge === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = NAMES[edge ?? (at + step + NAMES.length) % NAMES.length];
    this.show(next);
    part(`tab-${next}`).focus();
  }

  #draw() {
    let all = 0;
    for (const [name, count] of this.#unseen) {
      all += count;
      const words = count ? String(Math.min(count, MOST)) : "";
      if (part(`new-${name}`).textContent === words) continue;
      part(`new-${name}`).textContent = words;
      const label = part(`tab-${name}`).firstChild.textContent.trim();
      if (count) part(`tab-${name}`).setAttribute("aria-label", `${label}, ${words} new`);
      else part(`tab-${name}`).removeAttribute("aria-label");
    }
    part("panel-badge").hidden = all === 0 || this.isOpen;
    part("panel-badge").textContent = String(Math.min(all, MOST));
    part("panel-open").setAttribute("aria-label", all && !this.isOpen ? `Panel, ${all} new` : "Panel");
    const title = all ? `(${Math.min(all, MOST)}) ${this.#title}` : this.#title;
    if (document.title !== title) document.title = title;
  }
}
