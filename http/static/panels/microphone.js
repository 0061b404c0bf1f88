// The microphone that is chosen, on the strip: which one, which of its inputs, and how late it is.

import { asOfNow, KnownLatencies, WayOut } from "../sound/latency.js";
import { measureRoundTrip, microphones, Recorder } from "../sound/recorder.js";

const CHOICE = "omnisonic.recorder";
// How often it is looked whether the way out is another one: about once a second.
const BLOCKS_A_LOOK = 20;

export class Microphone extends EventTarget {
  #player;
  #strip;
  #recorder = null;
  #choice = { deviceId: "", input: "first", countsIn: true };
  #awake = null;
  #latencies = new KnownLatencies(localStorage);
  // Each opening, and each end of one, replaces the one before, which may still wait for the context.
  #wish = 0;
  #wayOut = new WayOut();
  #blocks = 0;
  #isOther = false;

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
    if (wish !== this.#wish) return;
    this.#wayOut = new WayOut();
    this.#wayOut.note(context);
    await this.draw();
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
    const measured_s = await measureRoundTrip(this.#recorder);
    this.#remember(device, { measured_s, output_s: this.#wayOut.delay_s });
  }

  nudge(seconds) {
    this.#remember(this.#recorder.device, { nudge_s: seconds });
  }

  async draw() {
    const listed = await microphones();
    if (!this.isOpen) return;
    this.#strip.setDevice(listed, this.#recorder.device, this.#choice);
    this.#drawTiming();
  }

  // `isOther`: the way out is not the one that was measured.
  get #timing() {
    const { context, device } = this.#recorder;
    const { nudge_s, ...measured } = this.#latencies.get(device.id);
    const estimated_s = context.baseLatency + (context.outputLatency || 0) + device.delay_s;
    return { estimated_s, nudge_s, ...asOfNow(measured, this.#wayOut.delay_s) };
  }

  #drawTiming() {
    const timing = this.#timing;
    this.#isOther = timing.isOther;
    this.#strip.setTiming(timing);
  }

  #remember({ id }, change) {
    this.#latencies.set(id, change);
    if (this.isOpen) this.#drawTiming();
  }

  #renew(context) {
    this.#recorder?.close();
    const recorder = new Recorder(context);
    recorder.addEventListener("block", ({ detail }) => {
      this.#look();
      this.dispatchEvent(new CustomEvent("block", { detail }));
    });
    recorder.addEventListener("ended", ({ detail }) => this.dispatchEvent(new CustomEvent("ended", { detail })));
    this.#recorder = recorder;
  }

  // Headphones are changed at any time, and browsers say a little later how late the new ones are.
  #look() {
    this.#wayOut.note(this.context);
    this.#blocks += 1;
    if (this.#blocks % BLOCKS_A_LOOK === 0 && this.#timing.isOther !== this.#isOther) this.#drawTiming();
  }
}
