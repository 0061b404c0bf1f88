"""Listening to uploads: a real database and a real storage; what is heard is made up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import uuid4

import msgspec
import pytest

from omnisonic.identity.logins import login_id
from omnisonic.models import LoginId, SessionId, Upload
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.attempts import AGAIN_S
from omnisonic.studio.media.analyser import AnalyserCrashed, CannotAnalyse
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.uploads import (
    Analysis,
    NoPeaks,
    NoSuchUpload,
    Peaks,
    PeaksPending,
    ReceivedFile,
    StoredUpload,
)
from omnisonic.studio.uploads.analysis_queue import LEASE_S, TRIES, AnalysisQueue
from omnisonic.studio.uploads.analysis_worker import AnalysisWorker
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.patience import patient_timeout
from tests.postgres_server import PATIENT, blocking

DEADLINE_S: Final = 20.0
RECEIVED: Final = Analysis(2, Peaks(48_000, 1.5, [0.0, 1.0]))
SOUND: Final = b"sound" * 100_000


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


@dataclass
class Desk:
    """Somebody who is signed in and uploads into a session, and a worker."""

    login: LoginId
    session: SessionId
    uploads: UploadStore
    storage: LocalStorage
    queue: AnalysisQueue
    database: Database
    reported: list[RoomSaid] = field(default_factory=list)
    listened_to: list[bytes] = field(default_factory=list)

    async def upload(self, mime_type: str = "audio/x-wav", *, alone: bool = False) -> StoredUpload:
        """A new file, which nobody has listened to."""
        session = None if alone else self.session
        upload = str(uuid4())
        key = f"uploads/{upload}"
        await self.uploads.begin(self.login, key, session=session, size=None)
        await self.storage.put(key, chunks(SOUND))
        received = ReceivedFile("a.wav", len(SOUND), mime_type, "00")
        return StoredUpload(await self.uploads.commit(self.login, upload, key, received, session=session), key)

    async def time_passes(self, for_s: float) -> None:
        """As if so many seconds had passed for what waits."""
        later = timedelta(seconds=for_s)
        await self.database.row("UPDATE uploads SET analysis_due_at = analysis_due_at - $1::interval", later)

    def listening(
        self, messages: Analysis | None = RECEIVED, *, meanwhile: Callable[[], Awaitable[object]] | None = None
    ) -> AnalysisWorker:
        """A worker that hears this in everything; `meanwhile` happens while it listens."""

        async def listen(file: BinaryIO) -> Analysis | None:
            self.listened_to.append(file.read())
            if meanwhile is not None:
                await meanwhile()
            return messages

        async def tell(said: RoomSaid) -> None:
            self.reported.append(said)

        return AnalysisWorker(self.queue, self.storage, listen, tell)


@asynccontextmanager
async def desk_at(url: str, folder: Path) -> AsyncIterator[Desk]:
    """A desk with nothing on it, closed with the block."""
    database, storage = Database(url, deadlines=PATIENT), LocalStorage(folder)
    await database.open()
    try:
        accounts, sessions = AccountStore(database), PostgresSessions(database)
        login = login_id(await accounts.open_login(await accounts.register("ada@example.com", "x")))
        session = await sessions.create(login, "Jam")
        yield Desk(login, session.id, UploadStore(database), storage, AnalysisQueue(database), database)
    finally:
        await storage.aclose()
        await database.aclose()


def test_an_upload_is_listened_to_and_its_room_told(database_url: str, tmp_path: Path) -> None:
    """Bit for bit, once; then the waveform is there, and the room has the upload as it is now."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload()
            with pytest.raises(PeaksPending):
                await desk.uploads.peaks(desk.login, kept.upload.id)
            listening = desk.listening()
            assert await listening.analyse_next()
            assert not await listening.analyse_next()
            assert desk.listened_to == [SOUND]
            assert await desk.uploads.peaks(desk.login, kept.upload.id) == RECEIVED.peaks
            upload = (await desk.uploads.get(desk.login, kept.upload.id)).upload
            assert (upload.channels, upload.sample_rate, upload.duration_seconds) == (2, 48_000, 1.5)
            (said,) = desk.reported
            assert (said.room, said.type) == (desk.session, "upload.changed")
            assert msgspec.json.decode(said.payload, type=Upload) == upload

    within_deadline(run())


