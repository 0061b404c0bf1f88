// The microphone that is chosen, on the strip: which one, which of its inputs, and how late it is.

import { KnownLatencies } from "../sound/latency.js";
import { measureRoundTrip, microphones, Recorder } from "../sound/recorder.js";

const CHOICE = "omnisonic.recorder";

export class Microphone extends EventTarget {
  #player;
  #strip;
  #recorder = null;
  #choice = { deviceId: "", input: "first", countsIn: true };
  #awake = null;
  #latencies = new KnownLatencies(localStorage);
  // Each opening, and each end of one, replaces the one before, which may still wait for the context.
  #wish = 0;

  // Events: `block` and `ended`, as the recorder's.
  constructor(player, strip) {
    super();
    this.#player = player;
    this.#strip = strip;
    try {
      Object.assign(this.#choice, JSON.parse(localStorage.getItem(CHOICE)));
    } catch {
      // What cannot be read is as if it had never been chosen.
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#recorder?.isOpen && this.draw());
  }

  get context() {
    return this.#recorder.context;
  }

  get isOpen() {
    return this.#recorder?.isOpen ?? false;
  }

  get channels() {
    return this.#recorder.device.inputs > 1 && this.#choice.input === "both" ? 2 : 1;
  }

  get countsIn() {
    return this.#choice.countsIn;
  }

  // How late it is: as measured, or as the browser says, and what was put right by hand.
  get roundTrip_s() {
    const { measured_s, estimated_s, nudge_s } = this.#timing;
    return (measured_s ?? estimated_s) + nudge_s;
  }

  // In the handler of a press. Errors: `MicrophoneTrouble`. When it is closed or opened again meanwhile, nothing more comes
  // of this.
  async open() {
    this.#wish += 1;
    const wish = this.#wish;
    const context = await this.#player.openContext();
    if (wish !== this.#wish) return;
    // After a device was lost, there is another context.
    if (this.#recorder?.context !== context) this.#renew(context);
    await this.#recorder.open(this.#choice);
    if (wish === this.#wish) await this.draw();
  }

  close() {
    this.#wish += 1;
    this.#recorder?.close();
  }

  choose(change) {
    Object.assign(this.#choice, change);
    localStorage.setItem(CHOICE, JSON.stringify(this.#choice));
  }

  // A telephone that goes dark stops recording.
  async keepAwake(isAwake) {
    await this.#awake?.then((lock) => lock?.release());
    this.#awake = isAwake ? navigator.wakeLock?.request("screen").catch(() => null) : null;
  }

  // Errors: `MicrophoneTrouble`.
  async measure() {
    const { device } = this.#recorder;
    this.#remember(device, { measured_s: await measureRoundTrip(this.#recorder) });
  }

  nudge(seconds) {
    this.#remember(this.#recorder.device, { nudge_s: seconds });
  }

  async draw() {
    const listed = await microphones();
    if (!this.isOpen) return;
    this.#strip.setDevice(listed, this.#recorder.device, this.#choice);
    this.#strip.setTiming(this.#timing);
  }

  get #timing() {
    const { context, device } = this.#recorder;
    const estimated_s = context.baseLatency + (context.outputLatency || 0) + device.delay_s;
    return { estimated_s, ...this.#latencies.get(device.id) };
  }

  #remember({ id }, change) {
    this.#latencies.set(id, change);
    if (this.isOpen) this.#strip.setTiming(this.#timing);
  }

  #renew(context) {
    this.#recorder?.close();
    const recorder = new Recorder(context);
    recorder.addEventListener("block", ({ detail }) => this.dispatchEvent(new CustomEvent("block", { detail })));
    recorder.addEventListener("ended", ({ detail }) => this.dispatchEvent(new CustomEvent("ended", { detail })));
    this.#recorder = recorder;
  }
}
