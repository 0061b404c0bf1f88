"""Listing what happened in a session, and undoing it (`omnisonic.studio.activity.activity_store`)."""

from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import uuid4

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.identity.logins import login_id, new_token
from omnisonic.studio.activity import AlreadyUndone, CannotUndo, ChangedSince, NoSuchActivity
from omnisonic.studio.activity.activity_store import ActivityStore
from omnisonic.studio.sessions import Cursor, NoSuchSession, NotSignedIn, OwnerOnly
from omnisonic.studio.uploads import BIN_DAYS, QuotaExceeded, UploaderOnly
from tests.studio.activity.band import Band, opened_band
from tests.studio.asking import NOBODY, at_once, outcome
from tests.studio.databases import DEAD_URL, base_at
from tests.studio.uploading import SIZE, Call, Studio

MIXES: Final[list[tuple[dict[str, Any], str]]] = [
    ({"gain_db": -6.1}, "gain_db"),
    ({"pan": 1 / 3}, "pan"),
    ({"muted": True}, "muted"),
    ({"offset_seconds": 1e-7}, "offset_seconds"),
]
CHANGES: Final[list[tuple[dict[str, Any], str]]] = [
    ({"name": "Late jam"}, "name"),
    ({"tempo_bpm": 97.53}, "tempo_bpm"),
    ({"beats_per_bar": 7}, "beats_per_bar"),
]


@pytest.mark.parametrize(("mix", "column"), MIXES)
async def test_a_mix_of_another_is_undone(band: Band, mix: dict[str, Any], column: str) -> None:
    """And the undo is undone: each time the value is the very one that it was, and each time it is an event."""
    upload = await band.studio.upload("ada", band.session)
    values = [getattr(upload, column), getattr(await band.mix("bo", upload, **mix), column)]
    moved = await band.newest()
    for name, who, value in (("ada", "ada", values[0]), ("bo", "bo", values[1])):
        done = await band.newest()
        undone = await band.undo(name, done)
        assert undone.upload is not None
        assert getattr(undone.upload, column) == value
        assert (await band.studio.uploads.get(band.studio.logins["ada"], upload.id)).upload == undone.upload
        assert (undone.event.actor.name, undone.event.undoes, undone.event.kind) == (who, done.id, "upload.changed")
        assert (undone.event.before, undone.event.after) == (done.after, done.before)
        assert await band.newest() == undone.event == band.told[-1]
        assert undone.event.undo is not None
    (moved_now,) = [event for event in await band.events() if event.id == moved.id]
    assert moved_now.undone_by is not None
    assert (moved_now.undone_by.name, moved_now.undo) == ("ada", None)


@pytest.mark.parametrize(("change", "column"), CHANGES)
async def test_a_change_of_the_session_is_undone_by_its_owner(band: Band, change: dict[str, Any], column: str) -> None:
    """A collaborator may not, as they may not change it."""
    ada = band.studio.logins["ada"]
    before = await band.studio.people.store.get(ada, band.session)
    await band.change(**change)
    done = await band.newest()
    assert done.undo is not None
    assert done.undo.allowed_to == [band.studio.persons["ada"].id]
    with pytest.raises(OwnerOnly):
        await band.undo("bo", done)
    undone = await band.undo("ada", done)
    now = await band.studio.people.store.get(ada, band.session)
    assert (undone.session, getattr(now, column)) == (now, getattr(before, column))
    assert isinstance(getattr(now, column), type(getattr(before, column)))


async def test_a_removal_is_undone_by_its_uploader_or_the_owner(band: Band) -> None:
    """It is as it was, and the undo can be undone, which removes it again."""
    studio = band.studio
    for uploader, other in (("bo", "ada"), ("ada", "bo")):
        upload = await studio.upload(uploader, band.session)
        await studio.uploads.remove(studio.logins["ada"], upload.id)
        removed = await band.newest()
        assert removed.undo is not None
        assert set(removed.undo.allowed_to or ()) == {studio.persons["ada"].id, upload.user_id}
        if other == "bo":
            with pytest.raises(UploaderOnly):
                await band.undo("bo", removed)
        undone = await band.undo("ada", removed)
        assert (undone.event.kind, undone.upload) == ("upload.restored", upload)
        assert (await studio.uploads.get(studio.logins[other], upload.id)).upload == upload
        assert (await band.undo("ada", undone.event)).event.kind == "upload.removed"
        assert await outcome(studio.uploads.get(studio.logins["ada"], upload.id)) == "upload_not_found"


async def test_the_same_undo_many_times_at_once_is_done_once(band: Band) -> None:
    """The others hear that it is undone already, by whom."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-6)
    moved = await band.newest()
    undos: list[Call] = [partial(band.undo, name, moved) for name in ("ada", "bo")]
    assert await at_once(undos * 5) == [AlreadyUndone.code] * 9 + ["done"]
    assert len([event for event in await band.events() if event.undoes == moved.id]) == 1
    winner = (await band.newest()).actor.name
    with pytest.raises(AlreadyUndone, match=f"{winner} has undone that"):
        await band.undo("ada", moved)


async def test_what_was_changed_since_is_not_undone(band: Band) -> None:
    """The sentence says by whom; when the value is the same again, it can be."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-6)
    moved = await band.newest()
    await band.mix("ada", upload, gain_db=-3)
    (moved_now,) = [event for event in await band.events() if event.id == moved.id]
    assert moved_now.undo is None
    with pytest.raises(ChangedSince, match="ada has changed it"):
        await band.undo("bo", moved)
    assert (await band.studio.uploads.get(band.studio.logins["ada"], upload.id)).upload.gain_db == -3
    await band.mix("ada", upload, gain_db=-6)
    assert (await band.undo("bo", moved)).event.after == 0


