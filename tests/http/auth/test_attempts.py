"""Attempts at a secret, each for a name that others try as well (`omnisonic.http.auth.attempts`)."""

import asyncio
import contextlib
from typing import Final

import pytest

from omnisonic.errors import Unavailable
from omnisonic.http.auth import attempts as module
from omnisonic.http.auth.attempts import UNSETTLED, Attempts, Limit, Name
from omnisonic.http.core.errors import Refusal
from omnisonic.stores.guard.memory import MemoryGuard

NAME: Final[Name] = ("operator", "198.51.100.7")
TRIES: Final = 3


class DeafGuard(MemoryGuard):
    """A guard that hears of no end of an attempt while it `is_deaf`."""

    is_deaf = False

    async def resolve(self, kind: str, name: str, slot: str, *, counts: bool) -> None:
        if self.is_deaf:
            raise Unavailable("Nobody is home.")
        await super().resolve(kind, name, slot, counts=counts)


def attempts_in(guard: MemoryGuard, *, tries: int = TRIES) -> Attempts:
    return Attempts(guard, Limit(tries, 60.0, waiting=10, refusal="Too many.", overload="Too many at once."))


async def make(attempts: Attempts, *, is_good: bool, name: Name = NAME) -> None:
    """Make an attempt, which waits for none that never ends."""
    async with asyncio.timeout(5), attempts.make(name) as attempt:
        attempt.is_good = is_good


def test_an_end_that_the_guard_has_not_heard_of_is_told_again() -> None:
    """The right secret is accepted meanwhile, and as often as one likes afterwards; wrong ones count as ever."""

    async def run() -> None:
        guard = DeafGuard(lambda: 0.0)
        attempts = attempts_in(guard)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(TRIES):
                (await stack.enter_async_context(attempts.make(NAME))).is_good = True
            guard.is_deaf = True
        guard.is_deaf = False
        for _ in range(2 * TRIES):
            await make(attempts, is_good=True)
        for _ in range(TRIES):
            await make(attempts, is_good=False)
        with pytest.raises(Refusal, match="Too many"):
            await make(attempts, is_good=True)

    asyncio.run(run())


def test_while_the_guard_does_not_hear_nobody_is_checked_in_vain_and_little_is_remembered() -> None:
    """The next attempt for the name is 503 before its check. What is remembered for all names is bounded."""

    async def run() -> None:
        guard = DeafGuard(lambda: 0.0)
        attempts = attempts_in(guard)
        guard.is_deaf = True
        for number in range(2 * UNSETTLED):
            await make(attempts, is_good=True, name=("operator", str(number)))
        assert len(attempts._unsettled) == UNSETTLED
        for _ in range(TRIES + 1):
            with pytest.raises(Unavailable, match="Nobody is home"):
                await make(attempts, is_good=True, name=("operator", str(2 * UNSETTLED - 1)))
        assert len(attempts._unsettled) == UNSETTLED

    asyncio.run(run())


def test_who_waits_goes_on_when_another_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told in this process, and need not ask the guard again and again."""
    monkeypatch.setattr(module, "POLL_S", 3600.0)

    async def run() -> None:
        attempts = attempts_in(MemoryGuard(), tries=1)
        async with attempts.make(NAME) as first:
            others = [asyncio.create_task(make(attempts, is_good=True)) for _ in range(5)]
            await asyncio.sleep(0)
            assert attempts._waiting == len(others)
            first.is_good = True
        await asyncio.gather(*others)

    asyncio.run(run())
