// Handles the messages of the room: gives each to the part of the page that shows it, and says in the talk what happened.
// Loaded once somebody comes in, or looks at the talk from outside.

import { isGenuine, whose } from "./roster.js";

// What is older when it is added was not added, but brought back from the bin.
const FRESH_MS = 120_000;
// As in `recordings.js`, which is loaded when somebody records.
const RECORDING = "recording.";

export class MessageHandler {
  #page;
  #counted = new Set();

  // `page` has what is loaded at first (`memberId`, `visit`, `roster`, `head`, `song`, `conductor`), `talk` and `lines`,
  // what may be loaded (`loaded`, `parts`), and: `share(key, value)` in the room, `noted(tab)` that there is something new,
  // `tellOf(userId, what)` in the talk, `refresh()` the session, `lookAtMusic()` when something may have changed unheard,
  // `deleted()` when the session is.
  constructor(page) {
    this.#page = page;
  }

  // In the room, for the first time or again. `room` is the client's.
  connected(room, isBack) {
    const { conductor, lookAtMusic, memberId, refresh, share, talk } = this.#page;
    conductor.connected(room);
    talk.event(isBack ? "You are back." : "You came in.");
    lookAtMusic();
    talk.connected();
    this.#recordingsIn(room.state);
    // From before the page was loaded again, or the connection was lost.
    if (room.state.has(`${RECORDING}${memberId}`) && !conductor.isRecording) share(`${RECORDING}${memberId}`, null);
    refresh();
    if (!isBack) talk.focus();
  }

  heard(message) {
    if (!isGenuine(message)) return;
    const { conductor, deleted, head, parts, roster, talk, visit } = this.#page;
    const { type, payload, from, id, offset } = message;
    conductor.heard({ type, payload });
    switch (type) {
      case "welcome":
        this.#moved(payload);
        break;
      case "presence.join":
        talk.event(whose(payload) ? `${payload.displayName} came in, ${whose(payload)}.` : `${payload.displayName} came in.`);
        break;
      case "presence.update":
        this.#renamed(payload);
        break;
      case "presence.leave":
        talk.event(`${roster.nameOf(payload.memberId)} ${payload.reason === "kicked" ? "was removed" : "left"}.`);
        parts.recordings?.left(payload.memberId);
        break;
      case "chat":
        this.#said(from, payload?.text, id, offset);
        break;
      case "session.updated":
        head.draw(payload.session ?? payload);
        break;
      case "session.deleted":
        deleted();
        break;
      case "activity.added":
        this.#happened(payload);
        break;
      case "state.changed":
        this.#recording(payload.key, payload.value, payload.by);
        break;
      case "export.progress":
        parts.mixdowns?.heard(payload);
        break;
      case "export.removed":
        parts.mixdowns?.remove(payload.exportId);
        break;
      case "error":
        talk.event(payload.message);
        break;
      case "history.gap":
        talk.missed();
        break;
      case "room.degraded":
        talk.event("Some people in this room cannot be heard right now.");
        break;
      case "room.restored":
        talk.event("Everyone in this room can be heard again.");
        break;
      default:
        this.#music(type, payload);
    }
    if (type.startsWith("presence.")) roster.show(visit.connection.members);
    visit.draw();
  }

  // Another gateway has taken the room over. Who has come and gone meanwhile is told after this.
  #moved({ recovered }) {
    const { lookAtMusic, parts, refresh, visit } = this.#page;
    const { state } = visit.connection.room;
    if (parts.recordings) parts.recordings.seen(state);
    else this.#recordingsIn(state);
    if (recovered) return;
    lookAtMusic();
    refresh();
  }

  #renamed(member) {
    const { roster, talk } = this.#page;
    const before = roster.get(member.memberId);
    if (before && before.displayName !== member.displayName) talk.event(`${before.displayName} is now called ${member.displayName}.`);
  }

  #said(from, text, id, offset) {
    const { memberId, noted, roster, talk, visit } = this.#page;
    if (typeof text !== "string") return;
    if (from === null) {
      // Said into the room by a program of the owner's: nobody in the room.
      talk.event(text);
      return;
    }
    if (!talk.heard(from, roster.nameOf(from), text, id, { epoch: visit.connection.epoch, offset })) return;
    roster.spoke(from);
    if (from !== memberId) noted("talk");
  }

  #happened(event) {
    const { lines, memberId, noted, parts, refresh } = this.#page;
    parts.activity?.heard(event);
    lines.heard(event);
    // One that goes on, as a fader that moves, is told again.
    if (event.actor.id !== memberId && !this.#counted.has(event.id)) noted("activity");
    this.#counted.add(event.id);
    // Perhaps mine; the session says what I am now.
    if (event.kind === "member.changed") refresh();
  }

  #music(type, payload) {
    const { memberId, noted, song, talk, tellOf } = this.#page;
    if (!song.heard(type, payload)) return;
    if (type === "upload.added") {
      if (Date.now() - new Date(payload.createdAt) > FRESH_MS) talk.event("A removed file is back.");
      else if (payload.userId !== memberId) tellOf(payload.userId, "added a file");
    }
    if (type === "comment.added" && payload.author.id !== memberId) {
      talk.event(`${payload.author.name} wrote a comment.`);
      noted("comments");
    }
  }

  #recordingsIn(state) {
    for (const [key, value] of state) this.#recording(key, value, state.by(key));
  }

  #recording(key, value, by) {
    const { loaded } = this.#page;
    if (key.startsWith(RECORDING)) loaded.recordings().then((recordings) => recordings.heard(key, value, by), () => {});
  }
}
