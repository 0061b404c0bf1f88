"""Housekeeping: on a real database, and on a store that fails; the time between sweeps is the test's own."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import pytest

from omnisonic.accounts.postgres import PostgresAccounts
from omnisonic.database.pool import Database
from omnisonic.errors import Unavailable
from omnisonic.housekeeping import JITTER, RETRY_S, SWEEP_S, keep_house
from tests.postgres_server import blocking

DEADLINE_S: Final = 20.0


class Enough(Exception):
    """The test has seen what it wanted."""


class Naps:
    """Stands for sleeping: notes for how long, and ends the test with the last of `rounds`."""

    def __init__(self, rounds: int) -> None:
        self.taken_s: list[float] = []
        self._rounds = rounds

    async def __call__(self, for_s: float) -> None:
        self.taken_s.append(for_s)
        if len(self.taken_s) == self._rounds:
            raise Enough


class Failing(PostgresAccounts):
    """A store whose sweeps raise these in turn, and then delete nothing."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__(Database("postgresql://127.0.0.1:1/x"))
        self._failures = list(failures)

    async def sweep(self) -> int:
        if self._failures:
            raise self._failures.pop(0)
        return 0


def kept(accounts: PostgresAccounts, *, rounds: int, chance: Callable[[], float] = lambda: 0.0) -> list[float]:
    """Keep house for some rounds; the times that it would have slept."""
    naps = Naps(rounds)

    async def run() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await keep_house(accounts, sleep=naps, chance=chance)

    with pytest.raises(Enough):
        blocking(run())
    return naps.taken_s


def test_it_sweeps_at_once_and_deletes_what_has_run_out(database_url: str) -> None:
    """A sign-in that was not used for a day goes; one of today stays."""

    async def run() -> list[str]:
        database = Database(database_url)
        await database.open()
        try:
            accounts = PostgresAccounts(database)
            user = await accounts.register("ada@example.com", "x")
            for _ in range(2):
                await accounts.open_login(user)
            await _age_one(database_url)
            with pytest.raises(Enough):
                await keep_house(accounts, sleep=Naps(1))
            return [str(row["id"]) for row in await database.rows("SELECT id FROM logins")]
        finally:
            await database.aclose()

    assert len(blocking(run())) == 1


async def _age_one(url: str) -> None:
    connection: Any = await asyncpg.connect(url)
    await connection.execute(
        "UPDATE logins SET seen_at = now() - interval '1 day', created_at = now() - interval '1 day' "
        "WHERE id = (SELECT min(id) FROM logins)"
    )
    await connection.close()


def test_what_fails_is_tried_again_sooner(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away, and a defect alike; both are told, and the next sweep is as usual."""
    taken_s = kept(Failing(Unavailable("The database is away."), ZeroDivisionError()), rounds=3)
    assert taken_s == [RETRY_S, RETRY_S, SWEEP_S]
    assert [record.message for record in caplog.records] == ["housekeeping.postponed", "housekeeping.failed"]


def test_workers_that_start_together_do_not_sweep_together_for_ever() -> None:
    """A part of the time is left to chance."""
    chances = iter([0.0, 0.5, 1.0])
    taken_s = kept(Failing(), rounds=3, chance=lambda: next(chances))
    assert taken_s == pytest.approx([SWEEP_S, SWEEP_S * (1 + JITTER / 2), SWEEP_S * (1 + JITTER)])
