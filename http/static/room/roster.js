// The people: who is in the room, how each looks everywhere on the page, and what whoever looks at it may do.

// --- who is in the room ----------------------------------------------------------------------------------------------
//
// Who is in the room, as a list on the page, and in short in the bar. Oneself comes first, the others by name.

const SPEAKING_MS = 1_200;
// So many are seen in the bar; the others in the list that it opens.
const STACKED = 5;
const names = new Intl.Collator(undefined, { numeric: true });

export class Roster {
  #list;
  #stack;
  #myId;
  // By member id. A row's `member` is who it shows.
  #rows = new Map();
  // Those who were taken off the list last, by member id: they are spoken of once more.
  #gone = new Map();

  constructor(list, stack, myId) {
    this.#list = list;
    this.#stack = stack;
    this.#myId = myId;
  }

  get size() {
    return this.#rows.size;
  }

  get(memberId) {
    return this.#rows.get(memberId)?.member;
  }

  nameOf(memberId) {
    return (this.get(memberId) ?? this.#gone.get(memberId))?.displayName ?? "Someone who left";
  }

  show(members) {
    const present = new Set(members.map(({ memberId }) => memberId));
    const gone = [...this.#rows].filter(([memberId]) => !present.has(memberId));
    if (gone.length > 0) this.#gone = new Map(gone.map(([memberId, { member }]) => [memberId, member]));
    for (const [memberId] of gone) this.#rows.delete(memberId);
    const sorted = [...members].sort((one, other) => this.#compare(one, other));
    arrange(this.#list, sorted.map((member) => this.#rowOf(member)), () => this.#refocus());
    this.#stack.replaceChildren(...sorted.slice(0, STACKED).map((member) => badge(member)));
  }

  // Who listens alone, and whether I follow them: `alone` are member ids; `turn(memberId)` follows, or follows no more.
  showAlone(alone, following, turn) {
    for (const [memberId, row] of this.#rows) {
      const isAlone = alone.includes(memberId);
      if (row.alone !== isAlone) {
        row.alone = isAlone;
        draw(row, row.member);
      }
      // The same button as long as there is one: it may have the focus.
      row.turn = () => turn(memberId);
      if (isAlone) drawFollow(row, memberId === following);
      else if (row.button) this.#removeFollow(row);
    }
  }

  // Light the member's lamp for a moment.
  spoke(memberId) {
    const row = this.#rows.get(memberId);
    if (!row) return;
    row.classList.add("speaking");
    clearTimeout(row.speaking);
    row.speaking = setTimeout(() => row.classList.remove("speaking"), SPEAKING_MS);
  }

  #removeFollow(row) {
    const hadFocus = row.button === document.activeElement;
    row.button.remove();
    row.button = null;
    if (hadFocus) this.#refocus();
  }

  // What had the focus is gone: the menu that the list is in gets it.
  #refocus() {
    this.#list.closest("details")?.querySelector("summary").focus();
  }

  #rowOf(member) {
    const { memberId } = member;
    if (!this.#rows.has(memberId)) this.#rows.set(memberId, newRow(member, memberId === this.#myId));
    const row = this.#rows.get(memberId);
    if (row.member !== member) draw(row, member);
    return row;
  }

  #compare(one, other) {
    const mine = ({ memberId }) => (memberId === this.#myId ? 0 : 1);
    return mine(one) - mine(other) || names.compare(one.displayName, other.displayName);
  }
}

function badge(member) {
  const made = avatar(member.memberId, member.displayName);
  made.title = member.displayName;
  made.classList.toggle("away", isAway(member));
  return made;
}

// Also whoever the room waits for.
function isAway({ connected, status }) {
  return connected === false || status === "away";
}

// Whose a member is, where that is not what they are shown as: a name in a room is anybody's to choose.
export function whose({ displayName, account }) {
  const isSame = !account?.name || plain(account.name) === plain(displayName);
  return isSame ? "" : `signed in as ${account.name}`;
}

// Capitals make no other person.
function plain(name) {
  return name.trim().toLowerCase();
}

function drawFollow(row, isFollowed) {
  row.button ??= newFollowButton(row);
  const words = isFollowed ? "Unfollow" : "Follow";
  const label = `${words} ${row.member.displayName}`;
  if (row.button.getAttribute("aria-label") === label) return;
  row.button.textContent = words;
  row.button.setAttribute("aria-label", label);
}

function newFollowButton(row) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.addEventListener("click", () => row.turn());
  row.querySelector(".led").before(button);
  return button;
}

function newRow(member, isMe) {
  const row = document.createElement("li");
  row.className = "member";
  row.dataset.member = member.memberId;
  const name = document.createElement("span");
  name.className = "member-name";
  const about = document.createElement("span");
  about.className = "member-about";
  about.dataset.you = isMe ? "you" : "";
  const lamp = document.createElement("span");
  lamp.className = "led";
  lamp.setAttribute("aria-hidden", "true");
  row.append(avatar(member.memberId, member.displayName), name, about, lamp);
  return row;
}

function draw(row, member) {
  row.member = member;
  const [badge, name, about] = row.children;
  badge.className = `avatar ${colourClass(member.memberId)}`;
  badge.textContent = initials(member.displayName);
  name.textContent = member.displayName;
  name.title = member.displayName;
  // The room waits for them.
  const isLost = member.connected === false;
  const how = isLost ? "reconnecting" : member.status === "away" ? "away" : "";
  about.textContent = [about.dataset.you, whose(member), how, row.alone ? "listens alone" : ""]
    .filter(Boolean)
    .join(", ");
  about.title = about.textContent;
  row.classList.toggle("away", isAway(member));
}

// --- lists that change -----------------------------------------------------------------------------------------------

// Have these rows in the list, in this order, and no others. The row with the focus is not moved, as it would lose it: the
// others move around it. When it goes, `refocus(row)` gets what stands in its place now, or last; undefined: there is none.
export function arrange(list, rows, refocus = () => {}) {
  const before = [...list.children];
  const held = before.find((row) => row.contains(document.activeElement));
  const wanted = new Set(rows);
  for (const row of before) if (!wanted.has(row)) row.remove();
  let next = null;
  for (const row of [...rows].reverse()) {
    if (row !== held && (row.parentElement !== list || row.nextElementSibling !== next)) list.insertBefore(row, next);
    next = row;
  }
  if (held && !wanted.has(held)) refocus(rows[before.indexOf(held)] ?? rows.at(-1));
}

// --- how a member looks ----------------------------------------------------------------------------------------------
//
// How a member looks: two letters on one of ten colours, the same for everyone in the room.

const COLOURS = 10;

// FNV-1a over the id: every page gives a member the same colour without asking anybody.
export function colourClass(memberId) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(memberId)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return `colour-${hash % COLOURS}`;
}

export function initials(name) {
  const words = name.trim().split(/\s+/u);
  const first = (word) => firstGrapheme(word).toLocaleUpperCase();
  return words.length > 1 ? first(words[0]) + first(words[words.length - 1]) : first(words[0]);
}

export function avatar(memberId, name) {
  const badge = document.createElement("span");
  badge.className = `avatar ${colourClass(memberId)}`;
  badge.setAttribute("aria-hidden", "true");
  badge.textContent = initials(name);
  return badge;
}

function firstGrapheme(word) {
  if (!("Segmenter" in Intl)) return [...word][0] ?? "";
  return new Intl.Segmenter().segment(word)[Symbol.iterator]().next().value?.segment ?? "";
}

// --- what members say ------------------------------------------------------------------------------------------------
//
// A member can send the others messages of nearly any type, and the room says from whom they are. News of the room and of
// the studio have no sender.

const SAID_BY_MEMBERS = ["chat"];

// Whether a message is what it says it is.
export function isGenuine({ type, from }) {
  return from === null || SAID_BY_MEMBERS.includes(type);
}

// --- rights ----------------------------------------------------------------------------------------------------------
//
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
