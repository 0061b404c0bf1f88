"""A stage for export workers: a real database and a real storage, both of which may fail, a fake mixer, and a clock
that a test moves.
"""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import uuid4

import msgspec
import pytest

from omnisonic.errors import Unavailable
from omnisonic.identity.logins import login_id
from omnisonic.models import Export, ExportFormat, LoginId, SessionId, Upload
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.stores.database.pool import Connection, Database
from omnisonic.stores.storage import Digest, Key, Label
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.exports import PROGRESS
from omnisonic.studio.exports.export_queue import ExportQueue, Finished, Job
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.exports.export_worker import ExportWorker
from omnisonic.studio.exports.telemetry import ExportTelemetry
from omnisonic.studio.mixdown import Mixed, Project
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.stems import Song
from omnisonic.studio.uploads import ReceivedFile
from omnisonic.studio.uploads.upload_store import UploadStore
from omnisonic.wire.payloads import Progress
from tests.patience import patient_timeout
from tests.postgres_server import PATIENT, blocking
from tests.studio.exports.clock import Busy, Clock, Threads

DEADLINE_S: Final = 20.0
MIXED: Final = Mixed(12.5, -14.25, -1.5, "'a.wav' was cut off: 1.0 of 2.0 seconds are there.")
SOUND: Final = b"a mix of "


