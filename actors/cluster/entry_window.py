"""How many members enter rooms at one owner at once (SPEC 5.5).

Who enters gets a `welcome` with a line for every member, and what they have missed. That may be megabytes for each, and
goes over the one link with the owner. So members enter a room a few at a time (`entry_limit`): the first one alone, and
then as many as get `WINDOW_BYTES` together, by what the last one got.

Rooms do not wait for each other, until the link was reset. It may have had no place for all that they got together, so
they enter again under one window (`EntryWindow`), which has `WINDOW_BYTES` for all of them. That ends when nobody waits
any more, and when nobody has entered for `STUCK_S`: a room may be held up for reasons of its own.

Owned by the edge rooms of one owner; plain calls, on the trio thread. Overload: rooms wait in turn. Crash and shutdown:
with the edge rooms.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from omnisonic.actors.rooms.batch import Edit

WINDOW_BYTES: Final = 4_194_304
"""What may be on its way to those who enter. One may enter in any case."""
ENTERING: Final = 8
"""The most members of one room who enter at once."""
STUCK_S: Final = 5.0


def entry_limit(expected: int | None) -> int:
    """How many may enter a room at once, of whom each gets `expected` bytes. None: nobody has entered yet."""
    return 1 if expected is None else max(1, min(ENTERING, WINDOW_BYTES // max(1, expected)))


def entry_size(frame: bytes, replay: Sequence[bytes], edits: Sequence[Edit]) -> int:
    """How many bytes somebody got who has entered: their `welcome`, what they have missed, and edits of the stream."""
    return len(frame) + sum(map(len, replay)) + sum(len(instead) for _, _, instead in edits)


class WaitingRoom(Protocol):
    """A room in which members wait to enter."""

    def let_in(self) -> None:
        """Let members enter, as far as the window has place for them."""
        ...


class EntryWindow:
    """The window of one owner, for all its rooms with connections here. `is_open`: they do not wait for each other."""

    __slots__ = ("__weakref__", "_entering", "_has_moved", "_moved_at_s", "_size", "_waiting", "is_open")

    def __init__(self) -> None:
        self.is_open = True
        self._entering: dict[object, int] = {}
        """Who enters, and what they are expected to get."""
        self._size = 0
        self._waiting: dict[WaitingRoom, None] = {}
        self._has_moved = False
        self._moved_at_s = 0.0

    def narrow(self, now_s: float) -> None:
        """The link was reset: from now on rooms wait for each other."""
        self.is_open, self._moved_at_s = False, now_s

    def take(self, who: object, expected: int | None, room: WaitingRoom) -> bool:
        """Let somebody enter who is expected to get so many bytes; None when nobody knows.

        False when they have to wait: then the room is called when others have entered.
        """
        if self.is_open:
            return True
        size = WINDOW_BYTES if expected is None else expected
        if self._size and self._size + size > WINDOW_BYTES:
            self._waiting[room] = None
            return False
        self._entering[who] = size
        self._size += size
        return True

    def give_back(self, who: object) -> None:
        """Somebody who was let in has entered, or is gone."""
        self._size -= self._entering.pop(who, 0)
        self._has_moved = True

    def stop_waiting(self, room: WaitingRoom) -> None:
        """Do not call this room."""
        self._waiting.pop(room, None)

    def call_waiting(self) -> None:
        """Call the rooms in which members wait, as long as there is place, those first that have waited longest."""
        for room in list(self._waiting):
            if self._size >= WINDOW_BYTES:
                break
            self._waiting.pop(room, None)
            room.let_in()
        if not self._waiting and not self._entering:
            self.is_open = True

    def tick(self, now_s: float) -> None:
        """To be called several times a second: open the window when nobody enters any more."""
        if self.is_open:
            return
        if self._has_moved:
            self._has_moved, self._moved_at_s = False, now_s
        if now_s - self._moved_at_s >= STUCK_S:
            self.is_open = True
            self._entering.clear()
            self._size = 0
        self.call_waiting()
