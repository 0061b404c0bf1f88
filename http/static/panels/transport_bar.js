// The transport in the bar: its buttons, the place in the song, and whether one listens together.
//
// The place is drawn as often as the screen is while something plays, and otherwise when something changes.

import { barInWords, tenthsInWords } from "../room/transport.js";

const FAILED_MS = 6_000;
const BLOCKED = "Press any key, or anywhere on the page, to hear it.";

const part = (id) => document.getElementById(id);

export class TransportBar {
  #conductor;
  #player;
  #song;
  #frame = 0;
  #clearing = 0;

  // `record()` is what the button for it does. `player` has `state`, and `unlock()` for when the browser wants a press.
  constructor({ conductor, player, song, record }) {
    this.#conductor = conductor;
    this.#player = player;
    this.#song = song;
    const acts = {
      "to-start": () => conductor.locate(0),
      play: () => conductor.toggle(),
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
    for (const name of ["pointerdown", "keydown"]) {
      document.addEventListener(name, () => this.#player.state === "blocked" && this.#player.unlock(), { capture: true });
    }
    this.draw();
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