def within_deadline(act: Coroutine[Any, Any, None]) -> None:
    """Run `act` to its end."""

    async def run() -> None:
        async with patient_timeout(DEADLINE_S):
            await act

    blocking(run())


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    """In two parts."""
    yield data[: len(data) // 2]
    yield data[len(data) // 2 :]


class CountedDatabase(Database):
    """A database whose work the clock waits for."""

    def __init__(self, url: str, busy: Busy) -> None:
        super().__init__(url, deadlines=PATIENT)
        self._busy = busy

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with self._busy.working():
            async with super().connection() as connection:
                yield connection


class FailingStorage(LocalStorage):
    """A storage that can be unavailable, can hang, and raises `failures` from `put`, one after the other."""

    def __init__(self, folder: Path, busy: Busy) -> None:
        super().__init__(folder)
        self._threads = Threads(busy)
        self.is_unavailable = False
        self.hangs = False
        self.failures: list[Exception] = []
        self.calls: list[str] = []

    async def put(
        self, key: Key, chunks: AsyncIterator[bytes], label: Label | None = None, *, digest: Digest | None = None
    ) -> None:
        await self._ask("put")
        if self.failures:
            raise self.failures.pop(0)
        await super().put(key, chunks, label, digest=digest)

    async def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        await self._ask("read")
        async with aclosing(super().read(key, begin, end)) as blocks:
            async for block in blocks:
                yield block

    async def ping(self) -> None:
        await self._ask("ping")
        await super().ping()

    async def _ask(self, what: str) -> None:
        self.calls.append(what)
        if self.is_unavailable:
            raise Unavailable("The storage is away.")
        while self.hangs:
            await asyncio.Event().wait()


class FailingQueue(ExportQueue):
    """A queue that loses the first answers to `complete`, or fails to renew leases.

    `forgotten`: so many objects are deleted as unreferenced before they can be an export's.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.lost_answers = 0
        self.fails_to_renew = False
        self.forgotten = 0

    async def renew(self, job: Job, progress: int) -> bool:
        if self.fails_to_renew:
            raise Unavailable("The database is away.")
        return await super().renew(job, progress)

    async def complete(self, job: Job, finished: Finished) -> Export | None:
        if self.forgotten:
            self.forgotten -= 1
            await self._database.row("UPDATE loose_objects SET doomed = true")
        export = await super().complete(job, finished)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("The database is away.")
        return export


@dataclass
class FakeMixer:
    """A mixer that records its arguments; `meanwhile` runs while it mixes, and may raise."""

    meanwhile: Callable[[Callable[[float], None]], Awaitable[object]] | None = None
    projects: list[Project] = field(default_factory=list)
    received: list[list[bytes]] = field(default_factory=list)
    begun: int = 0
    ended: int = 0
    most: int = 0
    limits_s: list[float] = field(default_factory=list)
    songs: list[Song] = field(default_factory=list)

    async def __call__(
        self,
        project: Project,
        files: Sequence[BinaryIO],
        output: BinaryIO,
        format_: ExportFormat,
        /,
        *,
        on_progress: Callable[[float], None],
        within_s: float,
    ) -> Mixed:
        self.projects.append(project)
        self.received.append([file.read() for file in files])
        self.limits_s.append(within_s)
        self.begun += 1
        self.most = max(self.most, self.begun - self.ended)
        try:
            if self.meanwhile is not None:
                await self.meanwhile(on_progress)
            output.write(SOUND + format_.encode())
            return MIXED
        finally:
            self.ended += 1

    async def export_stems(
        self,
        song: Song,
        files: Sequence[BinaryIO],
        output: BinaryIO,
        /,
        *,
        on_progress: Callable[[float], None],
        within_s: float,
    ) -> Mixed:
        """The same as an exporter of stems."""
        self.songs.append(song)
        project = Project(song.tempo_bpm, song.beats_per_bar)
        return await self(project, files, output, "wav", on_progress=on_progress, within_s=within_s)


@dataclass
class Desk:
    """Ada's session, a worker, and the events that the room got, with the time. `bus_hangs` while it gets them."""

    login: LoginId
    session: SessionId
    database: Database
    sessions: PostgresSessions
    uploads: UploadStore
    exports: ExportStore
    queue: FailingQueue
    storage: FailingStorage
    folder: Path
    clock: Clock
    mixes: FakeMixer = field(default_factory=FakeMixer)
    announced: list[tuple[float, Progress]] = field(default_factory=list)
    bus_hangs: bool = False

    @property
    def statuses(self) -> list[str]:
        """The statuses that the room got, without repetition."""
        return [status for status, _ in itertools.groupby(said.status for _, said in self.announced)]

    async def upload(self, name: str = "a.wav", content: bytes = b"stem", mime_type: str = "audio/x-wav") -> Upload:
        """A stem of the session."""
        upload = str(uuid4())
        key = f"uploads/{upload}"
        await self.uploads.begin(self.login, key, session=self.session, size=None)
        await self.storage.put(key, chunks(content))
        received = ReceivedFile(name, len(content), mime_type, "00")
        return await self.uploads.commit(self.login, upload, key, received, session=self.session)

    async def request(self, format_: ExportFormat = "wav") -> Export:
        """Request an export."""
        return await self.exports.create(self.login, self.session, format_)

    async def get(self, export: Export) -> Export:
        return (await self.exports.get(self.login, export.id)).export

    def make_worker(
        self, *, at_once: int = 2, copy_s: float = DEADLINE_S, telemetry: ExportTelemetry | None = None
    ) -> ExportWorker:
        """A worker."""
        return ExportWorker(
            self.queue,
            self.storage,
            self.mixes,
            self.announce,
            export_stems=self.mixes.export_stems,
            at_once=at_once,
            mix_s=77,
            copy_s=copy_s,
            sleep=self.clock.sleep,
            telemetry=telemetry,
        )

    async def announce(self, said: RoomSaid) -> None:
        assert (said.room, said.type) == (self.session, PROGRESS)
        self.announced.append((self.clock.now_s, msgspec.json.decode(said.payload, type=Progress)))
        while self.bus_hangs:
            await asyncio.Event().wait()

    async def render_next(self, telemetry: ExportTelemetry | None = None) -> None:
        """Make the export that waits, while time passes."""
        working = asyncio.create_task(self.make_worker(telemetry=telemetry).render_next())
        await self.clock.until(working.done)
        assert await working

    async def tries(self, export: Export) -> int:
        row = await self.database.row("SELECT tries FROM exports WHERE id = $1", export.id)
        assert row is not None
        return int(row[0])

    async def remove_stem(self, upload: Upload) -> None:
        """As the web does: into the bin, where the object stays."""
        await self.uploads.remove(self.login, upload.id)

    async def expire_leases(self) -> None:
        """Make all jobs due now."""
        await self.database.row("UPDATE exports SET due_at = now() WHERE due_at > now()")

    async def unreferenced(self) -> dict[Key, bool]:
        """The unreferenced objects, and whether each is due for deletion."""
        rows = await self.database.rows("SELECT object_key, doomed AND due_at <= now() FROM loose_objects")
        return {row[0]: row[1] for row in rows}

    def stored_objects(self) -> dict[Key, bytes]:
        """The mixdowns in the storage, by their keys."""
        paths = (self.folder / "exports").glob("*")
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths if not path.suffix}

    async def check_is_made(self, export: Export, content: bytes = SOUND + b"wav") -> None:
        """Check that it is made, its file is as it says, and the room got the event."""
        made = await self.exports.get(self.login, export.id)
        assert (made.export.status, made.export.progress, made.export.file_size) == ("completed", 100, len(content))
        assert made.key is not None
        assert self.stored_objects()[made.key] == content
        assert made.sha256 == hashlib.sha256(content).hexdigest()
        assert made.key not in await self.unreferenced()
        _, last = next((at_s, said) for at_s, said in reversed(self.announced) if said.export_id == export.id)
        assert (last.status, last.progress, last.url) == ("completed", 100, f"/api/export/{export.id}/download")


@asynccontextmanager
async def desk_at(url: str, folder: Path) -> AsyncIterator[Desk]:
    """A desk without exports, closed with the block."""
    busy = Busy()
    database, storage = CountedDatabase(url, busy), FailingStorage(folder, busy)
    asyncio.get_running_loop().set_default_executor(Threads(busy))
    await database.open()
    try:
        accounts, sessions = AccountStore(database), PostgresSessions(database)
        login = login_id(await accounts.open_login(await accounts.register("ada@example.com", "x")))
        session = await sessions.create(login, "Night jam")
        stores = UploadStore(database), ExportStore(database), FailingQueue(database)
        yield Desk(login, session.id, database, sessions, *stores, storage, folder, Clock(busy))
    finally:
        await storage.aclose()
        await database.aclose()


def export_events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What exports have logged, and not what else runs in this process."""
    return [record.message for record in caplog.records if record.name.startswith("omnisonic.studio.exports.")]
