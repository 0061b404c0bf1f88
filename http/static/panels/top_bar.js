// The bar at the top: the transport and its keys, what the session is called, its tempo and metre.

import { ask } from "../controls/api.js";
import { barInWords, tenthsInWords } from "../room/transport.js";

// --- the transport ---------------------------------------------------------------------------------------------------
//
// The transport in the bar: its buttons, the place in the song, and whether one listens together.
//
// The place is drawn as often as the screen is while something plays, and otherwise when something changes.

const FAILED_MS = 6_000;
const BLOCKED = "Press any key, or anywhere on the page, to hear it.";

const part = (id) => document.getElementById(id);

export class TransportBar {
  #conductor;
  #player;
  #song;
  #frame = 0;
  #clearing = 0;

  // `record()` is what the button for it does. `player` has `state`, and `openContext()` for when the browser wants a press.
  constructor({ conductor, player, song, record }) {
    this.#conductor = conductor;
    this.#player = player;
    this.#song = song;
    const acts = {
      "to-start": () => conductor.locate(0),
      play: () => this.play(),
      record,
      loop: () => this.turnLoop(),
      click: () => conductor.setClick(!conductor.isClickOn),
      "alone-open": () => (conductor.isTogether ? conductor.listenAlone() : conductor.listenTogether()),
      together: () => conductor.listenTogether(),
    };
    for (const [id, act] of Object.entries(acts)) part(id)?.addEventListener("click", act);
    conductor.addEventListener("change", () => this.draw());
    conductor.addEventListener("problem", ({ detail }) => this.fail(detail.words));
    player.addEventListener("state", () => this.#drawPlayer());
    // Of a finger, only its end is a press.
    for (const name of ["pointerdown", "pointerup", "keydown"]) {
      document.addEventListener(name, () => this.#player.state === "blocked" && this.#openContext(), { capture: true });
    }
    this.draw();
  }

  // Play, or pause. In the room, sound begins when the room says so; some browsers want it let out in the press itself.
  play() {
    this.#openContext();
    this.#conductor.toggle();
  }

  // Around the bar where it stands, four bars long, unless there is one: then no more.
  turnLoop() {
    const { beatsPerBar, loop } = this.#conductor;
    if (loop) return this.#conductor.setLoop(null);
    const startBeat = Math.floor(this.#conductor.position().beat / beatsPerBar) * beatsPerBar;
    return this.#conductor.setLoop({ startBeat, endBeat: startBeat + 4 * beatsPerBar });
  }

  draw() {
    const { isPlaying, isCountingIn, loop, isClickOn, canMove, isTogether, isInRoom } = this.#conductor;
    const isOn = isPlaying || isCountingIn;
    part("play").setAttribute("aria-label", isOn ? "Pause" : "Play");
    part("play").title = `${isOn ? "Pause" : "Play"} (Space)`;
    part("loop").setAttribute("aria-pressed", String(loop !== null));
    part("click").setAttribute("aria-pressed", String(isClickOn));
    for (const id of ["to-start", "play", "loop", "click"]) part(id).setAttribute("aria-disabled", String(!canMove));
    part("alone-open").hidden = !isInRoom;
    part("alone-open").textContent = isTogether ? "Listen alone" : "Listen together";
    this.#drawPlace();
  }

  // Why something did not work; it goes by itself.
  fail(words) {
    clearTimeout(this.#clearing);
    part("transport-problem").textContent = words;
    part("transport-problem").hidden = !words;
    if (words) this.#clearing = setTimeout(() => this.fail(""), FAILED_MS);
  }

  // The player says itself what goes wrong.
  #openContext() {
    this.#player.openContext().catch(() => {});
  }

  #drawPlayer() {
    const { state } = this.#player;
    part("transport").dataset.player = state;
    if (state === "blocked") this.fail(BLOCKED);
    this.draw();
  }

  #drawPlace() {
    cancelAnimationFrame(this.#frame);
    const { beat, seconds } = this.#conductor.position();
    show(part("position-bar"), barInWords(beat, this.#conductor.beatsPerBar));
    show(part("position-time"), tenthsInWords(seconds));
    if (this.#conductor.isPlaying || this.#conductor.isCountingIn) this.#frame = requestAnimationFrame(() => this.#drawPlace());
  }
}

function show(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// --- the session -----------------------------------------------------------------------------------------------------
//
// The head of the studio: what the session is called, and its tempo and metre. Owners change them in place.

// On a narrow screen there is no room for the numbers beside the transport: they are in the menu.
const narrow = matchMedia("(max-width: 559px)");
const heading = part("session-name");
const rename = part("rename");
const tempo = part("tempo");
const beats = part("beats");

export class SessionHead {
  #id;
  #session;
  #told;
  // Counts what is asked and heard of it; as of when it is drawn; how many changes of it are under way.
  #count = 0;
  #drawnAt = 0;
  #changing = 0;

  // `told(session)` whenever it may have changed.
  constructor(id, isOwner, told) {
    this.#id = id;
    this.#told = told;
    this.#session = { name: heading.textContent, tempoBpm: Number(tempo.value), beatsPerBar: Number(beats.value) };
    if (isOwner) this.#wire();
    narrow.addEventListener("change", seatReadouts);
    seatReadouts();
  }

  get session() {
    return this.#session;
  }

  // Read it anew, and draw it. What is heard or changed here meanwhile is newer than the answer. Errors: `Problem`.
  async read() {
    const at = (this.#count += 1);
    const { session } = await ask("GET", `/api/sessions?id=${this.#id}`);
    if (at > this.#drawnAt && this.#changing === 0) this.#draw(session, at);
    return session;
  }

  // The session as it is now, whoever changed it.
  draw(session) {
    this.#draw(session, (this.#count += 1));
  }

  #draw(session, at) {
    this.#drawnAt = at;
    this.#session = { ...this.#session, ...session };
    const { name, tempoBpm, beatsPerBar } = this.#session;
    show(heading, name);
    heading.title = name;
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
    // It stays the page's heading.
    heading.classList.toggle("unseen", isRenaming);
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
    this.#changing += 1;
    try {
      const { session } = await ask("PATCH", `/api/sessions/${this.#id}`, change);
      this.draw(session);
      return true;
    } catch (problem) {
      this.#fail(problem.message);
      return false;
    } finally {
      this.#changing -= 1;
    }
  }

  #fail(words) {
    part("head-problem").textContent = words;
    part("head-problem").hidden = !words;
  }
}

function seatReadouts() {
  if (narrow.matches) part("more").querySelector(".menu-body").prepend(part("readouts"));
  else part("transport").append(part("readouts"));
}

// --- the keys --------------------------------------------------------------------------------------------------------
//
// The keys of the page, and the dialog that shows them. Not while somebody types, and not where a key has a meaning already.

// Nobody types into a box to tick.
const TYPING = "input:not([type='checkbox'], [type='radio'], [type='range'], [type='file']), textarea, select, [contenteditable]";
// Where Space, the arrows and Home are the control's own, or scroll.
const PRESSED = "input, button, a, summary, [role='tab'], [role='slider'], [role='radio'], .log, .tab-body, #roster";

// `conductor` and `bar` as in their modules; `record()` begins or ends a recording.
export function listenToKeys({ conductor, bar, record }) {
  const move = (beats) => conductor.locate(Math.max(0, Math.round(conductor.position().beat + beats)));
  const acts = {
    " ": () => bar.play(),
    home: () => conductor.locate(0),
    arrowleft: ({ shiftKey }) => move(shiftKey ? -conductor.beatsPerBar : -1),
    arrowright: ({ shiftKey }) => move(shiftKey ? conductor.beatsPerBar : 1),
    l: () => bar.turnLoop(),
    c: () => conductor.setClick(!conductor.isClickOn),
    r: record,
    "?": () => part("keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest(TYPING) || document.querySelector("dialog:modal") || part("transport").inert) return;
    const key = event.key.toLowerCase();
    if (event.target.closest(PRESSED) && (key.length > 1 || key === " ")) return;
    const act = acts[key];
    if (!act || (event.repeat && !key.startsWith("arrow"))) return;
    event.preventDefault();
    act(event);
  });
  part("keys-open").addEventListener("click", () => part("keys").showModal());
}