def test_no_room_is_told_of_an_upload_without_a_session(database_url: str, tmp_path: Path) -> None:
    """It is its uploader's alone."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload(alone=True)
            assert await desk.listening().analyse_next()
            assert desk.reported == []
            assert await desk.uploads.peaks(desk.login, kept.upload.id) == RECEIVED.peaks

    within_deadline(run())


def test_where_there_is_no_sound_that_is_known_for_good(database_url: str, tmp_path: Path) -> None:
    """The room is told, for it waits for a waveform."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload("video/mp4")
            assert await desk.listening(None).analyse_next()
            assert [said.type for said in desk.reported] == ["upload.changed"]
            with pytest.raises(NoPeaks):
                await desk.uploads.peaks(desk.login, kept.upload.id)
            assert not await desk.listening().analyse_next()

    within_deadline(run())


def test_a_picture_is_not_listened_to(database_url: str, tmp_path: Path) -> None:
    """It has no sound from the beginning."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload("image/png")
            assert not await desk.listening().analyse_next()
            with pytest.raises(NoPeaks):
                await desk.uploads.peaks(desk.login, kept.upload.id)

    within_deadline(run())


def test_an_upload_that_is_removed_while_it_is_listened_to_stays_removed(database_url: str, tmp_path: Path) -> None:
    """And nobody hears of it again."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload()

            async def removed() -> None:
                await desk.uploads.remove(desk.login, kept.upload.id)

            assert await desk.listening(meanwhile=removed).analyse_next()
            assert desk.reported == []
            with pytest.raises(NoSuchUpload):
                await desk.uploads.get(desk.login, kept.upload.id)

    within_deadline(run())


def test_a_file_that_is_lost_has_no_sound(database_url: str, tmp_path: Path) -> None:
    """There is no use in trying again."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload()
            await desk.storage.delete(kept.key)
            assert await desk.listening().analyse_next()
            with pytest.raises(NoPeaks):
                await desk.uploads.peaks(desk.login, kept.upload.id)

    within_deadline(run())


@pytest.mark.parametrize("problem", [CannotAnalyse("The machine is too busy."), OSError(28, "No space left")])
def test_outages_never_use_up_an_uploads_tries(problem: Exception, database_url: str, tmp_path: Path) -> None:
    """However many there are, it is analysed after the last of them; meanwhile it waits a minute for the next try."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload()

            async def fail() -> None:
                raise problem

            for _ in range(TRIES + 2):
                with pytest.raises(type(problem)):
                    await desk.listening(meanwhile=fail).analyse_next()
                assert not await desk.listening().analyse_next()
                with pytest.raises(PeaksPending):
                    await desk.uploads.peaks(desk.login, kept.upload.id)
                await desk.time_passes(AGAIN_S)
            assert await desk.listening().analyse_next()
            assert await desk.uploads.peaks(desk.login, kept.upload.id) == RECEIVED.peaks

    within_deadline(run())


def test_a_worker_that_is_stopped_gives_its_upload_back(database_url: str, tmp_path: Path) -> None:
    """The next one takes it at once, and it has all its tries, however often workers are stopped."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload()
            for _ in range(TRIES + 2):
                begun = asyncio.Event()

                async def hang(begun: asyncio.Event = begun) -> None:
                    begun.set()
                    await asyncio.Event().wait()

                work = asyncio.create_task(desk.listening(meanwhile=hang).analyse_next())
                await begun.wait()
                work.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await work
            assert await desk.listening().analyse_next()
            assert await desk.uploads.peaks(desk.login, kept.upload.id) == RECEIVED.peaks

    within_deadline(run())


def test_a_file_that_crashes_the_analyser_is_given_up(database_url: str, tmp_path: Path) -> None:
    """Else it would be analysed for ever."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload()

            async def crash() -> None:
                raise AnalyserCrashed("Listening to a file ended with exit code -9.")

            for _ in range(TRIES):
                with pytest.raises(AnalyserCrashed):
                    await desk.listening(meanwhile=crash).analyse_next()
                await desk.time_passes(LEASE_S)
            assert not await desk.listening().analyse_next()
            with pytest.raises(NoPeaks):
                await desk.uploads.peaks(desk.login, kept.upload.id)

    within_deadline(run())


def test_several_workers_listen_to_each_upload_once(database_url: str, tmp_path: Path) -> None:
    """Ten uploads, three workers at once."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            for _ in range(10):
                await desk.upload()
            workers = [desk.listening(), desk.listening(), desk.listening()]
            await asyncio.gather(*(worker.analyse_next() for worker in workers * 4))
            assert len(desk.listened_to) == len(desk.reported) == 10

    within_deadline(run())
