// Recording over the song: from the question for the microphone to the take that everybody hears.
//
// What it is doing: `closed`; `explaining`, before the browser asks; `opening` the microphone; `armed`; `starting`, until
// the count-in is over; `recording`; `stopping`, until what was played last has arrived; `saving`; `failed`, when the
// studio did not take it. Whatever happens on the way, what was recorded is kept: `saving` and `failed` end only when the
// studio has it, or by what the strip offers.

import { Problem } from "../controls/api.js";
import { styled } from "../controls/elements.js";
import { NotStarted, Overdub } from "../sound/overdub.js";
import { MicrophoneTrouble, permission, whyNot } from "../sound/recorder.js";
import { loudestOf } from "../sound/take.js";
import { RecordingStore } from "../uploading/recording_store.js";
import { Microphone } from "./microphone.js";
import { RecordingRun } from "./recording_run.js";
import { RecordingStrip } from "./recording_strip.js";
import { BROKEN, CUT_OFF, EMPTY, ENDED, GONE, LISTENING, READY, SAFE, savedInWords, SILENT, SOON_FULL, UNSAFE } from "./recording_words.js";
import { rescues } from "./unfinished.js";

const SOON_FULL_S = 60;

// With its stylesheet: what is pressed on the strip does not move under the hand. Errors: that cannot be loaded.
export async function makeRecording(page) {
  await styled(new URL("../recording.css", import.meta.url));
  return new Recording(page);
}

export class Recording extends EventTarget {
  #page;
  #strip;
  #microphone;
  #state = "closed";
  #trackId = null;
  #store = null;
  // What is being recorded, and where it is kept until the studio has it.
  #overdub = null;
  #run = null;
  // Each opening and each start, and each end of one, replaces the one before, which may still wait for something.
  #wish = 0;

