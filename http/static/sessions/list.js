// The lines of the list, those first where something happened last.
//
// Nobody likes to press what has just moved. While the pointer or the keyboard is in the list, lines change in their
// places, and none comes, or moves. They do as soon as the list is left.

import { drawLine, newLine } from "./line.js";

const time = (line) => new Date(line.dataset.at).getTime();

export class SessionList {
  #list;
  #waiting = new Map();

  constructor(list) {
    this.#list = list;
    list.addEventListener("pointerleave", () => this.#settle());
    list.addEventListener("focusout", () => setTimeout(() => this.#settle()));
  }

  get count() {
    return this.#list.childElementCount;
  }

  lineOf(id) {
    return [...this.#list.children].find((line) => line.dataset.id === id);
  }

  // A page of what the studio has now. `isAll`: there are no others.
  update(sessions, isAll) {
    this.#waiting.clear();
    for (const session of sessions) {
      const line = this.lineOf(session.id);
      if (line) drawLine(line, session);
      else this.#waiting.set(session.id, session);
    }
    this.#dropMissing(sessions, isAll);
    this.#settle();
  }

  // A further page, at the end.
  append(sessions) {
    for (const session of sessions) this.#put(session);
  }

  // Other sessions than before.
  replace(sessions) {
    this.#waiting.clear();
    this.#list.replaceChildren();
    this.append(sessions);
  }

  #put(session) {
    const line = this.lineOf(session.id) ?? this.#list.appendChild(newLine(session));
    drawLine(line, session);
  }

  #settle() {
    if (this.#isInUse()) return;
    for (const session of this.#waiting.values()) this.#put(session);
    this.#waiting.clear();
    const lines = [...this.#list.children].sort((one, other) => time(other) - time(one));
    lines.forEach((line, place) => {
      // Only what is out of its place is moved: a line that moves is drawn anew.
      if (this.#list.children[place] !== line) this.#list.insertBefore(line, this.#list.children[place]);
    });
  }

  // A finger leaves nothing hovering behind that would mean anything.
  #isInUse() {
    const isPointedAt = matchMedia("(hover: hover)").matches && this.#list.matches(":hover");
    return this.count > 0 && (isPointedAt || this.#list.contains(document.activeElement));
  }

  // What the page should hold and does not is deleted, or shared no more.
  #dropMissing(sessions, isAll) {
    const there = new Set(sessions.map((session) => session.id));
    const oldest = isAll || !sessions.length ? -Infinity : new Date(sessions.at(-1).lastActivityAt).getTime();
    for (const line of [...this.#list.children]) {
      if (!there.has(line.dataset.id) && time(line) > oldest) line.remove();
    }
  }
}
