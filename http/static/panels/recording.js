// Recording over the song: from the question for the microphone to the take that everybody hears.
//
// What it is doing: `closed`; `explaining`, before the browser asks; `opening` the microphone; `armed`; `starting`, until
// the count-in is over; `recording`; `stopping`, until what was played last has arrived; `saving`; `failed`, when the
// studio did not take it. Whatever happens on the way, what was recorded is kept.

import { Problem } from "../controls/api.js";
import { styled } from "../controls/elements.js";
import { timeInWords } from "../controls/quantities.js";
import { KEY } from "../room/recordings.js";
import { colourClass } from "../room/roster.js";
import { NotStarted, Overdub } from "../sound/overdub.js";
import { MicrophoneTrouble, permission, whyNot } from "../sound/recorder.js";
import { framesIn, LOUDEST, loudestOf, PIECE_S } from "../sound/take.js";
import { BYTES_PER_SAMPLE, HEADER_BYTES } from "../sound/wav.js";
import { lengthOf, OpenRecording } from "../uploading/open_recording.js";
import { RecordingStore, roomBytes } from "../uploading/recording_store.js";
import { longestUpload } from "../uploading/recording_upload.js";
import { Microphone } from "./microphone.js";
import { RecordingStrip } from "./recording_strip.js";
import { rescues } from "./unfinished.js";

const SHORTEST_S = 0.1;
const SHARE_EVERY_S = 0.5;
const SOON_FULL_S = 60;
const READY = "Ready. Press Record, or the key R.";
const LISTENING = "You are a listener here. The owner can make you an editor, who records.";
const SAFE = "The recording is kept in this browser.";
const UNSAFE = "The browser has no room to keep the recording. Do not close this page before it is saved.";
const SOON_FULL = "A recording cannot get much longer. It stops by itself.";
const UNPLUGGED = "The microphone is gone. Plug it in, or use another one.";
const CUT_SHORT = "The microphone is gone. What you recorded until then is kept.";
const MOVED = "The song was moved, so the recording ended there. It is kept.";
const SILENT = "The song does not start. Try again.";
const EMPTY = "Nothing was recorded.";
const BROKEN = "That did not work. Try again.";

export class Recording extends EventTarget {
  #page;
  #strip;
  #microphone;
  #state = "closed";
  #trackId = null;
  #store = null;
  // What is being recorded: the take, and where it is kept.
  #overdub = null;
  #open = null;
  #about = null;
  #longest_s = Infinity;
  #sharedAt_s = 0;
  #clip = null;

