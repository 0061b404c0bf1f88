"""What happens in a session is recorded, in the transaction of the change (`omnisonic.studio.activity.recording`)."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest
import trio
from asyncpg.exceptions import RaiseError

from omnisonic.models.activity import Actor
from omnisonic.studio.activity.recording import record
from omnisonic.studio.uploads import UploaderOnly
from tests.studio.activity.band import Band
from tests.studio.asking import CLOCKS_S, at_once, outcome
from tests.studio.uploading import STEM, Call

REFUSE: Final = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more rows'; END $$;
CREATE TRIGGER refusing BEFORE INSERT ON activity FOR EACH ROW EXECUTE FUNCTION refuse();
"""
ROWS: Final = "SELECT count(*) FROM activity"


async def test_each_doing_is_an_event(band: Band) -> None:
    """Who, what, of what, with the values before and after; those who are in the room are told of the same."""
    studio, ada, bo = band.studio, band.studio.logins["ada"], band.studio.logins["bo"]
    bos = studio.persons["bo"]
    upload = await studio.upload("bo", band.session)
    await band.mix("ada", upload, gain_db=-6.5)
    await band.mix("bo", upload, pan=0.25)
    await band.mix("bo", upload, muted=True)
    await band.mix("bo", upload, offset_seconds=2.5)
    await studio.uploads.remove(ada, upload.id)
    await studio.uploads.restore(bo, upload.id)
    export = await band.exports.create(bo, band.session, "wav")
    await band.exports.remove(ada, export.id)
    await band.change(name="Late jam")
    await band.change(tempo_bpm=97.5)
    await band.change(beats_per_bar=3)
    await studio.people.store.remove(ada, band.session, bos.id)
    assert await band.shown() == [
        ("ada", "member.removed", None, None, None),
        ("ada", "session.changed", "beatsPerBar", 4, 3),
        ("ada", "session.changed", "tempoBpm", 120, 97.5),
        ("ada", "session.changed", "name", "Night jam", "Late jam"),
        ("ada", "export.removed", None, None, None),
        ("bo", "export.requested", None, None, None),
        ("bo", "upload.restored", "removed", True, False),
        ("ada", "upload.removed", "removed", False, True),
        ("bo", "upload.changed", "offsetSeconds", 0, 2.5),
        ("bo", "upload.changed", "muted", False, True),
        ("bo", "upload.changed", "pan", 0, 0.25),
        ("ada", "upload.changed", "gainDb", 0, -6.5),
        ("bo", "upload.added", None, None, None),
        ("bo", "member.joined", None, None, None),
    ]
    events = (await band.events())[::-1]
    subjects = [(event.subject_id, event.subject_name) for event in events]
    assert subjects[0] == subjects[-1] == (bos.id, "bo")
    assert subjects[1] == (upload.id, STEM.file_name)
    assert set(subjects[2:8]) == {(upload.id, upload.name)}
    assert subjects[8] == (export.id, "Night jam.wav")
    assert subjects[10:13] == [(band.session, "Night jam"), *[(band.session, "Late jam")] * 2]
    assert [(event.id, event.kind, event.before, event.after) for event in band.told] == [
        (event.id, event.kind, event.before, event.after) for event in events[1:]
    ]
    assert abs(events[-1].at - datetime.now(UTC)) < timedelta(seconds=CLOCKS_S)


async def test_who_leaves_has_left(band: Band) -> None:
    """By themselves, which is something else than being removed; joining again is joining."""
    bo = band.studio.logins["bo"]
    await band.studio.people.store.remove(bo, band.session, band.studio.persons["bo"].id)
    await band.studio.people.store.accept(bo, "digest")
    await band.studio.people.store.accept(bo, "digest")
    assert [event.kind for event in await band.events()] == ["member.joined", "member.left", "member.joined"]


