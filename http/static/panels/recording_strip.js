// The strip at the top of the song that records: what it shows and what can be pressed there. It decides nothing.

import { button, element } from "../controls/elements.js";
import { levelInWords, timeInWords } from "../controls/quantities.js";

const LOWEST_DB = -60;
const CLIPPED_MS = 2_000;
const WORDS_EVERY_MS = 1_000;
const EXPLANATION =
  "To record, the browser asks whether the studio may use your microphone. It is used only while this strip is open, and " +
  "nothing is sent before you press Record.";
const HEADPHONES = "Wear headphones, or the microphone records the song along with you.";
const MEASURING =
  "To measure, hold the headphones to the microphone, or use loudspeakers. You hear five short sweeps.";
const TOO_LOUD = "Too loud. Turn the input down.";
const LOOPING = "The loop is on: each pass becomes a take.";
const OTHER_OUTPUT =
  "The headphones or loudspeakers are not those that were measured. Measure again, under Microphone and timing.";
const NUDGE_MS = 500;

export class RecordingStrip {
  #host;
  #acts;
  #root;
  #parts = {};
  #clippedUntil = 0;
  #toldAt = 0;

  // `acts`: `allow()`, `record()`, `stop()`, `close()`, `chosen({ trackId?, deviceId?, input?, countsIn? })`, `measure()`,
  // `nudged(ms)`.
  constructor(host, acts) {
    this.#host = host;
    this.#acts = acts;
    this.#root = this.#build();
  }

