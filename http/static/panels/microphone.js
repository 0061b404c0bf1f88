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

  // In the handler of a press. Errors: `MicrophoneTrouble`.
  async open() {
    const context = await this.#player.openContext();
    if (this.#recorder === null) {
      this.#recorder = new Recorder(context);
      this.#recorder.addEventListener("block", ({ detail }) => this.dispatchEvent(new CustomEvent("block", { detail })));
      this.#recorder.addEventListener("ended", () => this.dispatchEvent(new Event("ended")));
    }
    await this.#recorder.open(this.#choice);
    await this.draw();
  }

  close() {
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
    this.#remember({ measured_s: await measureRoundTrip(this.#recorder) });
  }

  nudge(seconds) {
    this.#remember({ nudge_s: seconds });
  }

  async draw() {
    const { device } = this.#recorder;
    this.#strip.setDevice(await microphones(), device, this.#choice);
    this.#strip.setTiming(this.#timing);
  }

  get #timing() {
    const { context, device } = this.#recorder;
    const estimated_s = context.baseLatency + (context.outputLatency || 0) + device.delay_s;
    return { estimated_s, ...this.#latencies.get(device.id) };
  }

  #remember(change) {
    this.#latencies.set(this.#recorder.device.id, change);
    this.#strip.setTiming(this.#timing);
  }
}
