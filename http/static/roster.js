// Who is in the room, kept in step with the list on the page. Oneself comes first, the others by name.

import { avatar, colourClass, initials } from "./avatar.js";

const SPEAKING_MS = 1_200;

export class Roster {
  #list;
  #myId;
  #members = new Map();
  #rows = new Map();

  constructor(list, myId) {
    this.#list = list;
    this.#myId = myId;
  }

  get size() {
    return this.#members.size;
  }

  get(memberId) {
    return this.#members.get(memberId);
  }

  nameOf(memberId) {
    return this.#members.get(memberId)?.displayName ?? "Someone who left";
  }

  replace(members) {
    const present = new Set(members.map((member) => member.memberId));
    for (const memberId of [...this.#members.keys()]) if (!present.has(memberId)) this.remove(memberId);
    for (const member of members) this.put(member);
  }

  put(member) {
    this.#members.set(member.memberId, member);
    let row = this.#rows.get(member.memberId);
    if (!row) {
      row = newRow(member, member.memberId === this.#myId);
      this.#rows.set(member.memberId, row);
    }
    draw(row, member);
    this.#place(row, member);
  }

  remove(memberId) {
    this.#members.delete(memberId);
    this.#rows.get(memberId)?.remove();
    this.#rows.delete(memberId);
  }

  clear() {
    this.replace([]);
  }

  // Light the member's lamp for a moment.
  spoke(memberId) {
    const row = this.#rows.get(memberId);
    if (!row) return;
    row.classList.add("speaking");
    clearTimeout(row.speaking);
    row.speaking = setTimeout(() => row.classList.remove("speaking"), SPEAKING_MS);
  }

  #place(row, member) {
    const after = [...this.#list.children].find(
      (other) => other !== row && this.#compare(member, this.#members.get(other.dataset.member)) < 0,
    );
    if (row.nextElementSibling !== (after ?? null) || !row.parentNode) this.#list.insertBefore(row, after ?? null);
  }

  #compare(one, other) {
    const mine = (member) => (member.memberId === this.#myId ? 0 : 1);
    return mine(one) - mine(other) || one.displayName.localeCompare(other.displayName, undefined, { numeric: true });
  }
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
  const [badge, name, about] = row.children;
  badge.className = `avatar ${colourClass(member.memberId)}`;
  badge.textContent = initials(member.displayName);
  name.textContent = member.displayName;
  name.title = member.displayName;
  const isLost = member.connected === false; // the room waits for them
  const how = isLost ? "offline" : member.status === "away" ? "away" : "";
  about.textContent = [about.dataset.you, whose(member), how]
    .filter(Boolean)
    .join(", ");
  about.title = about.textContent;
  row.classList.toggle("away", isLost || member.status === "away");
}