  show() {
    if (!this.#root.isConnected) this.#host.append(this.#root);
  }

  // Who had the focus in it gets it no more: the record button does.
  hide() {
    const hadFocus = this.#root.contains(document.activeElement);
    this.#root.remove();
    if (hadFocus) document.getElementById("record")?.focus();
  }

  // `closed`, `explaining`, `opening`, `armed`, `starting`, `recording`, `stopping`, `saving` or `failed`.
  draw(state) {
    const { explain, controls, record, stop, rescue, close } = this.#parts;
    const isRunning = ["starting", "recording", "stopping"].includes(state);
    this.#root.dataset.state = state;
    this.#root.classList.toggle("is-live", isRunning);
    explain.hidden = state !== "explaining";
    controls.hidden = ["explaining", "opening"].includes(state);
    controls.querySelectorAll("select, input, .rec-measure").forEach((each) => (each.disabled = state !== "armed"));
    const hadFocus = [record, stop].includes(document.activeElement);
    record.hidden = isRunning;
    record.disabled = state !== "armed";
    stop.hidden = !isRunning;
    stop.disabled = state === "stopping";
    if (hadFocus) (isRunning ? stop : record).focus();
    rescue.hidden = state !== "failed";
    // What the studio has not taken would be out of reach.
    close.disabled = isRunning || ["saving", "failed"].includes(state);
  }

  // For everybody, screen readers too.
  say(words) {
    this.#parts.status.textContent = words;
  }

  fail(words) {
    this.#parts.fault.textContent = words;
    this.#parts.fault.hidden = !words;
  }

  tell(words, fault = "") {
    this.say(words);
    this.fail(fault);
  }

  // Beside what went wrong before.
  failToo(words) {
    this.fail(`${this.#parts.fault.textContent} ${words}`.trim());
  }

  // What can be done with a recording that could not be sent: pairs of words and what they do.
  rescue(acts) {
    this.#parts.rescue.replaceChildren(...acts.map(([words, act]) => button(words, act)));
  }

  // `tracks` are `{ id, name }`, `chosen` the id of one, or null for a new one.
  setTracks(tracks, chosen) {
    const names = tracks.map(({ id, name }) => element("option", { value: id, selected: id === chosen }, `New take of ${name}`));
    this.#parts.track.replaceChildren(element("option", { value: "" }, "A new track"), ...names);
  }

  // `microphones` are `{ id, name }`, `device` the one that is open.
  setDevice(microphones, device, { input, countsIn }) {
    const { microphone, inputs, inputField, countIn } = this.#parts;
    countIn.checked = countsIn;
    microphone.replaceChildren(...microphones.map(({ id, name }) => element("option", { value: id, selected: id === device.id }, name)));
    inputField.hidden = device.inputs < 2;
    inputs.value = device.inputs < 2 ? "first" : input;
  }

  // `measured_s` is null where nobody has measured. `isOther`: the sound goes out another way than when it was measured.
  setTiming({ measured_s, estimated_s, nudge_s, isOther }) {
    const ms = Math.round(1000 * (measured_s ?? estimated_s));
    const measured = isOther ? "estimated from what was measured with others. Measure it again." : "measured on this device.";
    const how = measured_s === null ? "estimated. Measure it once for each microphone." : measured;
    this.#parts.otherOutput.textContent = isOther ? OTHER_OUTPUT : "";
    this.#parts.otherOutput.hidden = !isOther;
    this.#parts.timing.textContent = `Your sound arrives ${ms} ms late, ${how} What you record is moved back by that.`;
    this.#parts.nudge.value = String(Math.round(1000 * nudge_s));
  }

  // `peaks` of each channel since the last time, from 0 to 1.
  setLevel(peaks) {
    const { meter, clip } = this.#parts;
    const loudest = Math.max(...peaks);
    const db = loudest > 0 ? Math.max(LOWEST_DB, 20 * Math.log10(loudest)) : LOWEST_DB;
    const now = performance.now();
    if (loudest >= 0.999) this.#clippedUntil = now + CLIPPED_MS;
    const isClipped = now < this.#clippedUntil;
    meter.style.setProperty("--level", `${(100 * (db - LOWEST_DB)) / -LOWEST_DB}%`);
    meter.classList.toggle("is-clipped", isClipped);
    const words = isClipped ? TOO_LOUD : "";
    if (clip.textContent !== words) clip.textContent = words;
    if (now - this.#toldAt < WORDS_EVERY_MS) return;
    this.#toldAt = now;
    meter.setAttribute("aria-valuenow", String(Math.round(db)));
    meter.setAttribute("aria-valuetext", db <= LOWEST_DB ? "silent" : levelInWords(db, "dB"));
  }

  // Whether the song plays in a loop.
  setLooping(isLooping) {
    this.#parts.looping.hidden = !isLooping;
  }

  // How long the take is, and how much longer it can get, in seconds. The latter may be infinite.
  setTime(seconds, left) {
    const room = Number.isFinite(left) ? `room for ${left < 60 ? `${Math.floor(left)} s` : `${Math.floor(left / 60)} min`}` : "";
    this.#parts.time.textContent = timeInWords(seconds);
    if (this.#parts.room.textContent !== room) this.#parts.room.textContent = room;
  }

  #build() {
    const part = (name, made) => (this.#parts[name] = made);
    const field = (words, control) => element("label", { class: "rec-field" }, element("span", {}, words), control);
    const select = (name, act) => part(name, element("select", { onchange: ({ target }) => act(target.value) }));
    const chosen = (change) => this.#acts.chosen(change);
    const inputs = select("inputs", (input) => chosen({ input }));
    for (const [value, words] of [["first", "1 (mono)"], ["second", "2 (mono)"], ["both", "1 and 2 (stereo)"]]) {
      inputs.append(element("option", { value }, words));
    }
    const countIn = part("countIn", element("input", { type: "checkbox", checked: true, onchange: ({ target }) => chosen({ countsIn: target.checked }) }));
    const nudge = element("input", {
      type: "number", min: -NUDGE_MS, max: NUDGE_MS, step: 1, value: 0, inputmode: "numeric",
      onchange: ({ target }) => this.#acts.nudged(target.checkValidity() ? Number(target.value) : 0),
    });
    return element(
      "section", { class: "recording", "aria-labelledby": "rec-title" },
      element(
        "header", { class: "rec-head" },
        element("h2", { id: "rec-title" }, element("span", { class: "led", "aria-hidden": "true" }), "Record"),
        part("status", element("p", { class: "rec-status", role: "status" })),
        part("close", element("button", { type: "button", class: "button plain", onclick: () => this.#acts.close() }, "Close")),
      ),
      part("fault", element("p", { class: "fault", role: "alert", hidden: true })),
      part("explain", element("div", { class: "rec-row" }, element("p", {}, EXPLANATION), button("Use the microphone", () => this.#acts.allow(), "primary"))),
      part("rescue", element("div", { class: "rec-row", hidden: true })),
      part("controls", element(
        "div", { class: "rec-controls", hidden: true },
        element(
          "div", { class: "rec-row" },
          part("record", button("Record", () => this.#acts.record(), "rec-go")),
          part("stop", button("Stop", () => this.#acts.stop(), "rec-go")),
          element("p", { class: "rec-time" }, part("time", element("output", { "aria-label": "Length", "aria-live": "off" }, "0:00")), " ", part("room", element("span", { class: "quiet" }))),
          part("meter", element("div", { class: "rec-meter", role: "meter", "aria-label": "Input level", "aria-valuemin": LOWEST_DB, "aria-valuemax": 0, "aria-valuenow": LOWEST_DB })),
          field("Into", select("track", (trackId) => chosen({ trackId: trackId || null }))),
          element("label", { class: "rec-check" }, countIn, element("span", {}, "Count in one bar")),
        ),
        element("div", { class: "rec-hint" }, part("clip", element("p", { class: "fault rec-clip", role: "status" })), element("p", { class: "quiet" }, HEADPHONES)),
        part("looping", element("p", { class: "quiet", hidden: true }, LOOPING)),
        part("otherOutput", element("p", { class: "fault", role: "status", hidden: true })),
        element(
          "details", { class: "rec-settings" },
          element("summary", {}, "Microphone and timing"),
          element("div", { class: "rec-row" }, field("Microphone", select("microphone", (deviceId) => chosen({ deviceId }))), part("inputField", field("Input", inputs))),
          part("timing", element("p", {})),
          element("p", { class: "quiet" }, MEASURING),
          element("div", { class: "rec-row" }, button("Measure", () => this.#acts.measure(), "rec-measure"), field("Move by (ms)", part("nudge", nudge))),
        ),
      )),
    );
  }
}