  // `page`: `{ sessionId, memberId, rights, song, conductor, player, timeline, host, share(key, value), lost(problem) }`.
  constructor(page) {
    super();
    this.#page = page;
    styled(new URL("../recording.css", import.meta.url));
    this.#strip = new RecordingStrip(page.host, {
      allow: () => this.#openMicrophone(),
      record: () => this.#start(),
      stop: () => this.#stop(),
      close: () => this.#shut(),
      chosen: (change) => this.#chosen(change),
      measure: () => this.#measure(),
      nudged: (ms) => this.#microphone.nudge(ms / 1000),
    });
    this.#microphone = new Microphone(page.player, this.#strip);
    this.#microphone.addEventListener("block", ({ detail }) => this.#heard(detail));
    this.#microphone.addEventListener("ended", () => this.#unplugged());
    page.song.addEventListener("tracks", () => this.#state === "armed" && this.#drawTracks());
    addEventListener("beforeunload", (event) => this.#isUnsaved && event.preventDefault());
    addEventListener("online", () => this.#state === "failed" && this.#save());
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
    this.#tell("");
    this.#become("explaining");
    const why = this.#page.rights.mayChange ? whyNot() : LISTENING;
    if (why) this.#strip.fail(why);
    else if ((await permission()) === "granted") await this.#openMicrophone();
  }

  // The track that gets the next take; null for a new one.
  arm(trackId) {
    this.#trackId = trackId;
    this.#drawTracks();
    this.open();
  }

  // The session is gone.
  close() {
    this.#overdub?.cutOff();
    if (this.isRecording) this.#complete();
    this.#microphone.close();
  }

  // What would be lost with the page. What the browser keeps is not, but it may not be sent for a while.
  get #isUnsaved() {
    return this.isRecording || this.#state === "saving" || (this.#open !== null && !this.#open.isSafe);
  }

  #become(state) {
    this.#state = state;
    this.#strip.draw(state);
    this.dispatchEvent(new Event("change"));
  }

  #tell(words, fault = "") {
    this.#strip.say(words);
    this.#strip.fail(fault);
  }

  #failed(problem, state) {
    const isTold = problem instanceof MicrophoneTrouble || problem instanceof Problem;
    if (!isTold && !(problem instanceof NotStarted)) console.error(problem);
    this.#tell("", isTold ? problem.message : BROKEN);
    this.#become(state);
  }

  #shut() {
    this.#microphone.close();
    this.#strip.hide();
    this.#become("closed");
  }

  // --- the microphone ------------------------------------------------------------------------------------------------

  async #openMicrophone() {
    this.#tell("Opening the microphone…");
    this.#become("opening");
    try {
      await this.#microphone.open();
    } catch (trouble) {
      this.#failed(trouble, "explaining");
      return;
    }
    this.#drawTracks();
    this.#become("armed");
    this.#tell(READY);
  }

  #unplugged() {
    this.#microphone.close();
    if (!this.isRecording) {
      this.#become("explaining");
      this.#tell("", UNPLUGGED);
    } else {
      this.#tell("", CUT_SHORT);
      this.#overdub.cutOff();
      this.#complete();
    }
  }

  async #chosen({ trackId, ...change }) {
    if (trackId !== undefined) this.#trackId = trackId;
    this.#microphone.choose(change);
    if ("deviceId" in change || "input" in change) await this.#openMicrophone();
  }

  async #measure() {
    this.#tell("Measuring…");
    try {
      await this.#microphone.measure();
      this.#tell("Measured.");
    } catch (trouble) {
      this.#failed(trouble, this.#state);
    }
  }

  #drawTracks() {
    const { tracks } = this.#page.song;
    if (!tracks.some(({ id }) => id === this.#trackId)) this.#trackId = null;
    this.#strip.setTracks(tracks, this.#trackId);
  }

  // --- recording -----------------------------------------------------------------------------------------------------

  async #start() {
    const { conductor, player } = this.#page;
    const { context, roundTrip_s, channels, countsIn } = this.#microphone;
    this.#tell(countsIn && !conductor.isPlaying ? "Counting in…" : "Starting…");
    this.#become("starting");
    try {
      await this.#prepare(context.sampleRate, channels);
      this.#overdub = new Overdub({ conductor, player, context, roundTrip_s, channels, longest_s: this.#longest_s });
      await this.#overdub.begin(countsIn);
    } catch (trouble) {
      this.#failed(trouble, "armed");
      if (trouble instanceof NotStarted) this.#tell("", this.#overdub.isStopping ? "" : SILENT);
      this.#overdub = null;
    }
  }

  // Its track, its name, and how long it can get.
  async #prepare(sampleRate, channels) {
    this.#store ??= await RecordingStore.open();
    const { sessionId, memberId, song } = this.#page;
    const [longest, room] = await Promise.all([longestUpload().catch(() => Infinity), roomBytes()]);
    this.#longest_s = framesIn(Math.min(longest, room ?? Infinity) - HEADER_BYTES, channels) / sampleRate;
    const track = song.tracks.find(({ id }) => id === this.#trackId);
    const name = track ? `${track.name} take ${track.takes.length + 1}` : `Recording ${song.tracks.length + 1}`;
    const pieceBytes = Math.round(PIECE_S * sampleRate) * channels * BYTES_PER_SAMPLE;
    this.#about = { sessionId, memberId, takeOf: track?.id ?? null, name, sampleRate, channels, pieceBytes };
  }

  #heard(block) {
    this.#strip.setLevel(block.samples.map(loudestOf));
    if (this.#overdub === null || !this.isRecording) return;
    const where = this.#overdub.add(block);
    if (where !== "waiting" && this.#open === null) this.#begin();
    this.#open?.add(this.#overdub.take?.takePieces() ?? []);
    if (this.#overdub.isStopping && this.#state !== "stopping") this.#become("stopping");
    if (where === "over") this.#complete();
    else if (where === "recording") this.#show();
  }

  // The first frame has come.
  #begin() {
    const offsetSeconds = this.#overdub.startsAt_s;
    this.#open = OpenRecording.begin(this.#store, { ...this.#about, offsetSeconds });
    this.#sharedAt_s = 0;
    this.#microphone.keepAwake(true);
    const { takeOf, name, memberId } = this.#about;
    this.#clip = this.#page.timeline?.growingClip({ trackId: takeOf, name, beginsAt_s: offsetSeconds, colorClass: colourClass(memberId) }) ?? null;
    this.#become("recording");
    this.#tell(this.#store.isSafe ? "Recording" : UNSAFE);
  }

  #show() {
    const { take } = this.#overdub;
    if (take === null) return;
    this.#strip.setTime(take.seconds, this.#longest_s);
    if (take.seconds - this.#sharedAt_s < SHARE_EVERY_S) return;
    this.#sharedAt_s = take.seconds;
    const { peaks, seconds } = take;
    const { id, takeOf, name, offsetSeconds } = this.#open.recording;
    this.#clip?.push(peaks.map((peak) => peak / LOUDEST), seconds);
    this.#page.share(KEY + this.#page.memberId, { id, trackId: takeOf, name, atSeconds: offsetSeconds, seconds, peaks });
    if (!this.#open.isSafe) this.#strip.say(UNSAFE);
    else if (this.#longest_s - seconds < SOON_FULL_S) this.#strip.say(SOON_FULL);
  }

  #stop() {
    this.#overdub?.stop();
    if (this.#state === "recording") this.#become("stopping");
  }

  #complete() {
    const { take, wasMoved } = this.#overdub;
    this.#overdub = null;
    this.#microphone.keepAwake(false);
    this.#clip?.finish();
    this.#clip = null;
    this.#page.share(KEY + this.#page.memberId, null);
    if (this.#open === null || take === null || take.seconds < SHORTEST_S) {
      this.#open?.abandon();
      this.#rest(EMPTY);
      return;
    }
    this.#open.add(take.takeLast());
    this.#save(wasMoved ? MOVED : "");
  }

  async #save(fault = "") {
    this.#strip.say("Saving…");
    if (fault) this.#strip.fail(fault);
    this.#become("saving");
    try {
      const upload = await this.#open.finish();
      this.#page.song.put(upload);
      const { recording } = this.#open;
      this.#rest(`Saved: ${recording.name}, ${timeInWords(lengthOf(recording))}.`);
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 401) this.#page.lost(problem);
      this.#failed(problem, "failed");
      this.#strip.say(this.#open.isSafe ? SAFE : UNSAFE);
      this.#strip.rescue(rescues(this.#open, { again: () => this.#save(), gone: (words) => this.#rest(words) }));
    }
  }

  #rest(words) {
    this.#open = null;
    this.#become(this.#microphone.isOpen ? "armed" : "explaining");
    this.#drawTracks();
    this.#strip.say(words);
  }
}
