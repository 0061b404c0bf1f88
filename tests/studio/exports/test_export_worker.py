"""Making exports, when all goes well or it is somebody's fault: a real database and storage; the mixer is made up."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Final, get_args

import pytest

from omnisonic.models import AudioFormat
from omnisonic.studio.exports.export_queue import BEAT_S, CRASHED, MOST_STEMS, TRIES
from omnisonic.studio.exports.heartbeat import PROGRESS_S
from omnisonic.studio.exports.transfer import MOST_BYTES
from omnisonic.studio.mixdown import Project, Stem, TooLong, UnusableStem
from omnisonic.studio.sessions import Change
from omnisonic.studio.stems import Song, SongMarker, SongTrack
from omnisonic.studio.uploads import Mix
from tests.studio.exports.desk import MIXED, SOUND, Desk, desk_at, export_events, within_deadline

MUTED: Final = "Every stem is muted. Unmute one, then render again."


@pytest.mark.parametrize("format_", get_args(AudioFormat))
def test_an_export_is_mixed_of_what_is_in_the_session(database_url: str, tmp_path: Path, format_: AudioFormat) -> None:
    """Bit for bit, as it is mixed and in order, but for what is muted; then it is put, and the room gets the event."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            await desk.sessions.change(desk.login, desk.session, Change(tempo_bpm=93.5, beats_per_bar=7))
            await desk.upload("a.wav", b"first")
            muted, film = await desk.upload("b.wav"), await desk.upload("c.mp4", b"third", "video/mp4")
            await desk.upload("d.png", b"picture", "image/png")
            await desk.uploads.change(desk.login, muted.id, Mix(muted=True))
            await desk.uploads.change(desk.login, film.id, Mix(-3, 0.5, False, 1.25, 0.1, 0.2, 0.3, 0.4))
            export = await desk.request(format_)
            await desk.render_next()
            assert desk.mixes.projects == [
                Project(93.5, 7, [Stem("a.wav"), Stem("c.mp4", -3, 0.5, 1.25, 0.1, 0.2, 0.3, 0.4)])
            ]
            assert (desk.mixes.received, desk.mixes.limits_s) == ([[b"first", b"third"]], [77])
            await desk.check_is_made(export, SOUND + format_.encode())
            made = await desk.get(export)
            measured = made.duration_seconds, made.loudness_lufs, made.peak_dbfs, made.warning
            assert measured == (MIXED.duration_s, MIXED.loudness_lufs, MIXED.peak_dbfs, MIXED.warning)
            assert desk.statuses == ["processing", "completed"]
            assert not await desk.make_worker().render_next()

    within_deadline(run())


def test_stems_are_all_tracks_in_their_order(database_url: str, tmp_path: Path) -> None:
    """Also muted ones, with the names that people gave them, and the markers that are there."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            await desk.sessions.change(desk.login, desk.session, Change(tempo_bpm=93.5, beats_per_bar=7))
            muted = await desk.upload("a.wav", b"first")
            await desk.upload("b.flac", b"second")
            await desk.uploads.change(desk.login, muted.id, Mix(muted=True, gain_db=-3, name="Lead", position=5))
            await desk.upload("d.png", b"picture", "image/png")
            await desk.database.row(
                "INSERT INTO markers (session_id, name, at_beat, end_beat, removed_at) VALUES "
                "($1, 'End', 32, NULL, NULL), ($1, 'Verse', 4, 8.5, NULL), ($1, 'Gone', 0, NULL, now())",
                desk.session,
            )
            export = await desk.request("stems")
            await desk.render_next()
            tracks = [SongTrack(Stem("b")), SongTrack(Stem("Lead", -3), is_muted=True)]
            markers = [SongMarker("Verse", 4, 8.5), SongMarker("End", 32)]
            assert desk.mixes.songs == [Song("Night jam", export.created_at, 93.5, 7, tracks, markers)]
            assert desk.mixes.received == [[b"second", b"first"]]
            await desk.check_is_made(export)
            assert export.file_name == "Night jam stems.zip"

    within_deadline(run())


def test_stems_need_tracks_and_room(database_url: str, tmp_path: Path) -> None:
    """Without any there is nothing to export; without room on the disk it is tried later, before anything is copied."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            await desk.upload("d.png", b"picture", "image/png")
            export = await desk.request("stems")
            await desk.render_next()
            failed = await desk.get(export)
            assert failed.error_message == "There is nothing to export yet. Upload or record something first."
            await desk.database.row("UPDATE uploads SET mime_type = 'audio/wav', duration_seconds = 1e12")
            export = await desk.request("stems")
            desk.storage.calls.clear()
            await desk.render_next()
            assert ((await desk.get(export)).status, desk.storage.calls, desk.mixes.songs) == ("pending", [], [])

    within_deadline(run())


