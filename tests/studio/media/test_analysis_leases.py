"""How long an upload is one worker's, and how often it is taken: a real database and a real storage."""

import asyncio
from pathlib import Path
from typing import BinaryIO, Final

import pytest

from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.uploads import Analysis, NoPeaks
from omnisonic.studio.uploads.analysis_queue import LEASE_S, TRIES
from omnisonic.studio.uploads.analysis_worker import AnalysisWorker
from omnisonic.studio.uploads.object_copy import CannotCopy
from tests.studio.media.test_analysis_worker import RECEIVED, desk_at, within_deadline

HUGE: Final = 2**60
NEARLY_S: Final = LEASE_S - 10


class Beats:
    """Stands for sleeping: each sleep ends when the test says so."""

    def __init__(self) -> None:
        self._due: asyncio.Queue[None] = asyncio.Queue()
        self._begun = asyncio.Semaphore(0)

    async def __call__(self, for_s: float) -> None:
        del for_s
        self._begun.release()
        await self._due.get()

    async def pass_one(self) -> None:
        """End a sleep, and wait until what comes after it is done."""
        await self._begun.acquire()
        self._due.put_nowait(None)
        await self._begun.acquire()
        self._begun.release()


async def tell_nobody(_said: RoomSaid) -> None:
    """Tells nobody."""


def test_an_upload_stays_with_its_worker_however_long_it_takes(database_url: str, tmp_path: Path) -> None:
    """The lease is renewed, so no other worker takes it."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept, beats = await desk.upload(), Beats()

            async def listen(_file: BinaryIO) -> Analysis | None:
                for _ in range(3):
                    await desk.time_passes(NEARLY_S)
                    assert not await desk.listening().analyse_next()
                    await beats.pass_one()
                return RECEIVED

            assert await AnalysisWorker(desk.queue, desk.storage, listen, tell_nobody, sleep=beats).analyse_next()
            assert await desk.uploads.peaks(desk.login, kept.upload.id) == RECEIVED.peaks
            assert desk.listened_to == []

    within_deadline(run())


def test_a_lease_that_has_gone_to_another_is_not_renewed(database_url: str, tmp_path: Path) -> None:
    """By the one that had it."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            await desk.upload()
            first = await desk.queue.take()
            assert first is not None
            await desk.time_passes(LEASE_S)
            second = await desk.queue.take()
            assert second is not None
            await desk.time_passes(LEASE_S)
            await desk.queue.renew(first)
            assert await desk.queue.take() is not None

    within_deadline(run())


def test_a_file_that_can_never_be_copied_is_given_up(database_url: str, tmp_path: Path) -> None:
    """After a few tries it counts as having no sound: else it would be copied for ever."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            kept = await desk.upload()
            await desk.database.row("UPDATE uploads SET file_size = $1", HUGE)
            for _ in range(TRIES):
                with pytest.raises(CannotCopy):
                    await desk.listening().analyse_next()
                await desk.time_passes(LEASE_S)
            assert not await desk.listening().analyse_next()
            assert desk.listened_to == []
            with pytest.raises(NoPeaks):
                await desk.uploads.peaks(desk.login, kept.upload.id)

    within_deadline(run())
