// Undoing, through the session's activity, what I have done last; and doing it again.

import { ask } from "../controls/api.js";

const LOOKED_AT = 50;

// Undo what I have done last, as far as it can be undone. The event of what was undone; null when there is none.
// Errors: `Problem`.
export async function undoMyLast(sessionId, myId) {
  const mine = await myEvents(sessionId, myId);
  return undo(mine.find((event) => event.undo !== null && event.undoes === null));
}

// Do again what I have undone last, unless I have done something else since.
export async function redoMyLast(sessionId, myId) {
  const [last] = await myEvents(sessionId, myId);
  return undo(last && last.undoes !== null && last.undo !== null ? last : undefined);
}

async function myEvents(sessionId, myId) {
  const { events } = await ask("GET", `/api/sessions/${sessionId}/activity?limit=${LOOKED_AT}`);
  return events.filter(({ actor }) => actor.id === myId);
}

async function undo(event) {
  if (!event) return null;
  await ask("POST", event.undo.url);
  return event;
}
