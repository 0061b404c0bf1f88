"""Deadlines: many things that are due, each at a time of its own. Pure.

Things that are due at about the same time are kept together, so setting, discarding and looking cost the same however
many things there are, and no task or timer of its own is needed for any of them.
"""

import math
from typing import Final, Generic, TypeVar

PRECISION_S: Final = 0.1

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Things with a deadline each. A thing falls due up to `PRECISION_S` after its deadline, and never before."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[T, None]] = {}
        self._slot_of: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    def set(self, thing: T, due_s: float) -> None:
        """`thing` is due at `due_s`, whenever it was due before."""
        self.discard(thing)
        self._slot_of[thing] = slot = math.ceil(due_s / PRECISION_S)
        self._slots.setdefault(slot, {})[thing] = None

    def discard(self, thing: T) -> None:
        """Forget `thing`, if it is known."""
        slot = self._slot_of.pop(thing, None)
        if slot is not None:
            things = self._slots[slot]
            del things[thing]
            if not things:
                del self._slots[slot]

    def take_due(self, now_s: float) -> list[T]:
        """Everything that is due, in the order of the deadlines; it is forgotten with that."""
        due: list[T] = []
        for slot in sorted(slot for slot in self._slots if slot * PRECISION_S <= now_s):
            due += self._slots.pop(slot)
        for thing in due:
            del self._slot_of[thing]
        return due
