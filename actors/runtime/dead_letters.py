"""Dead letters: messages that crashed a room or could not be delivered, kept for operators (DESIGN 3).

A ring: the newest push out the oldest. Owned by the gateway, written by the actors of its rooms. Lost at shutdown.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from omnisonic.models import MemberId, RoomId
from omnisonic.wire.frames import Frame

LETTERS: Final = 128
"""How many are kept; each holds at most one message of 64 KiB."""


class _Typed(msgspec.Struct):
    type: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was taken out. `frame` is the client's message; None when it was control mail."""

    room_id: RoomId
    incarnation: int
    sender: MemberId | None
    kind: str
    frame: Frame | None
    reason: str
    at_ms: int

    @property
    def type(self) -> str:
        """The message's type, or the kind of control mail."""
        if self.frame is None:
            return self.kind
        try:
            return msgspec.json.decode(self.frame[1], type=_Typed).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.kind


class DeadLetters:
    """The ring."""

    def __init__(self, most: int = LETTERS) -> None:
        self._letters: deque[DeadLetter] = deque(maxlen=most)
        self._replayed: set[int] = set()
        self.total = 0

    def add(self, letter: DeadLetter) -> None:
        self._letters.append(letter)
        self.total += 1
        self._replayed.discard(self.total - len(self._letters))  # the number of the one that was pushed out

    def of(self, room_id: RoomId) -> list[DeadLetter]:
        """The letters of one room, oldest first."""
        return [letter for letter in self._letters if letter.room_id == room_id]

    def numbered(self) -> Iterator[tuple[int, DeadLetter]]:
        """Every dead letter with its number, which does not change; the first one ever was 1."""
        return enumerate(list(self._letters), self.total - len(self._letters) + 1)

    def mark_replayed(self, number: int) -> None:
        """Note that this letter was sent to its room again."""
        self._replayed.add(number)

    def is_replayed(self, number: int) -> bool:
        """Whether this letter was sent to its room again."""
        return number in self._replayed

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(self._letters)

    def __len__(self) -> int:
        return len(self._letters)