async def test_a_change_and_an_undo_at_the_same_time_take_turns(band: Band) -> None:
    """Whoever waits sees what the other has done: the undo is refused, and loses nothing."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-6)
    moved, outcomes = await band.newest(), list[str]()

    async def undo() -> None:
        outcomes.append(await outcome(band.undo("ada", moved)))

    held = band.studio.base.holding("UPDATE uploads SET gain_db = -12 WHERE id = $1", upload.id)
    async with trio.open_nursery() as nursery, held:
        nursery.start_soon(undo)
        await band.studio.base.once_waiting(1)
    assert outcomes == [ChangedSince.code]
    assert (await band.studio.uploads.get(band.studio.logins["ada"], upload.id)).upload.gain_db == -12


async def test_some_things_cannot_be_undone(band: Band) -> None:
    """What has no undo says so, as does what is about a file that is gone, for good or for now."""
    studio, ada = band.studio, band.studio.logins["ada"]
    upload = await studio.upload("ada", band.session)
    await band.exports.create(ada, band.session, "wav")
    for event in await band.events():
        assert event.undo is None
        with pytest.raises(CannotUndo):
            await band.undo("ada", event)
    await band.mix("bo", upload, gain_db=-6)
    moved = await band.newest()
    await studio.uploads.remove(ada, upload.id)
    removed = await band.newest()
    assert (await band.events())[1].undo is None
    with pytest.raises(CannotUndo):
        await band.undo("ada", moved)
    await studio.base.sql("UPDATE uploads SET removed_at = removed_at - $1 * interval '1 day'", BIN_DAYS)
    for _ in range(2):
        assert (await band.newest()).undo is None
        with pytest.raises(CannotUndo):
            await band.undo("ada", removed)
        await studio.empty_bin()


async def test_an_undo_needs_room_in_the_quota(studio: Studio) -> None:
    """What was removed made room for something else; nothing is undone then."""
    band = opened_band(studio, quota_bytes=SIZE)
    upload = await studio.upload("bo", band.session)
    await studio.uploads.remove(studio.logins["bo"], upload.id)
    removed = await band.newest()
    await studio.upload("bo", band.session)
    with pytest.raises(QuotaExceeded):
        await band.undo("ada", removed)
    assert (await band.newest()).kind == "upload.added"


async def test_whoever_has_no_role_finds_no_activity(band: Band) -> None:
    """Cy, also after a look at their own session; a stranger is to sign in; and other ids are those of nothing."""
    upload = await band.studio.upload("ada", band.session)
    await band.mix("bo", upload, gain_db=-6)
    moved = await band.newest()
    ada, cy, stranger = band.studio.logins["ada"], band.studio.logins["cy"], login_id(new_token())
    cys = await band.studio.people.store.create(cy, "Cy's jam")
    expected: list[tuple[str, str, str, type[OmnisonicError]]] = [
        (cy, band.session, moved.id, NoSuchSession),
        (cy, cys.id, moved.id, NoSuchActivity),
        (cy, "no uuid", moved.id, NoSuchSession),
        (ada, band.session, NOBODY, NoSuchActivity),
        (ada, band.session, "no uuid", NoSuchActivity),
        (stranger, band.session, moved.id, NotSignedIn),
    ]
    for login, session, event, error in expected:
        with pytest.raises(error):
            await band.activity.undo(login, session, event)
    for login, session, listed in (
        (cy, band.session, NoSuchSession),
        (cy, "no uuid", NoSuchSession),
        (stranger, band.session, NotSignedIn),
    ):
        with pytest.raises(listed):
            await band.activity.list(login, session, limit=1)
    assert (await band.newest()) == moved


async def test_the_list_is_newest_first_page_by_page(band: Band) -> None:
    """All of them once; the last page has no cursor, though it is full; a cursor may be a time."""
    ada = band.studio.logins["ada"]
    for bpm in range(121, 126):
        await band.change(tempo_bpm=bpm)
        await band.time_passes()
    everything, seen, before = await band.events(), [], None
    assert len(everything) == 6
    while True:
        page = await band.activity.list(ada, band.session, limit=2, before=before)
        assert len(page.events) == 2
        seen += page.events
        if page.next_before is None:
            break
        before = page.next_before
    assert seen == everything
    assert [event.after for event in seen] == [125, 124, 123, 122, 121, None]
    long_ago = Cursor(datetime(2000, 1, 1, tzinfo=UTC), "no uuid")
    assert (await band.activity.list(ada, band.session, limit=2, before=long_ago)).events == []


async def test_without_a_database_nothing_is_undone(thread: AsyncioThread) -> None:
    """Both calls say so."""
    async with base_at(DEAD_URL, thread) as dead:
        store = dead.of(ActivityStore(dead.database))
        for call in (partial(store.list, "", str(uuid4()), limit=1), partial(store.undo, "", str(uuid4()), NOBODY)):
            with pytest.raises(Unavailable):
                await call()
