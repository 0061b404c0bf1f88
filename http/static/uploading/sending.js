// Files that are brought in: dragged onto the page or chosen, and then a line each until they are there.

import { Problem } from "../controls/api.js";
import { sizeInWords } from "../controls/quantities.js";
import { ResumableUpload } from "./transfer.js";

// --- on their way ----------------------------------------------------------------------------------------------------
//
// Files on their way to the session: a line each with its progress, a few at a time, in the order they were chosen.
//
// What fails says why and can be tried again; what is cancelled leaves nothing. A line goes when its upload is there,
// so that a file's name is never shown twice, whoever brings the news first: the answer or the room. Meanwhile the browser
// keeps the file (`kept_files.js`), and a page that is loaded again goes on with it.

const AT_ONCE = 2;
// As in `kept_files.js`, which is loaded when there is something to keep.
const KEPT = "omnisonic.files";
const HOPELESS = ["empty_file", "invalid_file_name", "session_not_found", "unreadable", "unsupported_media_type", "upload_too_large"];
const BROKEN = "That did not work. Try again.";

const part = (id) => document.getElementById(id);

export class Sendings {
  #list;
  #sessionId;
  #memberId;
  #added;
  #lines = new Set();
  #opening = null;
  #isClosed = false;

  // `added(upload)` is told of each that has arrived.
  constructor(list, { sessionId, memberId }, added) {
    this.#list = list;
    this.#sessionId = sessionId;
    this.#memberId = memberId;
    this.#added = added;
    addEventListener("beforeunload", (event) => this.#isBusy && event.preventDefault());
  }

  // `begin_s` is where in the song they begin.
  add(files, begin_s = 0) {
    for (const file of files) this.#add({ file, begin_s, place: null }, this.#keep(file, begin_s));
    this.#goOn();
  }

  // Go on with mine that were on their way when this page was left.
  async resume() {
    if (!localStorage.getItem(KEPT)) return;
    try {
      const store = await this.#store();
      for (const kept of await store.resume(this.#sessionId, this.#memberId)) this.#add(kept, Promise.resolve(kept));
    } catch (error) {
      console.warn("files that were on their way", error.name);
    }
    this.#goOn();
  }

  // This upload, of the same person, is there: it may well be one of these.
  settle(upload) {
    const isIt = ({ file, state }) => state === "sending" && file.name === upload.fileName && file.size === upload.fileSize;
    const line = [...this.#lines].find((each) => isIt(each) && !each.row.hidden);
    if (line) line.row.hidden = true;
  }

  // Nothing more can arrive there: throw them away, or leave them to a page that is loaded later.
  close({ isForLater }) {
    this.#isClosed = true;
    for (const line of this.#lines) {
      if (isForLater) line.leave();
      else line.cancel();
    }
  }

  get #isBusy() {
    return [...this.#lines].some(({ state }) => state !== "failed");
  }

  #add({ file, begin_s, place }, keeping) {
    const line = new Sending({ file, begin_s, place }, this.#sessionId, keeping, {
      arrived: (upload) => this.#arrived(line, upload),
      ended: () => this.#goOn(),
      gone: () => this.#forget(line),
    });
    this.#lines.add(line);
    this.#list.append(line.row);
  }

  // What the browser keeps of it; null when it cannot.
  async #keep(file, begin_s) {
    try {
      const [sessionId, memberId] = [this.#sessionId, this.#memberId];
      return await (await this.#store()).keep({ sessionId, memberId, file, begin_s });
    } catch (error) {
      console.warn("a file is not kept", error.name);
      return null;
    }
  }

  #store() {
    this.#opening ??= import("./kept_files.js").then(({ KeptFiles }) => KeptFiles.open());
    // Perhaps the next time.
    this.#opening.catch(() => (this.#opening = null));
    return this.#opening;
  }

  #arrived(line, upload) {
    this.#forget(line);
    this.#added(upload);
  }

  #forget(line) {
    this.#lines.delete(line);
    line.row.remove();
    this.#goOn();
  }

  #goOn() {
    if (this.#isClosed) return;
    const inState = (state) => [...this.#lines].filter((line) => line.state === state);
    const free = AT_ONCE - inState("sending").length;
    for (const line of inState("waiting").slice(0, Math.max(0, free))) line.begin();
  }
}

class Sending {
  file;
  begin_s;
  row;
  // `waiting`, `sending` or `failed`.
  state = "waiting";
  #told;
  // Null once it is refused for good.
  #upload;
  // The promise of what the browser keeps of it, or of null.
  #keeping;
  #controller = new AbortController();

