"""Somebody who uploads, and workers that make segments of it: a real database, a real storage, real processes."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from uuid import uuid4

from omnisonic.identity.logins import login_id
from omnisonic.models import LoginId, SessionId, UploadId
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Storage
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.segments.cutting import Cutting
from omnisonic.studio.segments.process import cut_file
from omnisonic.studio.segments.segment_queue import SegmentQueue
from omnisonic.studio.segments.segment_store import SegmentStore
from omnisonic.studio.segments.segment_worker import SegmentWorker
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.uploads import Analysis, Peaks, ReceivedFile
from omnisonic.studio.uploads.analysis_queue import AnalysisQueue
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.postgres_server import PATIENT
from tests.studio.media.test_analysis_worker import chunks

ANALYSED: Final = Analysis(2, Peaks(48_000, 1.5, [0.0, 1.0]))
ONE_SEGMENT: Final = """
import os, signal, sys
from omnisonic.studio.segments.messages import HEADER, MessageType
os.write(1, HEADER.pack(MessageType.SEGMENT, 9) + b"a segment")
"""
"""A process that prints a segment, and then does something else."""
HANG: Final = "signal.pause()"

Command = Callable[[], Sequence[str]]


def one_segment_and(then: str) -> Command:
    """The command of such a process."""
    return lambda: (sys.executable, "-c", ONE_SEGMENT + then)


class DirectCutting(Cutting):
    """Cuts the same, in this process, which takes less time than to start another."""

    async def segments(self) -> AsyncGenerator[bytes, None]:
        segments = list[bytes]()
        self.cut = cut_file(self._file, segments.append)
        for segment in segments:
            self.ends.append((self.ends[-1] if self.ends else 0) + len(segment))
            yield segment


@dataclass
class Bench:
    """Ada, who is signed in and has a session, and what her files are kept in."""

    login: LoginId
    session: SessionId
    database: Database
    storage: Storage
    uploads: UploadStore
    segments: SegmentStore
    queue: SegmentQueue

    async def upload(self, data: bytes, *, alone: bool = False, is_analysed: bool = True) -> UploadId:
        """A new file with this in it."""
        session, key = None if alone else self.session, f"uploads/{uuid4()}"
        await self.uploads.begin(self.login, key, session=session, size=None)
        await self.storage.put(key, chunks(data))
        received = ReceivedFile("a.wav", len(data), "audio/x-wav", "00")
        upload = await self.uploads.commit(self.login, str(uuid4()), key, received, session=session)
        if is_analysed:
            await self.analyse(upload.id)
        return upload.id

    async def analyse(self, upload: UploadId, analysis: Analysis | None = ANALYSED) -> None:
        """As if a worker had analysed it."""
        stored = await self.uploads.get(self.login, upload)
        await AnalysisQueue(self.database).finish(stored.upload, analysis)

    def worker(self, command: Command | None = None) -> SegmentWorker:
        """A worker that cuts with this command; without one, in this process."""
        cut = DirectCutting if command is None else partial(Cutting, command=command, at_idle_priority=False)
        return SegmentWorker(self.queue, self.storage, cut)

    async def read(self, upload: UploadId) -> list[bytes]:
        """All segments of an upload, as a listener gets them."""
        about = await self.segments.describe(self.login, upload)
        return [await self.read_one(upload, number) for number in range(about.count)]

    async def read_one(self, upload: UploadId, number: int) -> bytes:
        stored = await self.segments.get(self.login, upload, number)
        async with aclosing(cast("Any", self.storage.read(stored.key, stored.begin, stored.end))) as blocks:
            return b"".join([block async for block in blocks])

    async def lease_is_over(self) -> None:
        """As if whoever has taken something had been gone for some time."""
        await self.database.row("UPDATE uploads SET segments_due_at = now() WHERE segments_due_at IS NOT NULL")

    async def sweep(self) -> None:
        """As if hours had passed for all that is unreferenced, and the garbage collector had come."""
        await self.database.row("UPDATE loose_objects SET due_at = now()")
        await GarbageCollector(UploadRetention(self.database), self.storage).sweep()

    async def number(self, statement: str, *values: object) -> int:
        """The number that a statement answers."""
        row = await self.database.row(statement, *values)
        assert row is not None
        return int(row[0])


@asynccontextmanager
async def bench_at(url: str, storage: Storage | Path) -> AsyncIterator[Bench]:
    """A bench with nothing on it, closed with the block."""
    database = Database(url, deadlines=PATIENT)
    storage = LocalStorage(storage) if isinstance(storage, Path) else storage
    await database.open()
    try:
        accounts, sessions = AccountStore(database), PostgresSessions(database)
        login = login_id(await accounts.open_login(await accounts.register("ada@example.com", "x")))
        session = (await sessions.create(login, "Jam")).id
        stores = UploadStore(database), SegmentStore(database), SegmentQueue(database)
        yield Bench(login, session, database, storage, *stores)
    finally:
        await storage.aclose()
        await database.aclose()


def files_in(folder: Path) -> list[str]:
    """The folder of each object, or unfinished object, in a local storage."""
    return sorted(path.parent.name + path.suffix for path in folder.rglob("*") if path.is_file())


def opened(data: bytes, folder: Path) -> BinaryIO:
    """A real file with this in it."""
    path = folder / str(uuid4())
    path.write_bytes(data)
    return path.open("rb")
