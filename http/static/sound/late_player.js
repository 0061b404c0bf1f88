// The player, which is loaded once the page stands: what it is told before, it hears then.

const FIRST_IDLE_MS = 1_500;
const TOLD = ["setTracks", "prepare", "start", "stop", "setLoop", "setClick", "unlock", "openContext"];
const ASKED = { state: "stopped", position_s: null, error_ms: null, lateTrackIds: [] };
const SILENT = { peak: -Infinity, hold: -Infinity };

export class LatePlayer extends EventTarget {
  #player = null;
  #loading = null;
  #volumeDb = 0;

  constructor() {
    super();
    const soon = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, FIRST_IDLE_MS));
    soon(() => this.load(), { timeout: FIRST_IDLE_MS });
  }

  load() {
    this.#loading ??= import("./player.js").then(({ Player }) => {
      this.#player = new Player();
      for (const type of ["state", "problem"]) {
        this.#player.addEventListener(type, ({ detail }) => this.dispatchEvent(new CustomEvent(type, { detail })));
      }
      this.#player.masterGainDb = this.#volumeDb;
      return this.#player;
    });
    return this.#loading;
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
    if (this.#loading) await (await this.#loading).close();
  }

  // Now, or in the order in which they were said.
  static {
    for (const name of TOLD) {
      this.prototype[name] = function tell(...given) {
        return this.#player ? this.#player[name](...given) : this.load().then((player) => player[name](...given));
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
