// What of the session's files has no sound: pictures. A line each, with what can be done with it.

import { sizeInWords } from "../controls/quantities.js";
import { Question } from "../controls/question.js";
import { colourClass } from "../room/roster.js";

const part = (id) => document.getElementById(id);

export class OtherFiles {
  #desk;
  #settle;
  #rows = new Map();

  // `desk` as in `track_row.js`. `settle(upload)`: it may be one that is on its way here.
  constructor(desk, settle) {
    this.#desk = desk;
    this.#settle = settle;
  }

  draw(files) {
    for (const id of [...this.#rows.keys()]) {
      if (files.some((file) => file.id === id)) continue;
      this.#rows.get(id).remove();
      this.#rows.delete(id);
    }
    for (const file of files) {
      if (this.#rows.has(file.id)) continue;
      if (file.userId === this.#desk.song.myId) this.#settle(file);
      this.#rows.set(file.id, this.#row(file));
    }
    part("other-files-list").append(...files.map(({ id }) => this.#rows.get(id)).filter((row, place) =>
      part("other-files-list").children[place] !== row));
    part("other-files").hidden = files.length === 0;
  }

  #row(file) {
    const row = part("file-item").content.firstElementChild.cloneNode(true);
    const find = (selector) => row.querySelector(selector);
    row.classList.add(colourClass(file.userId));
    const name = find(".track-name");
    name.id = `file-${file.id}`;
    name.textContent = name.title = file.fileName;
    row.setAttribute("aria-labelledby", name.id);
    for (const control of row.querySelectorAll("button, a")) control.setAttribute("aria-describedby", name.id);
    find(".file-about").textContent = `picture · ${sizeInWords(file.fileSize)}`;
    find('[data-act="download"]').href = `/api/upload/${file.id}/content`;
    find('[data-act="remove"]').hidden = !this.#desk.rights.mayRemove(file.userId);
    const question = new Question(row, ".track-name, .file-about", async () => {
      try {
        await this.#desk.remove(file.id);
      } catch (problem) {
        find(".fault").textContent = problem.message;
        find(".fault").hidden = false;
      }
    });
    find('[data-act="remove"]').addEventListener("click", () => question.ask());
    return row;
  }
}
