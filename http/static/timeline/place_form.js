// A small form at a place of the song: for a marker or a section, or for a comment.

import { Problem } from "../controls/api.js";

const SAVED = "The marker is saved.";

const part = (id) => document.getElementById(id);

export class PlaceForm {
  #form;
  #desk;
  #opener = null;
  #marker = null;
  #isComment = false;
  #beat = 0;
  // Each time that it is opened: what stood in it, and whether that is asked for already. Null when it is closed.
  #opening = null;

  constructor(scroller, desk) {
    this.#desk = desk;
    this.#form = part("place-form").content.firstElementChild.cloneNode(true);
    this.#form.hidden = true;
    scroller.after(this.#form);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.#form.addEventListener("keydown", (event) => {
      const isSent = event.key === "Enter" && (event.ctrlKey || event.metaKey);
      if (event.key === "Escape") this.#close();
      else if (isSent) this.#save();
      else return;
      event.preventDefault();
    });
    this.#find('[data-act="cancel"]').addEventListener("click", () => this.#close());
    this.#find('[data-act="remove"]').addEventListener("click", () => this.#remove());
  }

  // For that marker; for a new one (`marker: null`) or a comment at `beat`.
  open({ marker = null, comment = false }, beat) {
    const { scale } = this.#desk.view;
    if (this.#form.hidden) this.#opener = document.activeElement;
    this.#marker = marker;
    this.#isComment = comment;
    this.#beat = marker?.atBeat ?? (comment ? Math.round(beat * 100) / 100 : Math.round(beat));
    const what = comment ? "Comment" : marker ? "Marker" : "New marker";
    part("place-title").textContent = `${what} at bar ${scale.placeAsText(this.#beat)}`;
    this.#find('[data-field="text"]').hidden = !comment;
    for (const name of ["name", "end"]) this.#find(`[data-field="${name}"]`).hidden = comment;
    this.#find('[data-act="remove"]').hidden = marker === null;
    part("place-text").value = "";
    part("place-name").value = marker?.name ?? "";
    part("place-end").value = marker?.endBeat ? scale.placeAsText(marker.endBeat) : this.#loopEnd(marker, comment);
    this.#opening = { name: part("place-name").value, end: part("place-end").value, isAsked: false };
    this.#fail("");
    this.#form.hidden = false;
    (comment ? part("place-text") : part("place-name")).focus();
    part("place-name").select();
  }

  // A new marker at the beginning of the loop becomes a section as long as it.
  #loopEnd(marker, comment) {
    const { loop } = this.#desk.conductor;
    return !marker && !comment && loop?.startBeat === this.#beat ? this.#desk.view.scale.placeAsText(loop.endBeat) : "";
  }

  #save() {
    if (this.#isComment) {
      const text = part("place-text").value.trim();
      if (!text) return this.#close();
      return this.#act(() => this.#desk.song.annotations.addComment({ text, atBeat: this.#beat }), "The comment is added.");
    }
    const before = this.#opening;
    const written = part("place-end").value.trim();
    const isSameEnd = this.#marker !== null && written === before.end;
    const endBeat = written ? this.#desk.view.scale.beatOfText(written) : null;
    const name = part("place-name").value.trim();
    if (!name) return this.#fail("Type a name.", "place-name");
    if (written && !isSameEnd && (endBeat === null || endBeat <= this.#beat)) {
      return this.#fail("A section ends at a bar behind its beginning, such as 17 or 17.3.", "place-end");
    }
    const { annotations } = this.#desk.song;
    if (this.#marker) {
      // What is left as it was, somebody else may have changed meanwhile.
      const patch = { ...(name !== before.name && { name }), ...(!isSameEnd && { endBeat }) };
      return this.#act(() => annotations.changeMarker(this.#marker.id, patch), SAVED);
    }
    return this.#act(() => annotations.addMarker({ name, atBeat: this.#beat, ...(endBeat !== null && { endBeat }) }), SAVED);
  }

  #remove() {
    return this.#act(() => this.#desk.song.annotations.removeMarker(this.#marker.id), "The marker is removed.");
  }

  // Once, and for what it was opened for: by the answer, it may be closed, or show something else.
  async #act(act, done) {
    const opening = this.#opening;
    if (opening === null || opening.isAsked) return;
    opening.isAsked = true;
    try {
      await act();
      if (opening === this.#opening) this.#close();
      this.#desk.say(done);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (opening === this.#opening) this.#fail(problem.message);
      else this.#desk.fail(problem.message);
    } finally {
      opening.isAsked = false;
    }
  }

  #fail(words, field = null) {
    this.#find(".fault").textContent = words;
    this.#find(".fault").hidden = !words;
    if (field) part(field).focus();
  }

  #close() {
    this.#opening = null;
    this.#form.hidden = true;
    // The keyboard is not left in the void.
    const isThere = this.#opener?.isConnected && this.#opener !== document.body;
    (isThere ? this.#opener : part("bars")).focus();
  }

  #find(selector) {
    return this.#form.querySelector(selector);
  }
}
