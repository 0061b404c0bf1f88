// What whoever looks at the page may do in the session, by their role. The studio decides; this is what the page offers.

export class Rights {
  #myId;

  constructor(role, myId) {
    this.#myId = myId;
    this.isOwner = role === "owner";
    // A listener hears, talks and downloads, and changes nothing.
    this.mayChange = role !== "listener";
  }

  // What somebody has brought in or asked for: its owner's to remove, and the session's owner's.
  mayRemove(userId) {
    return this.isOwner || (this.mayChange && userId === this.#myId);
  }

  // `undo` is an event's: `allowedTo` names who may, or nobody, which is everybody who may change anything.
  mayUndo(undo) {
    return this.mayChange && undo !== null && (undo.allowedTo === null || undo.allowedTo.includes(this.#myId));
  }
}
