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
