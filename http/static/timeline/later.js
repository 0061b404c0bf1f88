// What of the timeline is not needed at first: the inspector, the forms, files without sound, clips that are being
// recorded. Each is loaded when it is asked for.

const part = (id) => document.getElementById(id);

export class LaterParts {
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
    const { Inspector } = await import("./inspector.js");
    this.#inspector ??= new Inspector(part("inspector"), this.#desk, this.#told.inspected);
    this.#inspector.turn(trackId, from);
  }

  // `what` as in `place_form.js`, at the play position.
  async openForm(what) {
    const { PlaceForm } = await import("./place_form.js");
    this.#form ??= new PlaceForm(part("timeline-scroller"), this.#desk);
    this.#form.open(what, this.#desk.conductor.position().beat);
  }

  // As in `Timeline.growingClip`.
  growingClip(options) {
    const making = import("./growing_clip.js").then(({ GrowingClip }) => new GrowingClip(part("growing"), this.#desk.view, options));
    return {
      push: async (peaks, seconds) => (await making).push(peaks, seconds),
      finish: async () => (await making).finish(),
    };
  }

  // Undo what I have done last, or do it again, and say what that was. Errors: `Problem`.
  async undo(isAgain) {
    const event = await this.#desk.song.undo(isAgain);
    const { inWords } = await import("../panels/activity_words.js");
    if (event) this.#desk.say(`${isAgain ? "Done again" : "Undone"}: ${inWords({ ...event, undoes: null })}.`);
    else this.#desk.say(isAgain ? "There is nothing to do again." : "There is nothing of yours to undo.");
  }

  // The song is another.
  async draw() {
    this.#inspector?.draw();
    const { song } = this.#desk;
    if (song.files.length > 0) {
      const { OtherFiles } = await import("./other_files.js");
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
