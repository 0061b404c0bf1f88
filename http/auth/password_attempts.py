"""Password attempts: which may be checked now, which wait, and which are refused (SPEC 4).

Five wrong passwords a minute are checked for each account and for each address, and no sixth, however many come at once
and in however many processes. A slot is reserved in the guard before the check and released when the password was
right. So an attempt counts once it has failed. While others for the same account or address are being checked, it waits
for their result, in order of arrival.

Overload: `WAITING_PER_NAME` wait for one account or address, `WAITING` in this process, `WAIT_S` each; further ones get
503. Crash: a running attempt counts as failed. Guard down: nobody gets in (503).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from omnisonic.errors import Unavailable
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.stores.guard import UNDER_WAY, Guard

TRIES: Final = 5
"""Wrong passwords within `WINDOW_S` for one account, and from one address."""
WINDOW_S: Final = 60.0
BY_ACCOUNT: Final = "password by account"
BY_ADDRESS: Final = "password by address"
WAITING_PER_NAME: Final = 64
WAITING: Final = 256
WAIT_S: Final = 20.0
"""Longest wait for a slot of one name."""
POLL_S: Final = 0.05
"""How often the first in the queue asks for a slot, which another process may have released."""
LONGEST_ATTEMPT_S: Final = 60.0
"""An attempt that takes longer counts as failed: two waits and the check."""
SLOT_BYTES: Final = 12

_Name: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class PasswordAttempt:
    """A password that may be checked now. `is_good` is what the check has found: None before its end."""

    is_good: bool | None = None


@dataclass(slots=True)
class _Queue:
    """The attempts that wait for a slot of one name."""

    length: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class PasswordAttempts:
    """Counts attempts in `guard`. One for each process."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._queues: dict[_Name, _Queue] = {}
        self._waiting = 0

    @asynccontextmanager
    async def start(self, email: str, address: str) -> AsyncIterator[PasswordAttempt]:
        """Make one attempt for the account with this e-mail, from this address, around the check of the password.

        It counts unless `is_good` is set or the check fails on our side (`Unavailable`) or is cancelled before its end.
        Raises `Refusal` (429 `too_many_tries`) or `Unavailable`.
        """
        slot = secrets.token_hex(SLOT_BYTES)
        reserved: list[_Name] = []
        attempt = PasswordAttempt()
        try:
            for name in ((BY_ADDRESS, address), (BY_ACCOUNT, email.lower())):
                # It may be reserved even when the guard did not answer.
                reserved.append(name)
                await self._reserve(name, slot)
            yield attempt
        except (Unavailable, Refusal, asyncio.CancelledError):
            # Before the end of the check nobody has learnt whether the password is right.
            await self._settle(reserved, slot, counts=attempt.is_good is False)
            raise
        await self._settle(reserved, slot, counts=not attempt.is_good)

    async def _reserve(self, name: _Name, slot: str) -> None:
        wait_s = UNDER_WAY if name in self._queues else await self._try_reserve(name, slot)
        if wait_s == UNDER_WAY:
            wait_s = await self._wait(name, slot)
        if wait_s > 0:
            headers = retry_after(wait_s)
            raise Refusal(429, "too_many_tries", "Too many attempts. Wait a minute, then try again.", headers=headers)

    async def _wait(self, name: _Name, slot: str) -> float:
        """Wait in the queue for a slot or a refusal: as `Guard.reserve`, but never `UNDER_WAY`."""
        if self._waiting >= WAITING:
            raise _too_many()
        queue = self._queues.setdefault(name, _Queue())
        if queue.length >= WAITING_PER_NAME:
            raise _too_many()
        queue.length += 1
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S), queue.turn:
                while True:
                    wait_s = await self._try_reserve(name, slot)
                    if wait_s != UNDER_WAY:
                        return wait_s
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise _too_many() from None
        finally:
            queue.length -= 1
            self._waiting -= 1
            if not queue.length:
                self._queues.pop(name, None)

    async def _try_reserve(self, name: _Name, slot: str) -> float:
        return await self._guard.reserve(*name, slot, limit=TRIES, window_s=WINDOW_S, longest_s=LONGEST_ATTEMPT_S)

    async def _settle(self, names: list[_Name], slot: str, *, counts: bool) -> None:
        for name in names:
            # A slot that is not settled counts as failed: the next minute is only stricter.
            with suppress(Unavailable):
                await self._guard.resolve(*name, slot, counts=counts)


def _too_many() -> Unavailable:
    return Unavailable("Too many people are signing in right now. Try again in a moment.", retry_after_s=2.0)
