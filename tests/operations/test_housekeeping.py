"""Housekeeping: on a real database and storage, and with chores that fail; the time between sweeps is made up."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from omnisonic.errors import Unavailable
from omnisonic.identity.logins import login_id
from omnisonic.models import ExportId, LoginId, UploadId
from omnisonic.operations.housekeeping import BATCH, JITTER, RETRY_S, SWEEP_S, Chore, all_chores, run_housekeeping
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.exports.export_queue import ExportQueue, Finished, Job
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.messages.message_store import MessageStore
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.uploads import ReceivedFile
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.uploads.upload_store import UploadStore
from omnisonic.studio.webhooks.delivery_queue import DeliveryQueue
from tests.patience import patient_timeout
from tests.postgres_server import PATIENT, blocking

DEADLINE_S: Final = 20.0
RETENTION: Final = timedelta(days=30)


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


class Failing:
    """A chore that raises these in turn, and then finds nothing to delete."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    async def __call__(self) -> int:
        if self._failures:
            raise self._failures.pop(0)
        return 0


def kept(todo: Mapping[str, Chore], *, rounds: int, chance: Callable[[], float] = lambda: 0.0) -> list[float]:
    """Keep house for some rounds; the times that it would have slept."""
    naps = Naps(rounds)

    async def run() -> None:
        async with patient_timeout(DEADLINE_S):
            await run_housekeeping(todo, sleep=naps, chance=chance)

    with pytest.raises(Enough):
        blocking(run())
    return naps.taken_s


@dataclass
class House:
    """A database and a storage, and somebody who uploads."""

    database: Database
    storage: LocalStorage
    accounts: AccountStore
    uploads: UploadStore
    resumables: ResumableStore
    folder: Path

    async def upload(self, login: LoginId) -> UploadId:
        """A file of five bytes, without a session."""
        key = f"uploads/{uuid4()}"
        await self.uploads.begin(login, key, session=None, size=5)
        await self.storage.put(key, chunks(b"sound"))
        received = ReceivedFile("a.wav", 5, "audio/x-wav", "00")
        return (await self.uploads.commit(login, str(uuid4()), key, received, session=None)).id

    async def begin_and_leave(self, login: LoginId) -> UploadId:
        """One of three pieces of a file."""
        key = f"pieces/{uuid4()}"
        resumable = await self.resumables.create(login, "b.wav", 15, None)
        await self.uploads.begin(login, key, session=None, size=5)
        await self.storage.put(key, chunks(b"piece"))
        await self.resumables.append(login, resumable.id, key, writer=0, offset=0, size=5)
        return resumable.id

    async def export(self, login: LoginId) -> ExportId:
        """A mixdown of a session of its own, made."""
        session = await PostgresSessions(self.database).create(login, "Jam")
        await ExportStore(self.database).create(login, session.id, "wav")
        queue, key = ExportQueue(self.database), f"exports/{uuid4()}"
        job = await queue.take()
        assert isinstance(job, Job)
        await queue.note(key)
        await self.storage.put(key, chunks(b"mix"))
        assert await queue.complete(job, Finished(key, 3, "00", 1.0, None, None))
        return job.export.id

    async def keep(self, *, message_retention: timedelta = timedelta()) -> None:
        """Do all chores once."""
        upkeep = UploadRetention(self.database)
        todo = all_chores(
            self.accounts,
            upkeep,
            ExportQueue(self.database),
            GarbageCollector(upkeep, self.storage),
            MessageStore(self.database),
            DeliveryQueue(self.database),
            upload_retention=RETENTION,
            export_retention=RETENTION / 2,
            message_retention=message_retention,
        )
        with pytest.raises(Enough):
            await run_housekeeping(todo, sleep=Naps(1))

    def files(self) -> int:
        """How many objects there are."""
        return sum(path.is_file() for path in self.folder.rglob("*"))


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    """All of it at once."""
    yield data


@asynccontextmanager
async def house_at(url: str, folder: Path) -> AsyncIterator[House]:
    """A house that is empty, closed with the block."""
    database, storage = Database(url, deadlines=PATIENT), LocalStorage(folder)
    await database.open()
    try:
        yield House(
            database,
            storage,
            AccountStore(database),
            UploadStore(database),
            ResumableStore(database),
            folder,
        )
    finally:
        await storage.aclose()
        await database.aclose()


def test_it_sweeps_at_once_and_deletes_what_has_run_out(database_url: str, tmp_path: Path) -> None:
    """A sign-in that was not used for a day goes; one of today stays."""

    async def run() -> list[str]:
        async with house_at(database_url, tmp_path) as house:
            user = await house.accounts.register("ada@example.com", "x")
            for _ in range(2):
                await house.accounts.open_login(user)
            await _age_one(database_url)
            await house.keep()
            return [str(row["id"]) for row in await house.database.rows("SELECT id FROM logins")]

    assert len(blocking(run())) == 1


