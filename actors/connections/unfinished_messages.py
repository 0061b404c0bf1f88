"""Unfinished messages: what clients have begun to send and not ended yet, wherever its bytes are (SPEC 5.4).

Owned by the watch; connections tell it, and only when there is something unfinished. It holds no bytes, it counts them.

Overload: over the budget connections are closed until a good part of it is free again, those first whose messages are
the largest and the oldest: who sends a message of a legal size at once is among the last. A message that does not end
within its time closes its connection, too. Crash and
shutdown: nothing to do, everything here ends with its connection.
"""

from typing import Final, Protocol

from omnisonic.wire.closing import CloseCode, Closing

UNFINISHED_BYTES: Final = 8_388_608
"""What all unfinished messages may have together. Text takes up to four times its bytes on the detour."""
FREED_SHARE: Final = 0.25
"""The part of the budget that is made free when it is used up, so that one look at everybody is worth it."""
WEIGHT_DOUBLES_S: Final = 2.0
"""A message that is unfinished for so long weighs twice its bytes, and so on."""


class Sender(Protocol):
    """A connection that has begun a message."""

    def give_up(self, closing: Closing) -> None:
        """Close, and drop what is unfinished at once."""
        ...


class UnfinishedMessages:
    """Who has begun a message (or a handshake) when, and how much of it has come. `size` is what all have together."""

    def __init__(self, within_s: float, budget_bytes: int = UNFINISHED_BYTES) -> None:
        self.size = 0
        self._within_s = within_s
        self._budget_bytes = budget_bytes
        self._begun: dict[Sender, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._begun)

    def note(self, sender: Sender, size: int, now_s: float, *, is_new: bool) -> None:
        """Of what `sender` has begun `size` bytes are here; 0 when it is whole. `is_new`: it began just now."""
        begun_s, before = self._begun.get(sender, (now_s, 0))
        if size == 0 or is_new:
            self.discard(sender)
            begun_s, before = now_s, 0
        if size:
            self._begun[sender] = begun_s, size
            self.size += size - before
        if self.size > self._budget_bytes:
            self._free_budget(now_s)

    def discard(self, sender: Sender) -> None:
        """Forget it, if it is known."""
        self.size -= self._begun.pop(sender, (0.0, 0))[1]

    def close_overdue(self, now_s: float) -> None:
        """Close those whose message has not ended in time."""
        while self._begun:
            oldest, (begun_s, _) = next(iter(self._begun.items()))
            if begun_s + self._within_s > now_s:
                return
            self._give_up(oldest, "a message was not finished in time")

    def _free_budget(self, now_s: float) -> None:
        def weight(sender: Sender) -> float:
            begun_s, size = self._begun[sender]
            return size * (1 + (now_s - begun_s) / WEIGHT_DOUBLES_S)

        for sender in sorted(self._begun, key=weight, reverse=True):
            if self.size <= self._budget_bytes * (1 - FREED_SHARE):
                return
            self._give_up(sender, "too many messages are unfinished here")

    def _give_up(self, sender: Sender, why: str) -> None:
        self.discard(sender)
        sender.give_up(Closing(CloseCode.TRY_AGAIN_LATER, why))
