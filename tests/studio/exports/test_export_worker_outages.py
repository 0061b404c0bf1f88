"""Making exports while something fails that no file can help: a real database and storage that go away and are back."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisonic.errors import Unavailable
from omnisonic.stores.storage import StorageFull
from omnisonic.studio.exports import DISK_FULL
from omnisonic.studio.exports.export_queue import CRASHED, LEASE_S, TRIES
from omnisonic.studio.exports.transfer import HOLD_S, RETRY_S
from omnisonic.studio.job_loop import POLL_S
from omnisonic.studio.mixdown import MixFailed
from tests.studio.exports.desk import desk_at, export_events, within_deadline


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (MixFailed("There is no mix. Render again."), "There is no mix. Render again."),
        (OSError(errno.ENOSPC, "No space left"), DISK_FULL),
        (OSError(errno.EMFILE, "Too many open files"), CRASHED),
        (ZeroDivisionError(), CRASHED),
    ],
)
def test_what_is_nobodys_fault_is_tried_again_but_not_for_ever(
    database_url: str, tmp_path: Path, problem: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The room sees it wait in between; in the end it has failed with a sentence."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:

            async def fail(_on_progress: Callable[[float], None]) -> None:
                raise problem

            desk.mixes.meanwhile = fail
            export = await desk.request()
            for _ in range(TRIES):
                await desk.render_next()
                await desk.expire_leases()
            failed = await desk.get(export)
            assert (failed.status, failed.error_message) == ("failed", reason)
            assert desk.statuses == ["processing", "pending"] * (TRIES - 1) + ["processing", "failed"]
            assert (desk.stored_objects(), await desk.unreferenced()) == ({}, {})

    within_deadline(run())
    assert export_events(caplog) == ["export.incomplete"] * TRIES


def test_a_full_storage_is_reported_after_some_tries(database_url: str, tmp_path: Path) -> None:
    """When somebody makes room in time, it is made; what could not be put is due."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            export = await desk.request()
            desk.storage.failures = [StorageFull(), StorageFull()]
            for _ in range(3):
                await desk.render_next()
                await desk.expire_leases()
            await desk.check_is_made(export)
            assert list((await desk.unreferenced()).values()) == [True, True]
            desk.storage.failures = [StorageFull()] * TRIES
            other = await desk.request()
            for _ in range(TRIES):
                await desk.render_next()
                await desk.expire_leases()
            assert (await desk.get(other)).error_message == StorageFull().message

    within_deadline(run())


def test_stems_that_take_too_long_to_come_are_fetched_again_later(database_url: str, tmp_path: Path) -> None:
    """It counts as a try: in the end the export has failed."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            await desk.upload()
            export = await desk.request()
            desk.storage.hangs = True
            assert await desk.make_worker(copy_s=0.01).render_next()
            assert ((await desk.get(export)).status, await desk.tries(export)) == ("pending", 1)
            assert desk.mixes.begun == 0

    within_deadline(run())


def test_while_the_storage_is_away_nothing_is_taken(database_url: str, tmp_path: Path) -> None:
    """What was taken is given back and was not tried; once the storage answers, all are made."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            await desk.upload()
            exports = [await desk.request() for _ in range(3)]
            desk.storage.calls.clear()
            desk.storage.is_unavailable = True
            working = asyncio.create_task(desk.make_worker().run())
            await desk.clock.until(lambda: desk.storage.calls.count("ping") > 20)
            assert desk.storage.calls.count("read") == 2
            assert desk.statuses[-1] == "pending"
            for export in exports:
                assert ((await desk.get(export)).status, await desk.tries(export)) == ("pending", 0)
            desk.storage.is_unavailable = False
            await desk.clock.until(lambda: desk.clock.naps_s.count(POLL_S) > 1)
            working.cancel()
            await asyncio.wait({working})
            for export in exports:
                await desk.check_is_made(export)
            assert desk.clock.naps_s.count(RETRY_S) > 20

    within_deadline(run())


