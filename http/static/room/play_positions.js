// Where those are who listen alone: an ephemeral key of the room's shared state for each of them, which goes with them.

import { colourClass } from "../controls/avatar.js";
import { beatAt, onClock, STANDING } from "./transport.js";

const PREFIX = "place.";

// Whose place this key is; undefined when it is none.
export function memberOf(key) {
  return key.startsWith(PREFIX) ? key.slice(PREFIX.length) : undefined;
}

// Those but `myId`: `{ memberId, name, colorClass, beat(), isPlaying }` each.
export function placesIn(room, myId) {
  return [...room.state].flatMap(([key, place]) => {
    const member = room.member(memberOf(key) ?? "");
    if (!member || member.memberId === myId || !place) return [];
    const { memberId, displayName: name } = member;
    const beat = () => beatAt({ ...STANDING, ...place }, room.serverTimeAt());
    return [{ memberId, name, colorClass: colourClass(memberId), beat, isPlaying: Boolean(place.playing) }];
  });
}

// The transport of that member, on the page's clock; null when they do not listen alone.
export function placeOf(room, memberId) {
  const place = room.state.get(`${PREFIX}${memberId}`);
  return place ? onClock({ ...STANDING, ...place }, -room.serverTimeAt(0)) : null;
}

// Show the others a transport on the page's clock; null: nothing. A comfort: what does not work is not told.
export function showPlace(room, myId, transport) {
  const place = transport && onClock(transport, room.serverTimeAt(0));
  room.setState(`${PREFIX}${myId}`, place, { ephemeral: true }).catch(() => {});
}