def test_old_and_unfinished_uploads_go_with_their_files(database_url: str, tmp_path: Path) -> None:
    """In one round: the rows, then the files, more than a batch of them; those of today stay, with theirs."""

    async def run() -> None:
        async with house_at(database_url, tmp_path) as house:
            user = await house.accounts.register("ada@example.com", "x")
            login = login_id(await house.accounts.open_login(user))
            for _ in range(BATCH + 1):
                await house.upload(login)
            await house.begin_and_leave(login)
            await house.database.row("UPDATE uploads SET created_at = now() - $1::interval", RETENTION * 1.01)
            await house.database.row("UPDATE resumable_uploads SET expires_at = now()")
            kept_upload, kept_resumable = await house.upload(login), await house.begin_and_leave(login)
            assert house.files() == BATCH + 4
            await house.keep()
            assert house.files() == 2
            page = await house.uploads.list(login, None, limit=10)
            assert [kept.upload.id for kept in page.uploads] == [kept_upload]
            assert (await house.resumables.get(login, kept_resumable)).received == 5
            assert await house.database.rows("SELECT 1 FROM loose_objects") == []

    blocking(run())


def test_old_messages_go_only_where_they_have_an_age(database_url: str, tmp_path: Path) -> None:
    """Without a retention they stay as long as their session; with one, more than a batch of them goes."""

    async def run() -> None:
        async with house_at(database_url, tmp_path) as house:
            user = await house.accounts.register("ada@example.com", "x")
            login = login_id(await house.accounts.open_login(user))
            session = await PostgresSessions(house.database).create(login, "Jam")
            say = (
                "INSERT INTO kept_messages (session_id, epoch, message_offset, member_id, client_id, display_name,"
                " type, payload, content_digest, said_at) SELECT $1, 'e', n, 'ada', n::text, 'Ada', 'chat', '{}', '',"
                " now() - $3::interval"
                " FROM generate_series(1, $2::int) AS n"
            )
            await house.database.row(say, session.id, BATCH + 1, RETENTION * 1.01)
            await house.database.row(say.replace("n::text", "'young'"), session.id, 1, RETENTION * 0.99)
            await house.keep()
            assert len(await house.database.rows("SELECT FROM kept_messages")) == BATCH + 2
            await house.keep(message_retention=RETENTION)
            left = await house.database.rows("SELECT client_id FROM kept_messages")
            assert [row["client_id"] for row in left] == ["young"]

    blocking(run())


def test_old_exports_go_with_their_files(database_url: str, tmp_path: Path) -> None:
    """More than a batch of them, by a retention of their own; younger ones stay, with theirs."""

    async def run() -> None:
        async with house_at(database_url, tmp_path) as house:
            user = await house.accounts.register("ada@example.com", "x")
            login = login_id(await house.accounts.open_login(user))
            await house.export(login)
            await house.database.row(
                "INSERT INTO exports (session_id, format, status, error_message, file_name, due_at) "
                "SELECT session_id, format, 'failed', 'No.', file_name, NULL FROM exports, generate_series(1, $1::int)",
                BATCH,
            )
            await house.database.row("UPDATE exports SET created_at = now() - $1::interval", RETENTION * 0.51)
            young = await house.export(login)
            assert house.files() == 2
            await house.keep()
            assert house.files() == 1
            assert [str(row[0]) for row in await house.database.rows("SELECT id FROM exports")] == [young]
            assert await house.database.rows("SELECT 1 FROM loose_objects") == []

    blocking(run())


def test_a_chore_that_fails_keeps_nobody_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It is named, and so is what the others did."""
    done: list[str] = []

    async def other() -> int:
        done.append("other")
        return 3

    with caplog.at_level(logging.INFO):
        kept({"first": Failing(Unavailable("Away.")), "other": other, "last": Failing(ZeroDivisionError())}, rounds=1)
    assert done == ["other"]
    assert [(record.message, record.__dict__["chore"]) for record in caplog.records] == [
        ("housekeeping.postponed", "first"),
        ("housekeeping.swept", "other"),
        ("housekeeping.failed", "last"),
    ]


async def _age_one(url: str) -> None:
    connection: Any = await asyncpg.connect(url)
    await connection.execute(
        "UPDATE logins SET seen_at = now() - interval '1 day', created_at = now() - interval '1 day' "
        "WHERE id = (SELECT min(id) FROM logins)"
    )
    await connection.close()


def test_what_fails_is_tried_again_sooner(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away, and a defect alike; both are told, and the next sweep is as usual."""
    taken_s = kept({"it": Failing(Unavailable("The database is away."), ZeroDivisionError())}, rounds=3)
    assert taken_s == [RETRY_S, RETRY_S, SWEEP_S]
    assert [record.message for record in caplog.records] == ["housekeeping.postponed", "housekeeping.failed"]


def test_workers_that_start_together_do_not_sweep_together_for_ever() -> None:
    """A part of the time is left to chance."""
    chances = iter([0.0, 0.5, 1.0])
    taken_s = kept({"it": Failing()}, rounds=3, chance=lambda: next(chances))
    assert taken_s == pytest.approx([SWEEP_S, SWEEP_S * (1 + JITTER / 2), SWEEP_S * (1 + JITTER)])