def test_a_finished_mixdown_waits_for_the_storage(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not mixed again and stays its worker's for much longer than a lease; then it is made, once."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:

            async def go_away(_on_progress: Callable[[float], None]) -> None:
                desk.storage.is_unavailable = True

            desk.mixes.meanwhile = go_away
            export = await desk.request()
            working = asyncio.create_task(desk.make_worker().render_next())
            await desk.clock.until(lambda: desk.clock.now_s > 10 * LEASE_S)
            assert ((await desk.get(export)).status, await desk.queue.take()) == ("processing", None)
            assert desk.storage.calls.count("put") == 1
            desk.storage.is_unavailable = False
            await desk.clock.until(working.done)
            await desk.check_is_made(export)
            assert (desk.mixes.begun, len(desk.stored_objects())) == (1, 1)
            assert list((await desk.unreferenced()).values()) == [True]

    within_deadline(run())
    assert set(export_events(caplog)) == {"export.suspended"}


def test_no_finished_mixdown_waits_for_ever(database_url: str, tmp_path: Path) -> None:
    """It is given back, and made anew when the storage is back."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            export = await desk.request()
            desk.storage.is_unavailable = True
            working = asyncio.create_task(desk.make_worker().render_next())
            await desk.clock.until(working.done)
            with pytest.raises(Unavailable):
                await working
            assert HOLD_S <= desk.clock.now_s < HOLD_S * 1.1
            assert ((await desk.get(export)).status, await desk.tries(export)) == ("pending", 0)
            desk.storage.is_unavailable = False
            await desk.render_next()
            await desk.check_is_made(export)

    within_deadline(run())


def test_what_the_database_did_not_answer_is_repeated(database_url: str, tmp_path: Path) -> None:
    """Or its answer was lost: either way the export is made once, and the room knows."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            export = await desk.request()
            desk.queue.lost_answers = 3
            await desk.render_next()
            await desk.check_is_made(export)
            assert (len(desk.stored_objects()), await desk.unreferenced()) == (1, {})

    within_deadline(run())


def test_an_object_that_was_taken_for_forgotten_is_put_anew(database_url: str, tmp_path: Path) -> None:
    """And not mixed anew; the first ones are due."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            export = await desk.request()
            desk.queue.forgotten = 2
            await desk.render_next()
            await desk.check_is_made(export)
            assert (desk.mixes.begun, list((await desk.unreferenced()).values())) == (1, [True, True])

    within_deadline(run())


def test_without_an_answer_to_its_heartbeats_the_work_goes_on(database_url: str, tmp_path: Path) -> None:
    """The lease may still hold when it is done."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:

            async def take_a_while(_on_progress: Callable[[float], None]) -> None:
                await desk.clock.sleep(3 * LEASE_S)
                desk.queue.fails_to_renew = False

            desk.mixes.meanwhile = take_a_while
            desk.queue.fails_to_renew = True
            export = await desk.request()
            await desk.render_next()
            await desk.check_is_made(export)

    within_deadline(run())


@pytest.mark.parametrize("at", ["mix", "put"])
def test_a_worker_that_is_stopped_releases_its_jobs(database_url: str, tmp_path: Path, at: str) -> None:
    """Another worker may take it at once, and nothing was tried; what was put is due."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:

            async def hang(_on_progress: Callable[[float], None]) -> None:
                desk.storage.hangs = True
                if at == "mix":
                    await asyncio.Event().wait()

            desk.mixes.meanwhile = hang
            export = await desk.request()
            working = asyncio.create_task(desk.make_worker().render_next())
            await desk.clock.until(lambda: desk.mixes.begun == 1 if at == "mix" else "put" in desk.storage.calls)
            working.cancel()
            await asyncio.wait({working})
            assert working.cancelled()
            assert desk.mixes.ended == 1
            assert (await desk.tries(export), desk.statuses) == (0, ["processing", "pending"])
            assert list((await desk.unreferenced()).values()) == [True] * (at == "put")
            desk.storage.hangs, desk.mixes.meanwhile = False, None
            await desk.render_next()
            await desk.check_is_made(export)
            assert len(desk.stored_objects()) == 1

    within_deadline(run())


def test_a_worker_that_is_stopped_while_it_tells_the_room_releases_its_job(database_url: str, tmp_path: Path) -> None:
    """The same as later on: another worker may take it at once, and nothing was tried."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            desk.bus_hangs = True
            export = await desk.request()
            working = asyncio.create_task(desk.make_worker().render_next())
            await desk.clock.until(lambda: desk.statuses == ["processing"])
            desk.bus_hangs = False
            working.cancel()
            await asyncio.wait({working})
            assert working.cancelled()
            assert (await desk.tries(export), desk.statuses) == (0, ["processing", "pending"])
            await desk.render_next()
            await desk.check_is_made(export)

    within_deadline(run())


def test_a_worker_that_cannot_give_back_stops_all_the_same(tmp_path: Path, database_url: str) -> None:
    """Its lease runs out by itself."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:

            async def lose_the_database(_on_progress: Callable[[float], None]) -> None:
                await desk.database.aclose()
                await asyncio.Event().wait()

            desk.mixes.meanwhile = lose_the_database
            await desk.request()
            working = asyncio.create_task(desk.make_worker().render_next())
            await desk.clock.until(lambda: desk.mixes.begun == 1)
            working.cancel()
            await asyncio.wait({working})
            assert (working.cancelled(), desk.mixes.ended) == (True, 1)

    within_deadline(run())