def test_without_stems_there_is_a_click_to_mix(database_url: str, tmp_path: Path) -> None:
    """The project says so to the mixer."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            export = await desk.request()
            await desk.render_next()
            assert desk.mixes.projects == [Project(120, 4)]
            await desk.check_is_made(export)

    within_deadline(run())


async def all_muted(desk: Desk) -> str:
    await desk.uploads.change(desk.login, (await desk.upload()).id, Mix(muted=True))
    return MUTED


async def too_many(desk: Desk) -> str:
    await desk.upload()
    await desk.database.row(
        "WITH track AS (INSERT INTO tracks (id, name, position, chosen_id) "
        "SELECT id, 'take', 1, id FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1::int)) AS new "
        "RETURNING id) "
        "INSERT INTO uploads (id, user_id, session_id, object_key, file_name, file_size, mime_type, sha256, track_id) "
        "SELECT track.id, user_id, session_id, object_key || track.id, file_name, file_size, mime_type, sha256, "
        "track.id FROM uploads, track",
        MOST_STEMS,
    )
    return f"At most {MOST_STEMS} files can be mixed. Mute or remove some, then render again."


async def too_large(desk: Desk) -> str:
    await desk.upload()
    await desk.database.row("UPDATE uploads SET file_size = $1", MOST_BYTES + 1)
    return "The stems are too large to be mixed: at most 8 GB together. Mute or remove some, then render again."


async def lost(desk: Desk) -> str:
    await desk.upload("a.wav")
    upload = await desk.upload("b.wav")
    await desk.storage.delete((await desk.uploads.get(desk.login, upload.id)).key)
    return '"b.wav" is not there any more. Remove it if it is still listed, then render again.'


async def unusable(desk: Desk) -> str:
    return await _refused(desk, UnusableStem("There is no sound in a.txt."))


async def too_long(desk: Desk) -> str:
    return await _refused(desk, TooLong("It took too long."))


async def _refused(desk: Desk, problem: UnusableStem | TooLong) -> str:
    async def refuse(_on_progress: Callable[[float], None]) -> None:
        raise problem

    desk.mixes.meanwhile = refuse
    await desk.upload()
    return problem.message


async def removed_in_time(desk: Desk) -> str:
    """So that a beat notices it, and the mixer need not go on."""

    async def remove(_on_progress: Callable[[float], None]) -> None:
        await desk.remove_stem(upload)
        await asyncio.Event().wait()

    desk.mixes.meanwhile = remove
    await desk.upload("a.wav")
    upload = await desk.upload("b.wav")
    return '"b.wav" is not there any more. Remove it if it is still listed, then render again.'


async def removed_at_the_end(desk: Desk) -> str:
    """After the last beat."""

    async def remove(_on_progress: Callable[[float], None]) -> None:
        await desk.remove_stem(upload)

    desk.mixes.meanwhile = remove
    upload = await desk.upload("a.wav")
    return '"a.wav" is not there any more. Remove it if it is still listed, then render again.'


@pytest.mark.parametrize(
    "trouble", [all_muted, too_many, too_large, lost, unusable, too_long, removed_in_time, removed_at_the_end]
)
def test_what_cannot_be_mixed_has_failed_for_good(
    database_url: str, tmp_path: Path, trouble: Callable[[Desk], Awaitable[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """With a sentence that names what is to blame, which the room gets; nothing is put, and nothing tried again."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            sentence = await trouble(desk)
            export = await desk.request()
            await desk.render_next()
            failed = await desk.get(export)
            assert (failed.status, failed.error_message) == ("failed", sentence)
            assert desk.statuses == ["processing", "failed"]
            assert desk.announced[-1][1].error_message == sentence
            assert (desk.stored_objects(), await desk.tries(export)) == ({}, 1)
            assert desk.mixes.begun == desk.mixes.ended
            assert {key for key in await desk.unreferenced() if key.startswith("exports/")} == set()
            await desk.expire_leases()
            assert not await desk.make_worker().render_next()

    within_deadline(run())
    assert export_events(caplog) == ["export.incomplete"]


