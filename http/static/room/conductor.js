// What plays, where, and whether together with the others or alone. The truth of what plays together is the room's
// transport; of what plays alone, one of the same shape on the page's own clock.
//
// What somebody presses is shown at once; it is heard as the room says it, so that all begin at the same moment. Only
// stopping does not wait. Without a connection one plays alone, and falls in again when the room is back. Alone, the player
// begins as soon as it can, and says when that is: a moment that is chosen here may be too soon for it.
//
// The player is `sound/player.js`, or anything with its `start`, `stop`, `prepare`, `setLoop`, `setClick`, `setSteady`,
// `position_s` and events.
// Events: `change`, for all but the moving position; `problem` with `detail.words`.

import { barInWords, beatAt, beatsOf, changed, CountIn, isShown, memberOf, onClock, placeOf, placesIn, Playout, retuned, secondsOf, showPlace, SOON, STANDING } from "./transport.js";

// How far ahead the room starts.
const ROOM_LEAD_MS = 150;
// The server's clock is known better from heartbeat to heartbeat; what plays is corrected when it is off by more.
const DRIFT_MS = 5;
const WATCH_EVERY_MS = 5_000;
// The first heartbeats come quickly: then the clock is known well.
const KNOWN_AFTER_MS = 1_500;
const AT_THE_END_S = 0.05;
const NOBODY_ENDS_MS = 1_000;
const CLICK = "click";
const FOLLOWS = "A listener follows the room. Choose “Listen alone” to move by yourself.";

export class Conductor extends EventTarget {
  #player;
  #playout;
  #song;
  #rights;
  #memberId;
  // The client's room, while there is a connection.
  #room = null;
  #wantsTogether = true;
  // On the clock of `performance.now()`.
  #mine;
  // What the room will say soon, as far as is known here.
  #expected = null;
  // The room's, which was told to the player last.
  #applied = null;
  #following = null;
  #isClickOn = false;
  #countIn = new CountIn(() => this.#countedIn());
  #isRecording = false;
  // Alone for a take only.
  #returns = false;

