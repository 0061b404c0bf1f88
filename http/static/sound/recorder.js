// The microphone, as frames of the audio context that also plays: so each frame has an exact place in the song.
//
// The browser's help for calls (echo cancellation, noise suppression, automatic gain) is off: it ruins music. Events:
// `block` with `detail` `{ frame, samples }`, every 50 ms, whose samples are only valid until the handler returns; `ended`
// when no more can come, with `detail` `microphone` when that is gone, and `output` when the context was closed; and
// `closed`, whoever closed it.

import { agreed, findDelay, LONGEST_S, sweep } from "./latency.js";

const CALLS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
// Which inputs of the device each choice takes. A device with one input has only the first.
export const INPUTS = { first: [0], second: [1], both: [0, 1] };

// Why the microphone is not there, by the error's name; a sentence each, with what to do.
const TROUBLES = {
  NotAllowedError: "The browser may not use the microphone. Allow it in the address bar (the icon beside the address), then try again.",
  NotFoundError: "There is no microphone. Plug one in, or switch it on in the system's settings, then try again.",
  NotReadableError: "The microphone cannot be opened. Another program may be using it: close that one, then try again.",
  // Firefox does not convert what a microphone brings at another rate.
  NotSupportedError: "This browser cannot use a microphone that does not run at 48 kHz. Set it to 48 kHz in the system's settings, or use another browser.",
  // The context was closed meanwhile. The next one has another.
  InvalidStateError: "The sound device is gone. Try again when there is one.",
};
const INSECURE = "Browsers give the microphone only to pages with https (or on localhost). Open the studio with https, or ask whoever runs it to set it up.";
const OTHER_TROUBLE = "The microphone cannot be used in this browser. Try another browser.";

export class MicrophoneTrouble extends Error {}

// Why nothing can be recorded here, whoever allows it; an empty text when it can.
export function whyNot() {
  if (navigator.mediaDevices?.getUserMedia && globalThis.AudioWorkletNode) return "";
  return globalThis.isSecureContext ? OTHER_TROUBLE : INSECURE;
}

// `granted`, `denied` or `prompt`; where browsers do not say, `prompt`.
export async function permission() {
  try {
    return (await navigator.permissions.query({ name: "microphone" })).state;
  } catch {
    return "prompt";
  }
}

// The microphones, `{ id, name }`. Without permission they have no names, and are not listed.
export async function microphones() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const inputs = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
  return inputs.map(({ deviceId, label }, at) => ({ id: deviceId, name: label || `Microphone ${at + 1}` }));
}

export class Recorder extends EventTarget {
  context;
  #stream = null;
  #nodes = [];
  // Each opening, and each end of one, replaces the one before, which may still wait for an answer.
  #wish = 0;