def test_the_room_gets_the_progress_but_not_too_often(database_url: str, tmp_path: Path) -> None:
    """Five times a second at most, since there may be two of them, and never back; the row has it with each beat, and
    goes back as little.
    """

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:

            async def advance(on_progress: Callable[[float], None]) -> None:
                for step in range(100):
                    on_progress(step / 100)
                    await desk.clock.sleep(0.1)
                on_progress(0.1)
                await desk.clock.sleep(2 * BEAT_S)
                rows = await desk.database.rows("SELECT progress FROM exports")
                noted.extend(row[0] for row in rows)

            noted: list[int] = []
            desk.mixes.meanwhile = advance
            await desk.upload()
            export = await desk.request()
            await desk.render_next()
            await desk.check_is_made(export)
            making = [(at_s, said.progress) for at_s, said in desk.announced if said.status == "processing"]
            progress = [progress for _, progress in making]
            assert progress == sorted(set(progress))
            assert (progress[0], 20 < len(progress) < 60) == (0, True)
            assert 94 <= progress[-1] <= 95
            times_s = [at_s for at_s, _ in making]
            assert min(after - before for before, after in pairwise(times_s)) >= PROGRESS_S * 0.99
            assert noted == [94]

    within_deadline(run())


@pytest.mark.parametrize("when", ["in time", "at the end"])
@pytest.mark.parametrize("how", ["removed", "session deleted", "taken by another"])
def test_what_is_not_ours_any_more_is_stopped(database_url: str, tmp_path: Path, how: str, when: str) -> None:
    """With the next beat, or when it is mixed; nothing is put, and no more events come from here."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            export = await desk.request()

            async def lose(_on_progress: Callable[[float], None]) -> None:
                if how == "removed":
                    await desk.exports.remove(desk.login, export.id)
                elif how == "session deleted":
                    await desk.sessions.delete(desk.login, desk.session)
                else:
                    await desk.expire_leases()
                    assert await desk.queue.take()
                if when == "in time":
                    await asyncio.Event().wait()

            desk.mixes.meanwhile = lose
            await desk.render_next()
            assert desk.mixes.ended == 1
            assert (desk.statuses, desk.stored_objects(), await desk.unreferenced()) == (["processing"], {}, {})
            assert "put" not in desk.storage.calls
            assert desk.clock.naps_s.count(BEAT_S) == 1
            if how == "taken by another":
                assert (await desk.get(export)).status == "processing"

    within_deadline(run())


def test_the_next_worker_reports_what_killed_the_others(database_url: str, tmp_path: Path) -> None:
    """It has failed, and the room knows."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            export = await desk.request()
            for _ in range(TRIES):
                assert await desk.queue.take()
                await desk.expire_leases()
            await desk.render_next()
            assert desk.mixes.begun == 0
            ((_, said),) = desk.announced
            assert (said.export_id, said.status, said.error_message) == (export.id, "failed", CRASHED)

    within_deadline(run())


def test_several_workers_make_each_export_once(database_url: str, tmp_path: Path) -> None:
    """Ten of them, three workers at once: ten files, and nothing else."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:
            await desk.upload()
            exports = [await desk.request() for _ in range(10)]
            workers = [desk.make_worker(), desk.make_worker(), desk.make_worker()]
            await asyncio.gather(*(worker.render_next() for worker in workers * 4))
            for export in exports:
                await desk.check_is_made(export)
            assert (len(desk.stored_objects()), desk.mixes.begun, await desk.unreferenced()) == (10, 10, {})

    within_deadline(run())


def test_so_many_are_made_at_once_and_no_more(database_url: str, tmp_path: Path) -> None:
    """The others wait in the database."""

    async def run() -> None:
        async with desk_at(database_url, tmp_path) as desk:

            async def take_a_while(_on_progress: Callable[[float], None]) -> None:
                await desk.clock.sleep(1.0)

            desk.mixes.meanwhile = take_a_while
            exports = [await desk.request() for _ in range(7)]
            working = asyncio.create_task(desk.make_worker(at_once=3).run())
            await desk.clock.until(lambda: len(desk.stored_objects()) == len(exports))
            working.cancel()
            await asyncio.wait({working})
            assert desk.mixes.most == 3

    within_deadline(run())