async def test_an_upload_in_pieces_is_added_once(band: Band) -> None:
    """When it is finished."""
    studio = band.studio
    resumable = await studio.resumable("bo", band.session)
    assert [event.kind for event in await band.events()] == ["member.joined"]
    key = await studio.begun("bo")
    await studio.resumables.finish(studio.logins["bo"], resumable.id, key, STEM, offset=0)
    assert ((await band.newest()).kind, band.told[-1].subject_id) == ("upload.added", resumable.id)


async def test_what_changes_nothing_is_no_event(band: Band) -> None:
    """The same value, no value, and what is done to an upload that is in no session."""
    upload, alone = await band.studio.upload("ada", band.session), await band.studio.upload("ada")
    before = await band.events()
    await band.mix("ada", upload, gain_db=0, muted=False)
    await band.mix("ada", upload)
    await band.change(tempo_bpm=120, name="Night jam")
    await band.mix("ada", alone, gain_db=-6)
    await band.studio.uploads.remove(band.studio.logins["ada"], alone.id)
    assert await band.events() == before


async def test_two_values_at_once_are_two_events(band: Band) -> None:
    """Each with an undo of its own."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("ada", upload, gain_db=-6, muted=True)
    assert (await band.shown())[:2] == [
        ("ada", "upload.changed", "muted", False, True),
        ("ada", "upload.changed", "gainDb", 0, -6),
    ]


async def test_a_fader_in_one_hand_is_one_event(band: Band) -> None:
    """From where it was first to where it is last; the others are told of the same event again."""
    upload = await band.studio.upload("ada", band.session)
    for gain_db in (-1, -2, -3.5):
        await band.mix("bo", upload, gain_db=gain_db)
        await band.mix("ada", upload, pan=gain_db / 10)
    gain, pan = (("bo", "upload.changed", "gainDb", 0, -3.5), ("ada", "upload.changed", "pan", 0, -0.35))
    assert (await band.shown())[:3] == [pan, gain, ("ada", "upload.added", None, None, None)]
    moved = [event for event in band.told if event.field == "gainDb"]
    assert len({event.id for event in moved}) == 1
    assert [event.after for event in moved] == [-1, -2, -3.5]


async def test_another_hand_or_another_time_is_another_event(band: Band) -> None:
    """Also the same person's after somebody else's, and after half a minute."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-1)
    await band.mix("ada", upload, gain_db=-2)
    await band.mix("bo", upload, gain_db=-3)
    await band.time_passes()
    await band.mix("bo", upload, gain_db=-4)
    moved = [(who, before, after) for who, _, field, before, after in await band.shown() if field == "gainDb"]
    assert moved == [("bo", -3, -4), ("bo", -2, -3), ("ada", -1, -2), ("bo", 0, -1)]