  // `page`: `{ sessionId, memberId, rights, song, conductor, player, timeline, host, share(key, value), lost(problem) }`.
  constructor(page, { Strip = RecordingStrip, Input = Microphone } = {}) {
    super();
    this.#page = page;
    this.#strip = new Strip(page.host, {
      allow: () => this.#openMicrophone(),
      record: () => this.#start(),
      stop: () => this.#stop(),
      close: () => this.#shut(),
      chosen: (change) => this.#chosen(change),
      measure: () => this.#measure(),
      nudged: (ms) => this.#microphone.nudge(ms / 1000),
    });
    this.#microphone = new Input(page.player, this.#strip);
    this.#microphone.addEventListener("block", ({ detail }) => this.#heard(detail));
    this.#microphone.addEventListener("ended", ({ detail }) => this.#unplugged(detail));
    page.conductor.addEventListener("change", () => this.#strip.setLooping(page.conductor.loop !== null));
    page.song.addEventListener("tracks", () => this.#state === "armed" && this.#drawTracks());
    addEventListener("beforeunload", (event) => this.#isUnsaved && event.preventDefault());
    addEventListener("online", () => this.#state === "failed" && this.#saveAgain(this.#run));
  }

  get isRecording() {
    return ["starting", "recording", "stopping"].includes(this.#state);
  }

  // The record button, and its key.
  toggle() {
    if (this.isRecording) this.#stop();
    else if (this.#state === "armed") this.#start();
    else this.open();
  }

  async open() {
    if (this.#state !== "closed") return;
    this.#strip.show();
    this.#strip.setLooping(this.#page.conductor.loop !== null);
    this.#strip.tell("");
    this.#become("explaining");
    const why = this.#page.rights.mayChange ? whyNot() : LISTENING;
    if (why) this.#strip.fail(why);
    else if ((await permission()) === "granted" && this.#state === "explaining") await this.#openMicrophone();
  }

  // The track that gets the next take; null for a new one.
  arm(trackId) {
    this.#trackId = trackId;
    this.#drawTracks();
    this.open();
  }

  // The session is gone.
  close() {
    if (!this.isRecording) return this.#shut();
    this.#closeMicrophone();
    return this.#cutOff();
  }

  // What would be lost with the page. What the browser keeps is not, but it may not be sent for a while.
  get #isUnsaved() {
    return this.isRecording || this.#state === "saving" || (this.#run !== null && !this.#run.takes.isSafe);
  }

  #become(state) {
    this.#state = state;
    this.#strip.draw(state);
    this.dispatchEvent(new Event("change"));
  }

  #failed(problem, state) {
    const isTold = problem instanceof MicrophoneTrouble || problem instanceof Problem;
    if (!isTold && !(problem instanceof NotStarted)) console.error(problem);
    this.#strip.tell("", isTold ? problem.message : BROKEN);
    this.#become(state);
  }

  // What the studio has not taken stays on the strip.
  #shut() {
    this.#closeMicrophone();
    if (this.#run !== null || this.#state === "closed") return;
    this.#strip.hide();
    this.#become("closed");
  }

  // --- the microphone ------------------------------------------------------------------------------------------------

  async #openMicrophone() {
    this.#wish += 1;
    const wish = this.#wish;
    this.#strip.tell("Opening the microphone…");
    this.#become("opening");
    try {
      await this.#microphone.open();
    } catch (trouble) {
      if (wish === this.#wish) this.#failed(trouble, "explaining");
      return;
    }
    if (wish !== this.#wish) return;
    this.#drawTracks();
    this.#become("armed");
    this.#strip.tell(READY);
  }

  // Also while it is still being opened.
  #closeMicrophone() {
    this.#wish += 1;
    this.#microphone.close();
  }

  // `what` is gone: the `microphone`, or the `output` that it is recorded in time with.
  #unplugged(what) {
    const { idle, cutShort } = GONE[what];
    this.#closeMicrophone();
    if (["saving", "failed"].includes(this.#state)) {
      this.#strip.failToo(idle);
      return;
    }
    this.#strip.tell("", ["recording", "stopping"].includes(this.#state) ? cutShort : idle);
    if (this.isRecording) this.#cutOff();
    else this.#become("explaining");
  }

  async #chosen({ trackId, ...change }) {
    if (trackId !== undefined) this.#trackId = trackId;
    this.#microphone.choose(change);
    if ("deviceId" in change || "input" in change) await this.#openMicrophone();
  }

  async #measure() {
    const wish = this.#wish;
    this.#strip.tell("Measuring…");
    try {
      await this.#microphone.measure();
      if (wish === this.#wish) this.#strip.tell("Measured.");
    } catch (trouble) {
      if (wish === this.#wish) this.#failed(trouble, this.#state);
    }
  }

  #drawTracks() {
    const { tracks } = this.#page.song;
    if (!tracks.some(({ id }) => id === this.#trackId)) this.#trackId = null;
    this.#strip.setTracks(tracks, this.#trackId);
  }

  // --- recording -----------------------------------------------------------------------------------------------------

  async #start() {
    if (this.#state !== "armed") return;
    const { conductor, player } = this.#page;
    const { context, roundTrip_s, channels, countsIn } = this.#microphone;
    this.#wish += 1;
    const wish = this.#wish;
    this.#strip.tell(countsIn && !conductor.isPlaying ? "Counting in…" : "Starting…");
    this.#strip.setTime(0, Infinity);
    this.#become("starting");
    try {
      this.#store ??= await RecordingStore.open();
      const { sampleRate } = context;
      const run = await RecordingRun.prepare(this.#page, this.#store, this.#trackId, { sampleRate, channels });
      if (wish !== this.#wish) return;
      const { longest_s, whole_s } = run;
      this.#run = run;
      this.#overdub = new Overdub({ conductor, player, context, roundTrip_s, channels, longest_s, whole_s });
      await this.#overdub.begin(countsIn);
    } catch (trouble) {
      if (wish !== this.#wish) return;
      this.#failed(trouble, "armed");
      if (trouble instanceof NotStarted) this.#strip.tell("", this.#overdub.isStopping ? "" : SILENT);
      this.#overdub = this.#run = null;
    }
  }

  // It has not begun yet, and does not begin any more.
  #giveUp() {
    this.#wish += 1;
    this.#rest(this.#run, "");
  }

  #heard(block) {
    this.#strip.setLevel(block.samples.map(loudestOf));
    if (this.#overdub === null || !this.isRecording) return;
    const overdub = this.#overdub;
    const where = overdub.add(block);
    if (where !== "waiting" && this.#run.heard(overdub)) this.#begun(overdub);
    if (overdub.isStopping && this.#state !== "stopping") this.#become("stopping");
    if (where === "over") this.#complete();
    else if (where === "recording" && overdub.take !== null) this.#show(overdub.take);
  }

  // The first frame of a take has come.
  #begun({ isLooping, isStopping, pass }) {
    if (this.#state === "starting") {
      this.#microphone.keepAwake(true);
      this.#become("recording");
    }
    if (isStopping) return;
    const words = isLooping ? `Recording, take ${pass + 1}` : "Recording";
    this.#strip.tell(this.#store.isSafe ? words : UNSAFE);
  }

  #show(take) {
    const left_s = this.#run.show(take);
    this.#strip.setTime(take.seconds, left_s);
    if (!this.#store.isSafe) this.#strip.say(UNSAFE);
    else if (left_s < SOON_FULL_S && !this.#overdub.isLooping) this.#strip.say(SOON_FULL);
  }

  #stop() {
    if (this.#overdub === null) return this.#giveUp();
    this.#overdub.stop();
    return this.#state === "recording" && this.#become("stopping");
  }

  // The microphone brings nothing more.
  #cutOff() {
    if (this.#overdub === null) return this.#giveUp();
    this.#overdub.cutOff();
    return this.#complete();
  }

  #complete() {
    const overdub = this.#overdub;
    this.#overdub = null;
    this.#wish += 1;
    this.#microphone.keepAwake(false);
    const run = this.#run;
    const words = run.end(overdub) ? CUT_OFF : "";
    if (run.takes.isEmpty) return this.#rest(run, EMPTY);
    const ended = ENDED[overdub.endedBy];
    if (ended) this.#strip.fail(ended);
    return this.#save(run, words);
  }

  #saveAgain(run, words = "") {
    this.#strip.fail("");
    this.#save(run, words);
  }

  async #save(run, words) {
    const { takes } = run;
    this.#strip.say("Saving…");
    this.#become("saving");
    try {
      await takes.finish({
        sending: (number) => takes.count > 1 && this.#strip.say(`Saving ${number} of ${takes.count}…`),
        landed: (upload) => this.#page.song.put(upload),
      });
      this.#rest(run, `${savedInWords(takes)} ${words}`.trim());
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 401) this.#page.lost(problem);
      if (run !== this.#run) return;
      this.#failed(problem, "failed");
      this.#strip.say(takes.isSafe ? SAFE : UNSAFE);
      const gone = (told) => {
        this.#strip.fail("");
        this.#rest(run, told);
      };
      this.#strip.rescue(rescues(takes, { again: () => this.#saveAgain(run, words), gone }));
    }
  }

  // Whatever became of `run`, it is over.
  #rest(run, words) {
    if (run !== this.#run) return;
    this.#run = null;
    this.#become(this.#microphone.isOpen ? "armed" : "explaining");
    this.#drawTracks();
    this.#strip.say(words);
  }
}
