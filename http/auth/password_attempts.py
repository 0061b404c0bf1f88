"""Tries of passwords: who may have one checked now, who waits, and who comes back later (SPEC 4).

Five bad ones a minute are checked for each account and for each address, and no sixth, however many come at once and to
however many processes: a slot is reserved in the guard before the check, and given back when the password was right. So
a try counts once it has failed; while others of the same account or address are being checked, it waits for what
becomes of them, first come, first served.

Overload: `WAITING_PER_NAME` wait for one account or address, `WAITING` in this process, `WAIT_S` each; who comes then
is told to come again (503). Crash: a try that was under way counts as failed. Guard down: nobody passes (503).
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
"""Bad passwords within `WINDOW_S` for one account, and from one address."""
WINDOW_S: Final = 60.0
BY_ACCOUNT: Final = "password by account"
BY_ADDRESS: Final = "password by address"
WAITING_PER_NAME: Final = 64
WAITING: Final = 256
WAIT_S: Final = 20.0
"""Longest that anybody waits for a slot of one kind."""
ASK_AGAIN_S: Final = 0.05
"""How often whoever is first in line asks for a slot: those who had one may have been in another process."""
LONGEST_TRY_S: Final = 60.0
"""A try that is not over by then is taken for failed: twice the wait, and the check."""
SLOT_BYTES: Final = 12

_Name: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class PasswordAttempt:
    """A password that may be checked. It is taken for a bad one until somebody says otherwise."""

    is_good: bool = False


@dataclass(slots=True)
class _Line:
    """Those who wait for a slot of one name."""

    length: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class PasswordAttempts:
    """Counts the tries in `guard`. One for each process."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._lines: dict[_Name, _Line] = {}
        self._waiting = 0

    @asynccontextmanager
    async def one(self, email: str, address: str) -> AsyncIterator[PasswordAttempt]:
        """One try for the account with this e-mail from this address: it counts unless it `is_good`, or breaks on our
        side (`Unavailable`). Errors: `Refusal` 429 `too_many_tries`; `Unavailable`.
        """
        slot = secrets.token_hex(SLOT_BYTES)
        held: list[_Name] = []
        attempt = PasswordAttempt()
        try:
            for name in ((BY_ADDRESS, address), (BY_ACCOUNT, email.lower())):
                # Also one that nobody answered for may be reserved.
                held.append(name)
                await self._reserve(name, slot)
            yield attempt
        except (Unavailable, Refusal):
            # Nobody has learnt anything.
            await self._settle(held, slot, counts=False)
            raise
        await self._settle(held, slot, counts=not attempt.is_good)

    async def _reserve(self, name: _Name, slot: str) -> None:
        wait_s = UNDER_WAY if name in self._lines else await self._ask(name, slot)
        if wait_s == UNDER_WAY:
            wait_s = await self._wait(name, slot)
        if wait_s > 0:
            headers = retry_after(wait_s)
            raise Refusal(429, "too_many_tries", "Too many attempts. Wait a minute, then try again.", headers=headers)

    async def _wait(self, name: _Name, slot: str) -> float:
        """Stand in line until there is a slot, or none to be had: as `Guard.reserve`, but never `UNDER_WAY`."""
        line = self._lines.setdefault(name, _Line())
        if line.length >= WAITING_PER_NAME or self._waiting >= WAITING:
            raise _too_many()
        line.length += 1
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S), line.turn:
                while True:
                    wait_s = await self._ask(name, slot)
                    if wait_s != UNDER_WAY:
                        return wait_s
                    await asyncio.sleep(ASK_AGAIN_S)
        except TimeoutError:
            raise _too_many() from None
        finally:
            line.length -= 1
            self._waiting -= 1
            if not line.length:
                self._lines.pop(name, None)

    async def _ask(self, name: _Name, slot: str) -> float:
        return await self._guard.reserve(*name, slot, limit=TRIES, window_s=WINDOW_S, longest_s=LONGEST_TRY_S)

    async def _settle(self, names: list[_Name], slot: str, *, counts: bool) -> None:
        for name in names:
            # What is not settled counts: it only makes the next minute stricter.
            with suppress(Unavailable):
                await self._guard.resolve(*name, slot, counts=counts)


def _too_many() -> Unavailable:
    return Unavailable("Too many people are signing in right now. Try again in a moment.", retry_after_s=2.0)
