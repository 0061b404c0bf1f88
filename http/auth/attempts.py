"""Attempts at a secret: which may be checked now, which wait, and which are refused (SPEC 4).

Only so many wrong ones within a time are checked for each name, such as an account or an address, and no further one,
however many come at once and in however many processes. A slot is reserved in the guard before the check and released
when the secret was right. So an attempt counts once it has failed. While others for the same name are being checked, it
waits for their result, in order of arrival.

Overload: `Limit.waiting` wait for one name, `WAITING` for all that one object counts, `WAIT_S` each; further ones get
503. Crash: a running attempt counts as failed. Guard down: nobody is let in (503). When the guard does not take note
that an attempt does not count, the next attempt for its name tells it again; it knows of `UNSETTLED` of these at most.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from omnisonic.errors import Unavailable
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.stores.guard import UNDER_WAY, Guard

WAITING: Final = 256
WAIT_S: Final = 20.0
"""Longest wait for a slot of one name."""
POLL_S: Final = 0.05
"""How often the first in the queue asks for a slot at least: another process may have released one."""
LONGEST_ATTEMPT_S: Final = 60.0
"""An attempt that takes longer counts as failed: two waits and the check."""
UNSETTLED: Final = 256
SLOT_BYTES: Final = 12

Name: TypeAlias = tuple[str, str]
"""The kind of a name, and the name."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many wrong secrets are checked for one name within a time, and how many others may wait.

    `refusal` is what they are told after too many wrong ones, `overload` while too many wait.
    """

    tries: int
    window_s: float
    waiting: int
    refusal: str
    overload: str


@dataclass(slots=True)
class Attempt:
    """A secret that may be checked now. `is_good` is what the check has found: None before its end."""

    is_good: bool | None = None


@dataclass(slots=True)
class _Queue:
    """The attempts that wait for a slot of one name. `released` is set when this process has released one."""

    length: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Slot:
    """The caller's name for an attempt in the guard, and for whom it may be reserved there."""

    id: str = field(default_factory=lambda: secrets.token_hex(SLOT_BYTES))
    names: set[Name] = field(default_factory=set)


class Attempts:
    """Counts attempts in `guard`. One for each process and kind of secret."""

    def __init__(self, guard: Guard, limit: Limit) -> None:
        self._guard = guard
        self._limit = limit
        self._queues: dict[Name, _Queue] = {}
        self._waiting = 0
        self._unsettled = deque[tuple[Name, str]](maxlen=UNSETTLED)

    @asynccontextmanager
    async def make(self, *names: Name) -> AsyncIterator[Attempt]:
        """Make one attempt that counts for each of these names, around the check of the secret.

        It counts unless `is_good` is set or the check fails on our side (`Unavailable`) or is cancelled before its end.
        Raises `Refusal` (429 `too_many_tries`) or `Unavailable`.
        """
        slot, attempt = _Slot(), Attempt()
        try:
            for name in names:
                await self._reserve(name, slot)
            yield attempt
        except (Unavailable, Refusal, asyncio.CancelledError):
            # Before the end of the check nobody has learnt whether the secret is right.
            await self._settle(slot, counts=attempt.is_good is False)
            raise
        await self._settle(slot, counts=not attempt.is_good)

    async def _reserve(self, name: Name, slot: _Slot) -> None:
        wait_s = UNDER_WAY if name in self._queues else await self._try_reserve(name, slot)
        if wait_s == UNDER_WAY:
            wait_s = await self._wait(name, slot)
        if wait_s > 0:
            raise Refusal(429, "too_many_tries", self._limit.refusal, headers=retry_after(wait_s))

    async def _wait(self, name: Name, slot: _Slot) -> float:
        """Wait in the queue for a slot or a refusal: as `Guard.reserve`, but never `UNDER_WAY`."""
        if self._waiting >= WAITING:
            raise self._overloaded()
        queue = self._queues.setdefault(name, _Queue())
        if queue.length >= self._limit.waiting:
            raise self._overloaded()
        queue.length += 1
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S), queue.turn:
                while True:
                    queue.released.clear()
                    wait_s = await self._try_reserve(name, slot)
                    if wait_s != UNDER_WAY:
                        return wait_s
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL_S):
                            await queue.released.wait()
        except TimeoutError:
            raise self._overloaded() from None
        finally:
            queue.length -= 1
            self._waiting -= 1
            if not queue.length:
                self._queues.pop(name, None)

    async def _try_reserve(self, name: Name, slot: _Slot) -> float:
        await self._settle_late(name)
        slot.names.add(name)  # it may be reserved even when the guard does not answer
        wait_s = await self._guard.reserve(
            *name, slot.id, limit=self._limit.tries, window_s=self._limit.window_s, longest_s=LONGEST_ATTEMPT_S
        )
        if wait_s:
            slot.names.discard(name)
        return wait_s

    async def _settle(self, slot: _Slot, *, counts: bool) -> None:
        for name in slot.names:
            try:
                await self._guard.resolve(*name, slot.id, counts=counts)
            except Unavailable:
                # It counts as failed then: the next minute is only stricter.
                if not counts:
                    self._unsettled.append((name, slot.id))
            if name in self._queues:
                self._queues[name].released.set()

    async def _settle_late(self, name: Name) -> None:
        """Uncount what the guard has taken no note of. Raises `Unavailable`."""
        for unsettled in [each for each in self._unsettled if each[0] == name]:
            await self._guard.resolve(*name, unsettled[1], counts=False)
            with suppress(ValueError):  # another attempt has done the same
                self._unsettled.remove(unsettled)

    def _overloaded(self) -> Unavailable:
        return Unavailable(self._limit.overload, retry_after_s=2.0)