  constructor({ file, begin_s, place }, sessionId, keeping, told) {
    this.file = file;
    this.begin_s = begin_s;
    this.#keeping = keeping;
    this.#told = told;
    const placed = async (known) => (await keeping)?.placed(known);
    this.#upload = new ResumableUpload(file, sessionId, begin_s, { place, placed });
    this.row = part("sending-item").content.firstElementChild.cloneNode(true);
    this.#wire();
    this.#draw("Waiting");
  }

  async begin() {
    this.state = "sending";
    this.#problem("");
    this.#progress(0);
    try {
      const { signal } = this.#controller;
      const upload = await this.#upload.send({ signal, progress: (bytes) => this.#progress(bytes) });
      this.#told.arrived(upload);
      this.#letGo();
    } catch (problem) {
      if (!this.#controller.signal.aborted) this.#failed(problem);
    }
  }

  cancel() {
    this.#controller.abort();
    this.#upload?.forget();
    this.#letGo();
    // The keyboard is not left in the void.
    if (this.row.contains(document.activeElement)) part("files").focus();
    this.#told.gone();
  }

  // Stop. The browser still keeps it.
  leave() {
    this.#controller.abort();
    this.#told.gone();
  }

  // The browser need not keep it any more.
  async #letGo() {
    await (await this.#keeping)?.remove();
  }

  #wire() {
    this.row.style.setProperty("--begin", this.begin_s);
    const name = this.#find(".track-name");
    name.textContent = name.title = this.file.name;
    name.id = `sending-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
    for (const control of this.row.querySelectorAll("button, progress")) control.setAttribute("aria-describedby", name.id);
    this.#find("progress").max = Math.max(1, this.file.size);
    this.#find('[data-act="cancel"]').addEventListener("click", () => this.cancel());
    this.#find('[data-act="again"]').addEventListener("click", () => {
      this.state = "waiting";
      this.#problem("");
      this.#draw("Waiting");
      this.#find('[data-act="cancel"]').focus();
      this.#told.ended();
    });
  }

  #failed(problem) {
    this.state = "failed";
    this.row.hidden = false;
    const isOurs = problem instanceof Problem;
    if (!isOurs) console.error(problem);
    const isHopeless = HOPELESS.includes(problem.code);
    if (isHopeless) {
      // The studio has thrown away what had arrived.
      this.#upload = null;
      this.#letGo();
    }
    this.#problem(isOurs ? problem.message : BROKEN, !isHopeless);
    this.#draw("Not added");
    this.#told.ended();
  }

  #progress(bytes) {
    const { size } = this.file;
    this.#find("progress").value = bytes;
    const percent = Math.floor((100 * bytes) / Math.max(1, size));
    // What is left at the end is the studio's to do: check it, and put it where it is kept.
    this.#draw(bytes >= size ? "Almost there" : `${percent} % of ${sizeInWords(size)}`);
  }

  #problem(words, canTryAgain = false) {
    this.#find(".fault").textContent = words;
    this.#find(".fault").hidden = !words;
    this.#find('[data-act="again"]').hidden = !canTryAgain;
  }

  #draw(words) {
    this.#find(".sending-state").textContent = words;
    this.#find("progress").hidden = this.state === "failed";
    this.row.classList.toggle("is-live", this.state === "sending");
    this.#find('[data-act="cancel"]').lastElementChild.textContent = this.state === "failed" ? "Dismiss" : "Cancel";
  }

  #find(selector) {
    return this.row.querySelector(selector);
  }
}

// --- dragged and chosen ----------------------------------------------------------------------------------------------
//
// Files that are dragged onto the page, and let go anywhere on it; the ones that are chosen with the field.

const FOLDERS = "Folders cannot be added. Open the folder, and choose the files in it.";

// `taken(files, event)` gets them, with where they were let go; `over(event)` hears where they are meanwhile, and null at the
// end; `refused(words)` hears why some cannot be.
export function takesFiles(field, { taken, over, refused }) {
  const takeChosen = () => {
    taken([...field.files], null);
    // So that choosing the same file once more is a change, too.
    field.value = "";
  };
  field.addEventListener("change", takeChosen);
  // Somebody may have been faster than this script.
  takeChosen();
  let depth = 0;
  const show = (change) => {
    depth = Math.max(0, depth + change);
    if (depth === 0) over(null);
  };
  const onFiles = (name, act) =>
    addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      // Otherwise the browser would leave the page and open the file.
      event.preventDefault();
      act(event);
    });
  onFiles("dragenter", () => show(1));
  onFiles("dragleave", () => show(-1));
  onFiles("dragover", (event) => {
    event.dataTransfer.dropEffect = "copy";
    over(event);
  });
  onFiles("drop", (event) => {
    show(-depth);
    const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    const files = items.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory).map((item) => item.getAsFile());
    taken(files.filter((file) => file !== null), event);
    if (files.length < items.length) refused(FOLDERS);
  });
}
