"""Listening while something fails: a queue and a storage of the test's own, and what is heard is made up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO
from uuid import uuid4

import pytest

from omnisonic.errors import Unavailable
from omnisonic.models import Upload
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.stores.storage import Digest, Key, Label
from omnisonic.studio.attempts import AGAIN_S
from omnisonic.studio.job_loop import POLL_S
from omnisonic.studio.media.analyser import CannotAnalyse
from omnisonic.studio.uploads import Analysis, StoredUpload
from omnisonic.studio.uploads.analysis_queue import AnalysisQueue
from omnisonic.studio.uploads.analysis_worker import AT_ONCE, RETRY_S, AnalysisWorker
from tests.studio.media.test_analysis_worker import RECEIVED, SOUND, within_deadline


class Enough(Exception):
    """The test has seen what it wanted."""


def an_upload() -> StoredUpload:
    """One that is in no database."""
    return StoredUpload(
        Upload(
            id=str(uuid4()),
            user_id=str(uuid4()),
            session_id=None,
            file_name="a.wav",
            file_size=5,
            mime_type="audio/x-wav",
            sha256="00",
            duration_seconds=None,
            sample_rate=None,
            channels=None,
            gain_db=0,
            pan=0,
            muted=False,
            offset_seconds=0,
            name="a",
            position=1,
            take_of=str(uuid4()),
            chosen=True,
            trim_start_seconds=0,
            trim_end_seconds=0,
            fade_in_seconds=0,
            fade_out_seconds=0,
            created_at=datetime.now(UTC),
        ),
        "uploads/a",
        tries=1,
    )


@dataclass
class Queue(AnalysisQueue):
    """So many uploads wait. Neither a lease nor the time for which one was given back ends while a test runs."""

    waiting: int
    done: list[Analysis | None] = field(default_factory=list)
    leased: dict[str, StoredUpload] = field(default_factory=dict)
    released: list[float] = field(default_factory=list)

    async def take(self) -> StoredUpload | None:
        if not self.waiting:
            return None
        self.waiting -= 1
        taken = an_upload()
        self.leased[taken.upload.id] = taken
        return taken

    async def finish(self, upload: Upload, analysis: Analysis | None) -> Upload | None:
        self.leased.pop(upload.id)
        self.done.append(analysis)
        return upload

    async def renew(self, taken: StoredUpload) -> None:
        """No lease ends."""

    async def release(self, taken: StoredUpload, after_s: float) -> None:
        if self.leased.pop(taken.upload.id, None) == taken:
            self.released.append(after_s)


@dataclass
class Shelf:
    """A storage that raises `failure` to whoever asks, the first so many times."""

    failures: int = 0
    failure: Exception = field(default_factory=lambda: Unavailable("The storage is away."))
    asked: list[str] = field(default_factory=list)

    def _may_fail(self, what: str) -> None:
        self.asked.append(what)
        if len(self.asked) <= self.failures:
            raise self.failure

    async def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self._may_fail("read")
        yield SOUND

    async def ping(self) -> None:
        self._may_fail("ping")

    async def put(
        self, key: Key, chunks: AsyncIterator[bytes], label: Label | None = None, *, digest: Digest | None = None
    ) -> None:
        raise NotImplementedError

    async def delete(self, key: Key) -> None:
        raise NotImplementedError

    async def link(self, key: Key, label: Label) -> str | None:
        raise NotImplementedError

    async def aclose(self) -> None: ...


class Naps:
    """Stands for sleeping: notes for how long, and ends the test once nothing is left to do."""

    def __init__(self) -> None:
        self.taken_s: list[float] = []

    async def __call__(self, for_s: float) -> None:
        self.taken_s.append(for_s)
        if for_s == POLL_S:
            raise Enough
        await asyncio.sleep(0)


async def silent(_said: RoomSaid) -> None:
    """Tells nobody."""


def ran(queue: Queue, shelf: Shelf, listen: Callable[[BinaryIO], Awaitable[Analysis | None]]) -> list[float]:
    """Listen until nothing waits any more; the naps meanwhile."""
    naps = Naps()

    async def run() -> None:
        # Whoever finds nothing to do first ends it for the others, too: let them finish what they have in hand.
        try:
            await AnalysisWorker(queue, shelf, listen, silent, sleep=naps).run()
        except* Enough:
            pass

    within_deadline(run())
    return naps.taken_s


def test_while_the_storage_is_away_no_other_uploads_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    """What was taken is given back. The storage is asked until it answers, and only then it goes on."""
    queue, shelf = Queue(waiting=40), Shelf(failures=8)

    async def listen(_file: BinaryIO) -> Analysis | None:
        return RECEIVED

    naps_s = ran(queue, shelf, listen)
    assert shelf.asked[:8] == ["read"] * AT_ONCE + ["ping"] * (8 - AT_ONCE)
    assert naps_s.count(RETRY_S) == 8
    assert 40 - AT_ONCE - (AT_ONCE - 1) <= len(queue.done) <= 40 - AT_ONCE
    assert queue.released.count(AGAIN_S) == AT_ONCE
    assert not queue.leased
    assert {record.message for record in caplog.records} == {"analysis.postponed"}


@pytest.mark.parametrize(
    "problem",
    [CannotAnalyse("The machine is too busy."), OSError(28, "No space left"), TimeoutError(), Unavailable("Away.")],
)
def test_what_is_not_the_files_fault_leaves_it_waiting(problem: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is given back, so that it is taken again; the others are listened to."""
    queue = Queue(waiting=10)
    troubles = [problem]

    async def listen(_file: BinaryIO) -> Analysis | None:
        if troubles:
            raise troubles.pop()
        return RECEIVED

    naps_s = ran(queue, Shelf(), listen)
    assert naps_s.count(RETRY_S) == 1
    assert 10 - AT_ONCE <= len(queue.done) <= 9
    assert None not in queue.done
    assert queue.released.count(AGAIN_S) == 1
    assert not queue.leased
    assert len(caplog.records) == 1


class LostQueue(Queue):
    """One whose database goes away once an upload was taken."""

    async def release(self, taken: StoredUpload, after_s: float) -> None:
        raise Unavailable("The database is away.")


def test_what_cannot_be_given_back_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Its lease ends by itself; the others are listened to."""
    queue, shelf = LostQueue(waiting=10), Shelf(failures=1, failure=Unavailable("The storage is away."))

    async def listen(_file: BinaryIO) -> Analysis | None:
        return RECEIVED

    ran(queue, shelf, listen)
    assert len(queue.leased) >= 1
    assert 10 - AT_ONCE <= len(queue.done) <= 9
    assert [record.message for record in caplog.records][:2] == ["analysis.not_released", "analysis.postponed"]


def test_so_many_files_are_listened_to_at_once_and_no_more() -> None:
    """The others wait in the database."""
    queue = Queue(waiting=20)
    now: list[None] = []
    most: list[int] = []

    async def listen(_file: BinaryIO) -> Analysis | None:
        now.append(None)
        most.append(len(now))
        await asyncio.sleep(0.01)
        now.pop()
        return RECEIVED

    ran(queue, Shelf(), listen)
    assert max(most) == AT_ONCE
