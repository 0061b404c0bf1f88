// The parts of the studio that are not needed at first: each is loaded, and made, when it is asked for.

const NOT_LOADED = "This part of the page could not be loaded. Check your connection and try again.";

const part = (id) => document.getElementById(id);

// `loaded.name()` is a promise of that part; `parts.name` is there once it is made. `studio` has what they are made of, and:
// `event(words)` in the talk, `tellOf(userId, what)` there, `undone()`, `failed(words)`, `drawState()`, `hush()` so that the song is silent here.
export function laterParts(studio) {
  const { sessionId, memberId, rights, song, conductor, player, timeline, roster, visit, tabs, go, lost, share } = studio;
  const parts = {};
  const makers = {
    async activity() {
      const { Activity } = await import("./panels/activity.js");
      return new Activity(sessionId, memberId, rights, { undone: studio.undone, lost });
    },
    async comments() {
      const { Comments } = await import("./panels/comments.js");
      return new Comments(sessionId, memberId, { song, conductor, rights, go, lost });
    },
    async mixdowns() {
      const { Mixdowns } = await import("./panels/mixdowns.js");
      return new Mixdowns(sessionId, memberId, rights, {
        isTold: () => visit.isConnected,
        asked: (userId) => studio.tellOf(userId, "asked for a mixdown"),
        made: () => tabs.news("mixdowns"),
        played: studio.hush,
        lost,
      });
    },
    async people() {
      const { People } = await import("./panels/people.js");
      return new People(sessionId, memberId, rights.isOwner);
    },
    async recording() {
      const { makeRecording } = await import("./panels/recording.js");
      const host = part("recording-host");
      const name = () => visit.name || part("name").value;
      const recording = await makeRecording({ sessionId, memberId, rights, song, conductor, player, timeline, host, share, name, lost });
      recording.addEventListener("change", () => {
        conductor.isRecording = recording.isRecording;
        part("record").setAttribute("aria-pressed", String(recording.isRecording));
        studio.drawState();
      });
      return recording;
    },
    async recordings() {
      const { Recordings } = await import("./room/recordings.js");
      return new Recordings({ memberId, timeline, nameOf: (id) => roster.nameOf(id), tell: studio.event });
    },
  };
  const loaded = {};
  for (const [name, make] of Object.entries(makers)) {
    let making = null;
    loaded[name] = () => {
      making ??= make().then((made) => (parts[name] = made));
      making.catch(() => {
        making = null;
        studio.failed(NOT_LOADED);
      });
      return making;
    };
  }
  return { loaded, parts };
}

// --- of the timeline -------------------------------------------------------------------------------------------------
//
// What of the timeline is not needed at first: the inspector, the forms, files without sound, clips that are being
// recorded. Each is loaded when it is asked for.

export class TimelineParts {
  #desk;
  #told;
  #inspector = null;
  #form = null;
  #files = null;

  // `desk` as in `track_row.js`. `told`: `inspected(trackId)` of which track the inspector shows, or null; `settle(upload)`.
  constructor(desk, told) {
    this.#desk = desk;
    this.#told = told;
  }

  // Open the inspector of that track; close it when it is open.
  async inspect(trackId, from) {
    if (this.#inspector === null) {
      const { Inspector } = await import("./timeline/inspector.js");
      this.#inspector ??= new Inspector(part("inspector"), this.#desk, this.#told.inspected);
    }
    this.#inspector.turn(trackId, from);
  }

  // `what` as in `place_form.js`, at the play position. At once when it is there: whoever has it open may type already.
  async openForm(what) {
    if (this.#form === null) {
      const { PlaceForm } = await import("./timeline/place_form.js");
      this.#form ??= new PlaceForm(part("timeline-scroller"), this.#desk);
    }
    this.#form.open(what, this.#desk.conductor.position().beat);
  }

