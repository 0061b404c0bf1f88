"""Password attempts that are broken off or refused (SPEC 4)."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import pytest

from omnisonic.errors import Unavailable
from omnisonic.http.auth.attempts import WAITING
from omnisonic.http.auth.password_attempts import TRIES, WAITING_PER_NAME, PasswordAttempts
from omnisonic.http.core.errors import Refusal
from omnisonic.stores.guard.memory import MemoryGuard

EMAIL: Final = "ada@example.com"
ADDRESS: Final = "198.51.100.7"


async def check(attempts: PasswordAttempts, *, finds: bool | None, email: str = EMAIL, address: str = ADDRESS) -> None:
    """Make an attempt whose check finds this, and then wait for ever."""
    async with attempts.start(email, address) as attempt:
        attempt.is_good = finds
        await asyncio.Event().wait()


async def begun(checks: list[Coroutine[Any, Any, None]]) -> list[asyncio.Task[None]]:
    """Tasks for these, all at the place where they wait."""
    tasks = [asyncio.create_task(each) for each in checks]
    await asyncio.sleep(0)
    return tasks


async def cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_an_attempt_that_is_cancelled_before_the_end_of_its_check_does_not_count() -> None:
    """Nobody has learnt anything: the next may try at once."""

    async def run() -> None:
        attempts = PasswordAttempts(MemoryGuard(lambda: 0.0))
        await cancelled(await begun([check(attempts, finds=None) for _ in range(TRIES)]))
        async with asyncio.timeout(5), attempts.start(EMAIL, ADDRESS) as attempt:
            attempt.is_good = True

    asyncio.run(run())


def test_a_bad_password_counts_though_its_attempt_is_cancelled() -> None:
    """After the end of the check it may have been learnt."""

    async def run() -> None:
        attempts = PasswordAttempts(MemoryGuard(lambda: 0.0))
        await cancelled(await begun([check(attempts, finds=False) for _ in range(TRIES)]))
        with pytest.raises(Refusal, match="Too many attempts"):
            async with asyncio.timeout(5), attempts.start(EMAIL, ADDRESS):
                pass

    asyncio.run(run())


def test_an_attempt_that_may_not_wait_leaves_nothing_behind() -> None:
    """As many wait as may, and others come from ever new addresses."""

    async def run() -> None:
        attempts = PasswordAttempts(MemoryGuard(lambda: 0.0))
        sites = WAITING // WAITING_PER_NAME
        names = [(f"{person}@{site}", str(site)) for site in range(sites) for person in range(TRIES + WAITING_PER_NAME)]
        others = [(f"{person}@other", "other") for person in range(TRIES)]
        tasks = await begun(
            [check(attempts, finds=None, email=email, address=address) for email, address in names + others]
        )
        with pytest.raises(Unavailable):
            await check(attempts, finds=None, address="other")
        assert set(attempts._attempts._queues) == {("password by address", str(site)) for site in range(sites)}
        await cancelled(tasks)
        assert not attempts._attempts._queues

    asyncio.run(run())