  constructor({ player, song, rights, memberId }) {
    super();
    this.#player = player;
    this.#playout = new Playout(player);
    this.#song = song;
    this.#rights = rights;
    this.#memberId = memberId;
    this.#mine = { ...STANDING, tempoBpm: song.tempoBpm, beatsPerBar: song.beatsPerBar };
    player.addEventListener("state", () => this.#playerChanged());
    player.addEventListener("begins", ({ detail }) => this.#begun(detail.at_ms));
    setInterval(() => this.#watch(), WATCH_EVERY_MS).unref?.();
  }

  // --- what is so ----------------------------------------------------------------------------------------------------

  get isTogether() {
    return this.#room !== null && this.#wantsTogether;
  }

  // Whether there is a room to listen together with.
  get isInRoom() {
    return this.#room !== null;
  }

  // A listener does not move what all hear.
  get canMove() {
    return this.#rights.mayChange || !this.isTogether;
  }

  get following() {
    return this.#following;
  }

  get isPlaying() {
    return this.#transport.playing;
  }

  // A take goes on behind the end of the song. When the connection breaks in it, one plays on alone until it is over.
  get isRecording() {
    return this.#isRecording;
  }

  set isRecording(isRecording) {
    this.#isRecording = isRecording;
    this.#player.setSteady(isRecording);
    if (isRecording || !this.#returns) return;
    this.#returns = false;
    this.listenTogether();
  }

  get isCountingIn() {
    return this.#countIn.isOn;
  }

  get loop() {
    return this.#transport.loop;
  }

  get isClickOn() {
    return this.isTogether ? Boolean(this.#room.state.get(CLICK)?.on) : this.#isClickOn;
  }

  get tempoBpm() {
    return this.#transport.tempoBpm;
  }

  get beatsPerBar() {
    return this.#transport.beatsPerBar;
  }

  // How wrong the server's clock may be known here, in milliseconds; null when nobody knows.
  get uncertaintyMs() {
    return this.#room?.clockUncertaintyMs ?? null;
  }

  // Milliseconds of the server's clock; without a connection this machine's.
  serverNow() {
    return this.#room?.serverTimeAt() ?? Date.now();
  }

  // What sounds now: `{ beat, seconds }`.
  position() {
    const heard_s = this.#playout.position_s;
    if (heard_s !== null) return { beat: beatsOf(heard_s, this.tempoBpm), seconds: heard_s };
    const beat = beatAt(this.#transport, performance.now() + this.#ahead_ms);
    return { beat, seconds: secondsOf(beat, this.tempoBpm) };
  }

  // The place as it is read: "17.3".
  placeInWords() {
    return barInWords(this.position().beat, this.beatsPerBar);
  }

  // Those who listen alone, and where.
  get others() {
    return this.#room ? placesIn(this.#room, this.#memberId) : [];
  }

  // --- what is wanted ------------------------------------------------------------------------------------------------

  // With `countInBars` the count-in is heard here before the place begins.
  play({ countInBars = 0 } = {}) {
    if (!this.#mayMove()) return;
    this.#dropCountIn();
    const { beat, seconds } = this.position();
    const isAtTheEnd = this.#song.lengthSeconds > 0 && seconds >= this.#song.lengthSeconds - AT_THE_END_S;
    const atBeat = isAtTheEnd && !this.loop && !countInBars && !this.#isRecording ? 0 : Math.max(0, beat);
    if (countInBars) this.#beginCountIn(countInBars, atBeat);
    else this.#change({ playing: true, atBeat });
  }

  stop() {
    if (!this.#mayMove()) return;
    this.#dropCountIn();
    this.#change({ playing: false });
    // Nobody wants to hear more of it until the room has answered.
    this.#playout.halt();
  }

  toggle() {
    if (this.isPlaying || this.isCountingIn) this.stop();
    else this.play();
  }

  locate(beat) {
    if (!this.#mayMove()) return;
    this.#dropCountIn();
    this.#change({ atBeat: Math.max(0, beat) });
  }

  // Null: no loop.
  setLoop(loop) {
    if (this.#mayMove()) this.#change({ loop });
  }

  setClick(on) {
    if (!this.#mayMove()) return;
    this.#isClickOn = on;
    // It is drawn when the room says so.
    if (this.isTogether) this.#ask(() => this.#room.setState(CLICK, on ? { on: true } : null));
    else this.#drawClick();
    this.#tell();
  }

  // The session has another tempo or metre now. What sounds goes on where it is: seconds stay, beats move. The room's
  // transport follows by itself.
  setTempo({ tempoBpm, beatsPerBar }) {
    if (tempoBpm === this.#mine.tempoBpm && beatsPerBar === this.#mine.beatsPerBar) return;
    this.#mine = retuned(this.#mine, { tempoBpm, beatsPerBar }, performance.now());
    if (!this.isTogether) this.#apply();
    this.#tell();
  }

  // --- together and alone --------------------------------------------------------------------------------------------

  listenAlone() {
    if (!this.#wantsTogether) return;
    this.#takeAlong();
    this.#wantsTogether = false;
    this.#apply();
    this.#showPlace();
    this.#tell();
  }

  // Fall in with the room: at its next bar line, when something plays here.
  listenTogether() {
    if (this.#wantsTogether) return;
    this.#following = null;
    this.#wantsTogether = true;
    if (this.#room) showPlace(this.#room, this.#memberId, null);
    this.#apply({ atBarLine: true });
    this.#tell();
  }

  // Hear what that member hears, who listens alone. Null: stay where they are, and follow no more.
  follow(memberId) {
    if (memberId !== null) this.listenAlone();
    this.#following = memberId;
    this.#takePlace();
    this.#tell();
  }

  // --- the room ------------------------------------------------------------------------------------------------------

  // In the room, for the first time or again. `room` is the client's.
  connected(room) {
    this.#room = room;
    this.#expected = null;
    if (this.#isRecording && this.#wantsTogether && (this.#mine.playing || this.isCountingIn)) {
      this.#wantsTogether = false;
      this.#returns = true;
    }
    if (this.#wantsTogether) {
      this.#apply({ atBarLine: true });
      // From before the page was loaded again, or the connection was lost.
      if (isShown(room, this.#memberId)) showPlace(room, this.#memberId, null);
    } else {
      this.#takePlace();
      this.#showPlace();
    }
    setTimeout(() => this.#watch(), KNOWN_AFTER_MS);
    this.#tell();
  }

  // What plays goes on by itself. What the room has not answered is done here.
  disconnected() {
    if (this.#room === null) return;
    const isUnanswered = this.isTogether && this.#expected !== null;
    if (this.#wantsTogether) this.#takeAlong();
    this.#expected = null;
    this.#room = null;
    if (isUnanswered || this.isCountingIn) this.#apply();
    this.#tell();
  }

  // What the room says.
  heard({ type, payload }) {
    if (this.#room === null) return;
    if (type === "welcome") {
      this.#moved();
    } else if (type === "transport.state") {
      this.#expected = null;
      if (this.isTogether) this.#apply();
    } else if (type === "state.changed" && payload.key === CLICK) {
      this.#drawClick();
    } else if (type === "state.changed" && memberOf(payload.key)) {
      if (memberOf(payload.key) === this.#following && payload.by === this.#following) this.#takePlace();
    } else return;
    this.#tell();
  }

  // Another gateway has taken the room over. What plays as it says goes on, until its clock is known well.
  #moved() {
    const { version, anchorTime } = this.#room.transport;
    const isSame = version === this.#applied?.version && anchorTime === this.#applied?.anchorTime;
    if (this.isTogether && !isSame) this.#apply();
    this.#drawClick();
    if (this.#following) this.#takePlace();
    setTimeout(() => this.#watch(), KNOWN_AFTER_MS);
  }

  // --- inside --------------------------------------------------------------------------------------------------------

  get #transport() {
    return this.isTogether ? (this.#expected ?? this.#room.transport) : this.#mine;
  }

  // The transport's clock less the page's.
  get #ahead_ms() {
    return this.isTogether ? this.#room.serverTimeAt(0) : 0;
  }

  #mayMove() {
    if (this.canMove) return true;
    this.#problem(FOLLOWS);
    return false;
  }

  #change(wanted) {
    if (this.isTogether) {
      this.#expected = changed(this.#room.transport, wanted, this.serverNow(), ROOM_LEAD_MS);
      this.#player.prepare(secondsOf(this.#expected.anchorBeat, this.#expected.tempoBpm));
      this.#ask(() => this.#send(wanted));
    } else {
      this.#following = null;
      this.#mine = changed(this.#mine, wanted, performance.now(), SOON);
      this.#apply();
      this.#showPlace();
    }
    this.#tell();
  }

  #send({ playing, ...rest }) {
    if (playing === undefined) return this.#room.setTransport(rest);
    return playing ? this.#room.play(rest.atBeat) : this.#room.stop();
  }

  async #ask(act) {
    try {
      await act();
    } catch (problem) {
      this.#expected = null;
      // What was not taken is as it was.
      if (this.isTogether) this.#apply();
      this.#tell();
      if (problem.code !== "left") this.#problem(problem.message);
    }
  }

  // Have the player do what the transport says. A count-in goes on as long as the transport stands where it leads up to.
  #apply(how) {
    this.#applied = this.isTogether ? this.#room.transport : null;
    const transport = this.#applied ?? this.#mine;
    if (!this.#countIn.isBefore(transport)) this.#countIn.drop();
    this.#drawClick();
    if (this.isCountingIn) {
      this.#playout.loopAs(transport);
      this.#countIn.endEarly(this.#early_ms);
    } else this.#playout.follow(transport, this.#ahead_ms, how);
  }

  #drawClick() {
    const { tempoBpm, beatsPerBar } = this.#transport;
    this.#playout.setClick({ isOn: this.isClickOn, tempoBpm, beatsPerBar, countInBars: this.#countIn.bars });
  }

  // From now on alone, where the room is.
  #takeAlong() {
    if (this.isTogether) {
      this.#isClickOn = this.isClickOn;
      this.#mine = onClock(this.#transport, -this.#ahead_ms);
    }
  }

  // The clock is known better now, or drifts. A take is in time with what plays, and does not follow: nothing is moved then.
  #watch() {
    if (!this.isTogether || this.isCountingIn || this.#isRecording || !this.#room.transport.playing) return;
    const drift_ms = this.#playout.driftFrom(this.#room.transport, this.#ahead_ms);
    if (Math.abs(drift_ms) > DRIFT_MS + (this.uncertaintyMs ?? 0)) this.#apply();
  }

  // What was to begin soon begins then.
  #begun(at_ms) {
    this.#playout.begun(at_ms);
    if (this.isCountingIn) {
      this.#countIn.endEarly(this.#early_ms, at_ms);
    } else if (this.#mine.anchorTime === SOON) {
      this.#mine = { ...this.#mine, anchorTime: at_ms };
      this.#showPlace();
    }
    this.#tell();
  }

  #playerChanged() {
    this.#tell();
    if (!this.#isOver) return;
    // Behind the end nothing follows. In the room whoever started it ends it, or anybody if they are not there any more.
    if (!this.isTogether || this.#room.transport.by === this.#memberId) this.stop();
    else setTimeout(() => this.#isOver && this.canMove && this.stop(), NOBODY_ENDS_MS);
  }

  get #isOver() {
    // What still sounds after a seek is not what plays.
    const isThere = this.isPlaying && this.#transport.anchorTime !== SOON;
    return this.#player.state === "ended" && isThere && !this.#isRecording && !this.isClickOn;
  }

  // The room starts when it is over.
  #beginCountIn(bars, atBeat) {
    const position_s = secondsOf(atBeat, this.tempoBpm);
    this.#playout.halt();
    this.#countIn.begin(bars, position_s);
    this.#drawClick();
    this.#playout.begin(this.#transport, position_s);
    this.#tell();
  }

  // How long before the place begins the transport is to start.
  get #early_ms() {
    return this.isTogether ? ROOM_LEAD_MS + (this.uncertaintyMs ?? 0) : 0;
  }

  #countedIn() {
    const { position_s, at_ms } = this.#countIn.drop();
    const atBeat = beatsOf(position_s, this.tempoBpm);
    if (this.isTogether) {
      this.#change({ playing: true, atBeat });
      return;
    }
    this.#mine = { ...this.#mine, playing: true, anchorBeat: atBeat, anchorTime: at_ms };
    // It plays already.
    this.#apply();
    this.#showPlace();
    this.#tell();
  }

  // It is heard no more, though the room has not answered yet.
  #dropCountIn() {
    if (this.#countIn.drop()) this.#playout.halt();
  }

  // The others see where whoever listens alone is.
  #showPlace() {
    const isKnown = this.#mine.anchorTime !== SOON;
    if (isKnown && this.#room && !this.#wantsTogether) showPlace(this.#room, this.#memberId, this.#mine);
  }

  // Be where whoever is followed is.
  #takePlace() {
    const theirs = this.#following && this.#room && placeOf(this.#room, this.#following);
    if (!theirs) {
      this.#following = null;
      return;
    }
    this.#mine = theirs;
    this.#apply({ atBarLine: true });
    this.#showPlace();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  #problem(words) {
    this.dispatchEvent(new CustomEvent("problem", { detail: { words } }));
  }
}
