"""The history of a room: the last messages that were relayed to everybody, for members who come back. Pure (DESIGN 7).

It holds the bytes that were relayed, not copies. Messages to one member, presence and binary messages are not in it.
Owned by the room's actor, which adds what a turn has relayed and keeps it when the room crashes. Overload: bounded by
number, bytes and age; the oldest go first. Shutdown: see `omnisonic.actors.rooms.memory`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from omnisonic.wire.recovery import HistoryGap, Position

MARKS: Final = 64
"""How many times are kept with the messages: their age is known as exactly as that."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """What a room remembers: messages, bytes of them, and for how many seconds. No messages: nothing."""

    messages: int = 512
    total_bytes: int = 1_048_576
    age_s: float = 300.0


class History:
    """The newest messages of one room. `last` is the offset of the newest; `size` their bytes."""

    __slots__ = ("_contents", "_limits", "_marks", "last", "size")

    def __init__(self, limits: HistoryLimits, last: int = 0) -> None:
        self.last = last
        self.size = 0
        self._limits = limits
        self._contents: deque[bytes] | None = None
        self._marks: deque[tuple[float, int]] | None = None
        """When, at the latest, the message of which offset was said; not every message has a mark."""

    def __len__(self) -> int:
        return 0 if self._contents is None else len(self._contents)

    @property
    def last_s(self) -> float:
        """About when the newest message was said; 0 when that is not known."""
        return self._marks[-1][0] if self._marks else 0.0

    @property
    def first_s(self) -> float:
        """When, at the latest, the oldest message was said; 0 when that is not known."""
        return self._marks[0][0] if self._marks else 0.0

    @property
    def first(self) -> int:
        """The offset of the oldest message that is known; one more than `last` when there is none."""
        return self.last - len(self) + 1

    def add(self, contents: Sequence[bytes]) -> None:
        """Add messages, which got the next offsets."""
        self.last += len(contents)
        limits = self._limits
        if not limits.messages:
            return
        known = self._contents
        if known is None:
            known = self._contents = deque()
        known.extend(contents)
        size = self.size
        for content in contents:
            size += len(content)
        most_bytes, excess = limits.total_bytes, len(known) - limits.messages
        while excess > 0 or size > most_bytes:
            size -= len(known.popleft())
            excess -= 1
        self.size = size

    def restore(self, contents: Sequence[bytes], last: int) -> None:
        """Begin with these messages, which were kept elsewhere; `last` is the offset of the newest."""
        self._contents, self._marks, self.size = None, None, 0
        self.last = last - len(contents)
        self.add(contents)

    def expire(self, now_s: float) -> None:
        """Forget what is older than it may be. Called regularly; age is as exact as that."""
        if not self._contents:
            return
        marks, limits = self._marks, self._limits
        if marks is None:
            marks = self._marks = deque()
        if not marks or (marks[-1][1] != self.last and now_s - marks[-1][0] >= limits.age_s / MARKS):
            marks.append((now_s, self.last))
        while marks and marks[0][0] + limits.age_s <= now_s:
            self.forget_to(marks.popleft()[1])

    def forget_to(self, offset: int) -> None:
        """Forget the messages up to this offset."""
        contents = self._contents
        while contents and self.first <= offset:
            self.size -= len(contents.popleft())
        if not contents:
            self._contents = self._marks = None

    def after(self, offset: int) -> list[bytes]:
        """The messages after this offset, as far as they are known."""
        contents = self._contents
        if contents is None:
            return []
        wanted = self.last - offset
        if wanted < len(contents) // 2:  # from the nearer end
            newest = list(islice(reversed(contents), max(0, wanted)))
            newest.reverse()
            return newest
        return list(islice(contents, max(0, len(contents) - wanted), None))


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a member who comes back gets: the messages after `after`; `gap` says what they have missed for good."""

    is_complete: bool
    after: int
    gap: HistoryGap | None = None


def plan_recovery(since: Position, epoch: str, parents: Sequence[Position], first: int, last: int) -> Recovery:
    """Plan the recovery of a member who has seen everything up to `since`.

    Args:
        since: What the member has seen.
        epoch: The room's epoch.
        parents: Earlier epochs, each with the offset up to which this one has its messages.
        first: The offset of the oldest message that is known.
        last: The offset of the newest.
    """
    if since.epoch == epoch and since.offset <= last:
        if since.offset >= first - 1:
            return Recovery(True, since.offset)
        return Recovery(False, first - 1, HistoryGap(epoch, since.offset + 1, first - 1, first - 1 - since.offset))
    for parent in parents:
        if parent.epoch == since.epoch:
            after = max(min(since.offset, parent.offset), first - 1)
            lost_from = since.offset if since.offset < first - 1 else max(since.offset, parent.offset)
            return Recovery(False, after, HistoryGap(since.epoch, lost_from + 1, None, None))
    after = last if since.epoch == epoch else first - 1
    return Recovery(False, after, HistoryGap(since.epoch, since.offset + 1, None, None))