async def test_a_fader_that_is_back_has_nothing_to_undo(band: Band) -> None:
    """It is still told that somebody moved it; further on, there is something again."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-6)
    await band.mix("bo", upload, gain_db=0)
    back = await band.newest()
    assert (back.before, back.after, back.undo) == (0, 0, None)
    await band.mix("bo", upload, gain_db=-3)
    further = await band.newest()
    assert (further.id, further.after, further.undo is None) == (back.id, -3, False)


async def test_many_moves_at_once_are_one_event(band: Band) -> None:
    """Whichever comes last is the value after; none is lost between two."""
    upload = await band.studio.upload("ada", band.session)
    moves: list[Call] = [partial(band.mix, "bo", upload, gain_db=-number) for number in range(1, 21)]
    assert await at_once(moves) == ["done"] * 20
    (moved,) = [event for event in await band.events() if event.field == "gainDb"]
    now = (await band.studio.uploads.get(band.studio.logins["ada"], upload.id)).upload
    assert (moved.before, moved.after) == (0, now.gain_db)


async def test_a_change_that_fails_leaves_no_event(band: Band) -> None:
    """Neither by rights nor by what is asked for."""
    upload = await band.studio.upload("ada", band.session)
    before = await band.studio.base.number(ROWS)
    with pytest.raises(UploaderOnly):
        await band.studio.uploads.remove(band.studio.logins["bo"], upload.id)
    assert await outcome(band.mix("cy", upload, gain_db=-6)) == "upload_not_found"
    assert await outcome(band.exports.create(band.studio.logins["cy"], band.session, "wav")) == "session_not_found"
    assert await band.studio.base.number(ROWS) == before
    assert [event.kind for event in band.told] == ["upload.added"]


async def test_what_cannot_be_recorded_is_not_done(band: Band) -> None:
    """The change goes back with it, and nobody is told."""
    studio, ada = band.studio, band.studio.logins["ada"]
    upload = await studio.upload("ada", band.session)
    await studio.base.thread.call(_execute, band, REFUSE, timeout_s=10)
    calls: list[Call] = [
        partial(band.mix, "bo", upload, gain_db=-6),
        partial(studio.uploads.remove, ada, upload.id),
        partial(studio.upload, "ada", band.session),
        partial(band.change, name="Late jam"),
        partial(studio.people.store.remove, ada, band.session, studio.persons["bo"].id),
        partial(band.exports.create, ada, band.session, "wav"),
    ]
    for call in calls:
        with pytest.raises(RaiseError):
            await call()
    assert [stored.upload for stored in (await studio.uploads.list(ada, band.session, limit=10)).uploads] == [upload]
    assert (await studio.people.store.get(ada, band.session)).name == "Night jam"
    assert [person.name for person in await studio.people.store.collaborators(ada, band.session)] == ["bo"]
    assert await band.exports.list(ada, band.session) == []
    assert [event.kind for event in band.told] == ["upload.added"]


async def test_a_change_that_is_killed_half_way_is_none(band: Band) -> None:
    """The database ends the connection while the change waits to be recorded: neither change nor event."""
    studio = band.studio
    upload = await studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-1)
    held = studio.base.holding("SELECT FROM activity WHERE field = 'gainDb' FOR UPDATE")
    outcomes: list[str] = []

    async def change() -> None:
        outcomes.append(await outcome(band.mix("bo", upload, gain_db=-6)))

    async with held, trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await studio.base.once_waiting(1)
        await studio.base.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    assert outcomes == ["unavailable"]
    assert (await studio.uploads.get(studio.logins["ada"], upload.id)).upload.gain_db == -1
    assert (await band.newest()).after == -1
    assert [event.after for event in band.told] == [None, -1]


async def test_a_session_keeps_so_many_events(band: Band) -> None:
    """One more removes the oldest of this session, and none of another's."""
    studio, ada = band.studio, band.studio.logins["ada"]
    other = await studio.people.store.create(ada, "Other jam")
    await studio.upload("ada", other.id)

    async def record_one(number: int) -> list[Any]:
        async with studio.base.database.transaction() as connection:
            return await record(
                connection,
                session=band.session,
                actor=studio.persons["ada"].id,
                kind="upload.added",
                subject=studio.persons["ada"].id,
                name=f"take {number}",
                most_events=5,
            )

    for number in range(8):
        await studio.base.thread.call(record_one, number, timeout_s=10)
    names = [event.subject_name for event in await band.events()]
    assert names == [f"take {number}" for number in range(7, 2, -1)]
    assert len(await band.events(session=other.id)) == 1


async def test_events_outlive_who_did_them(band: Band) -> None:
    """The name stays as it was, without an id; a session takes its events along."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-6)
    await band.studio.base.sql("UPDATE users SET name = 'Beau' WHERE name = 'bo'")
    bo = band.studio.persons["bo"].id
    assert (await band.newest()).actor == Actor(bo, "bo")
    await band.studio.lose_account("bo")
    assert (await band.newest()).actor == Actor(None, "bo")
    await band.studio.people.store.delete(band.studio.logins["ada"], band.session)
    assert await band.studio.base.number(ROWS) == 0


async def _execute(band: Band, script: str) -> None:
    async with band.studio.base.database.connection() as connection:
        await connection.execute(script)
