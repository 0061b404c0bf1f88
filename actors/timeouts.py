"""Timeouts: many things that are due after the same delay, in the order they were begun. Pure.

Since the delay is the same for all, the oldest is always due first: adding, discarding and looking cost the same
however many there are, and no task or timer of its own is needed for any of them.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Timeouts(Generic[T]):
    """Things that are due `delay_s` seconds after they were added."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self._due_s: dict[T, float] = {}

    def __len__(self) -> int:
        return len(self._due_s)

    def __iter__(self) -> Iterator[T]:
        return iter(self._due_s)

    def add(self, thing: T, now_s: float) -> None:
        """Begin, or begin again, the delay of `thing`."""
        self._due_s.pop(thing, None)
        self._due_s[thing] = now_s + self.delay_s

    def discard(self, thing: T) -> None:
        """Forget `thing`, if it is known."""
        self._due_s.pop(thing, None)

    def take_due(self, now_s: float) -> list[T]:
        """Everything that is due, oldest first; it is forgotten with that."""
        due = []
        for thing, due_s in self._due_s.items():
            if due_s > now_s:
                break
            due.append(thing)
        for thing in due:
            del self._due_s[thing]
        return due