  // `context` is the one that plays, and runs. Once it is closed, another recorder is needed.
  constructor(context) {
    super();
    this.context = context;
    context.addEventListener("statechange", () => this.isOpen && context.state === "closed" && this.#end("output"));
  }

  get isOpen() {
    return this.#stream !== null;
  }

  // The device that is open: `{ id, name, inputs, delay_s }`, how many inputs it has and how late it says that it is.
  get device() {
    const [track] = this.#stream.getAudioTracks();
    const { deviceId = "", channelCount = 1, latency = 0 } = track.getSettings();
    return { id: deviceId, name: track.label, inputs: channelCount, delay_s: latency };
  }

  // Open a microphone; `deviceId` may be empty. `input` is one of `INPUTS`. Raises `MicrophoneTrouble` with a sentence. When
  // it was closed or opened again meanwhile, nothing more comes of this: what the browser allows late is let go.
  async open({ deviceId, input }) {
    this.close();
    const wish = this.#wish;
    const device = deviceId ? { deviceId: { exact: deviceId } } : {};
    const wanted = { ...CALLS, ...device, channelCount: { ideal: 2 }, sampleRate: { ideal: this.context.sampleRate } };
    try {
      const stream = await streamOf(wanted);
      if (wish !== this.#wish) return stop(stream);
      this.#take(stream);
      if (this.context.state === "closed") throw new DOMException("the context is closed", "InvalidStateError");
      await this.context.audioWorklet.addModule(new URL("./recorder_worklet.js", import.meta.url));
      if (wish === this.#wish) this.#connect(this.device.inputs > 1 ? INPUTS[input] : INPUTS.first);
    } catch (error) {
      if (wish !== this.#wish) return;
      this.close();
      console.warn("microphone", error.name, error.message);
      throw new MicrophoneTrouble(TROUBLES[error.name] ?? OTHER_TROUBLE);
    }
  }

  close() {
    this.#wish += 1;
    if (!this.isOpen) return;
    stop(this.#stream);
    const [, node] = this.#nodes;
    node?.port.postMessage("end");
    for (const each of this.#nodes) each.disconnect();
    [this.#stream, this.#nodes] = [null, []];
    this.dispatchEvent(new Event("closed"));
  }

  #end(detail) {
    this.dispatchEvent(new CustomEvent("ended", { detail }));
  }

  #take(stream) {
    this.#stream = stream;
    const [track] = stream.getAudioTracks();
    track.addEventListener("ended", () => this.#stream === stream && this.#end("microphone"));
  }

  #connect(picks) {
    const source = this.context.createMediaStreamSource(this.#stream);
    const node = new AudioWorkletNode(this.context, "recorder", {
      channelCount: 2,
      channelCountMode: "explicit",
      channelInterpretation: "discrete",
      processorOptions: { picks },
    });
    // What is connected to nothing may not run. Its output is silence.
    source.connect(node).connect(this.context.destination);
    this.#nodes = [source, node];
    node.port.onmessage = ({ data: { frame, filled, samples } }) => {
      if (this.#nodes[1] !== node) return;
      const heard = samples.map((channel) => channel.subarray(0, filled));
      this.dispatchEvent(new CustomEvent("block", { detail: { frame, samples: heard } }));
      node.port.postMessage(samples, samples.map(({ buffer }) => buffer));
    };
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

// The one that was used the last time may not be there any more: then any other.
async function streamOf(wanted) {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: wanted });
  } catch (error) {
    if (error.name !== "OverconstrainedError") throw error;
    return navigator.mediaDevices.getUserMedia({ audio: { ...wanted, deviceId: undefined } });
  }
}

// --- how late the device is ----------------------------------------------------------------------------------------

const SWEEPS = 5;
const FIRST_S = 0.3;
const BETWEEN_S = LONGEST_S + 0.2;
const UNHEARD = "The microphone did not hear it. Turn the loudspeaker up, or hold the headphones to the microphone, then measure again.";

// Play a sound a few times and find it in what the microphone hears. The round trip in seconds; raises
// `MicrophoneTrouble` when it is not heard, or the microphone is closed first.
export async function measureRoundTrip(recorder) {
  const { context } = recorder;
  const played = sweep(context.sampleRate);
  const begins = context.currentTime + FIRST_S;
  const frames = Math.round((SWEEPS * BETWEEN_S + FIRST_S) * context.sampleRate);
  const listening = listen(recorder, Math.round(begins * context.sampleRate), frames);
  const buffer = new AudioBuffer({ length: played.length, sampleRate: context.sampleRate });
  buffer.copyToChannel(played, 0);
  for (let at = 0; at < SWEEPS; at += 1) {
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.start(Math.round((begins + at * BETWEEN_S) * context.sampleRate) / context.sampleRate);
  }
  const heard = await listening;
  if (heard === null) throw new MicrophoneTrouble(UNHEARD);
  const length = Math.round(LONGEST_S * context.sampleRate);
  const delays_s = Array.from({ length: SWEEPS }, (_, at) => {
    const begin = Math.round(at * BETWEEN_S * context.sampleRate);
    const delay = findDelay(heard.subarray(begin, begin + length), played);
    return delay === null ? null : delay / context.sampleRate;
  });
  const roundTrip_s = agreed(delays_s);
  if (roundTrip_s === null) throw new MicrophoneTrouble(UNHEARD);
  return roundTrip_s;
}

// What the first input brings in these frames of the context; null when the microphone is closed before.
function listen(recorder, begin, frames) {
  const heard = new Float32Array(frames);
  return new Promise((resolve) => {
    const hear = ({ detail: { frame, samples: [first] } }) => {
      const skipped = Math.max(0, begin - frame);
      const at = Math.max(0, frame - begin);
      if (skipped < first.length && at < frames) heard.set(first.subarray(skipped, skipped + frames - at), at);
      if (frame + first.length >= begin + frames) end(heard);
    };
    const giveUp = () => end(null);
    const end = (found) => {
      recorder.removeEventListener("block", hear);
      recorder.removeEventListener("closed", giveUp);
      resolve(found);
    };
    recorder.addEventListener("block", hear);
    recorder.addEventListener("closed", giveUp);
  });
}