  // As in `Timeline.growingClip`.
  growingClip(options) {
    const making = import("./timeline/growing_clip.js").then(({ GrowingClip }) => new GrowingClip(part("growing"), this.#desk.view, options));
    return {
      push: async (peaks, seconds) => (await making).push(peaks, seconds),
      finish: async () => (await making).finish(),
    };
  }

  // Undo what I have done last, or do it again, and say what that was. Errors: `Problem`.
  async undo(isAgain) {
    const event = await this.#desk.song.undo(isAgain);
    const { inWords } = await import("./panels/activity_words.js");
    if (event) this.#desk.say(`${isAgain ? "Done again" : "Undone"}: ${inWords({ ...event, undoes: null })}.`);
    else this.#desk.say(isAgain ? "There is nothing to do again." : "There is nothing of yours to undo.");
  }

  // The song is another.
  async draw() {
    this.#inspector?.draw();
    const { song } = this.#desk;
    if (song.files.length > 0) {
      const { OtherFiles } = await import("./timeline/other_files.js");
      this.#files ??= new OtherFiles(this.#desk, this.#told.settle);
    }
    this.#files?.draw(song.files);
  }

  // How something is heard is another.
  drawMix() {
    this.#inspector?.draw();
  }

  close() {
    this.#inspector?.close();
  }
}

// --- the player ------------------------------------------------------------------------------------------------------
//
// The player, which is loaded once the page stands: what it is told before, it hears then. When it cannot be loaded, that is
// tried again the next time that it is told something.

const FIRST_IDLE_MS = 1_500;
const NO_SOUND = "The sound could not be loaded. Check your connection and try again.";
const TOLD = ["setTracks", "prepare", "start", "stop", "setLoop", "setClick", "setSteady"];
const ASKED = { state: "stopped", position_s: null, error_ms: null, lateTrackIds: [] };
const SILENT = { peak: -Infinity, hold: -Infinity };

export class LatePlayer extends EventTarget {
  #player = null;
  #loading = null;
  #volumeDb = 0;
  #loadPlayer;
  // What it is to hear when it is there: of each kind the last, in the order in which they were said.
  #untold = new Map();

  constructor(loadPlayer = async () => new (await import("./sound/player.js")).Player()) {
    super();
    this.#loadPlayer = loadPlayer;
    const soon = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, FIRST_IDLE_MS));
    soon(() => this.load(), { timeout: FIRST_IDLE_MS });
  }

  // The player; null when it cannot be loaded now.
  load() {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  // Let sound out, in the handler of a press. Returns the context, for whoever records. Errors: it cannot be loaded.
  async openContext() {
    const player = this.#player ?? (await this.load());
    if (!player) throw new Error(NO_SOUND);
    return player.openContext();
  }

  get masterGainDb() {
    return this.#volumeDb;
  }

  set masterGainDb(db) {
    this.#volumeDb = db;
    if (this.#player) this.#player.masterGainDb = db;
  }

  levelOf(trackId) {
    return this.#player?.levelOf(trackId) ?? SILENT;
  }

  masterLevel() {
    return this.#player?.masterLevel() ?? SILENT;
  }

  positionAt(contextTime_s) {
    return this.#player?.positionAt(contextTime_s) ?? null;
  }

  async close() {
    await (await this.#loading)?.close();
  }

  async #load() {
    let player;
    try {
      player = await this.#loadPlayer();
    } catch {
      this.#loading = null;
      this.dispatchEvent(new CustomEvent("problem", { detail: { uploadId: null, words: NO_SOUND } }));
      return null;
    }
    for (const type of ["state", "begins", "problem"]) {
      player.addEventListener(type, ({ detail }) => this.dispatchEvent(new CustomEvent(type, { detail })));
    }
    player.masterGainDb = this.#volumeDb;
    this.#player = player;
    for (const [name, given] of this.#untold) player[name](...given);
    this.#untold.clear();
    return player;
  }

  static {
    for (const name of TOLD) {
      this.prototype[name] = function tell(...given) {
        if (this.#player) return this.#player[name](...given);
        this.#untold.delete(name);
        this.#untold.set(name, given);
        return this.load();
      };
    }
    for (const [name, before] of Object.entries(ASKED)) {
      Object.defineProperty(this.prototype, name, {
        get() {
          return this.#player ? this.#player[name] : before;
        },
      });
    }
  }
}
