"""Tracks: their names, their order and their takes, of which one is heard (`omnisonic.studio.uploads.tracks`)."""

from functools import partial
from itertools import pairwise
from typing import Any, Final
from uuid import uuid4

import pytest

from omnisonic.models import Upload, UploadId
from omnisonic.models.activity import ActivityEvent
from omnisonic.studio.activity import CannotUndo, ChangedSince
from omnisonic.studio.uploads import (
    Analysis,
    Mix,
    NoSuchTrack,
    Peaks,
    TrimsLeaveNothing,
    default_track_name,
)
from tests.studio.activity.band import Band, opened_band
from tests.studio.asking import NOBODY, at_once
from tests.studio.exporting import opened_mixing
from tests.studio.uploading import STEM, Studio, received

ROUNDS: Final = 20


@pytest.fixture
def band(studio: Studio) -> Band:
    return opened_band(studio)


async def brought(band: Band, name: str, take_of: UploadId | None = None, *, by: str = "ada") -> Upload:
    """A new upload in the session, on a track of its own or as a take of another."""
    login, key = band.studio.logins[by], await band.studio.begun(by, band.session)
    file = received(name=name)
    return await band.studio.uploads.commit(login, str(uuid4()), key, file, session=band.session, take_of=take_of)


async def now(band: Band) -> dict[UploadId, Upload]:
    """The uploads of the session."""
    page = await band.studio.uploads.list(band.studio.logins["bo"], band.session, limit=100)
    return {stored.upload.id: stored.upload for stored in page.uploads}


async def chosen(band: Band) -> set[UploadId]:
    return {upload.id for upload in (await now(band)).values() if upload.chosen}


async def changed_others(band: Band, upload: Upload, **mix: Any) -> set[UploadId]:
    """The other uploads that have changed when Bo changed this one."""
    change = await band.studio.uploads.change(band.studio.logins["bo"], upload.id, Mix(**mix))
    assert change.others == [(await now(band))[other.id] for other in change.others]
    return {other.id for other in change.others}


@pytest.mark.parametrize(
    ("file_name", "name"),
    [("Bass DI.wav", "Bass DI"), ("Take 1.2", "Take 1.2"), ("a.b.FLAC", "a.b"), (".wav", ".wav"), ("v.mp3 ", "v.mp3"),
     ("x.7z", "x"), ("W" * 200 + ".wav", "W" * 120), ("\u200b.wav", "\u200b.wav")],
)  # fmt: skip
def test_a_track_is_called_like_its_file(file_name: str, name: str) -> None:
    """Without the ending, if something is left that can be seen."""
    assert default_track_name(file_name) == name


async def test_tracks_have_names_and_an_order(band: Band) -> None:
    """New ones come last; each is renamed and moved by itself, also back, and nobody's elsewhere."""
    alone = await band.studio.upload("ada")
    first, second, third = [await brought(band, f"{name}.wav") for name in ("Bass", "Lead", "Drums")]
    assert [(each.name, each.position, each.take_of, each.chosen) for each in (first, second, third)] == [
        ("Bass", 1, first.id, True), ("Lead", 2, second.id, True), ("Drums", 3, third.id, True),
    ]  # fmt: skip
    assert await changed_others(band, third, name="Kit", position=1.5) == set()
    uploads = sorted((await now(band)).values(), key=lambda upload: upload.position)
    assert [(each.id, each.name) for each in uploads] == [(first.id, "Bass"), (third.id, "Kit"), (second.id, "Lead")]
    assert [event.field for event in (await band.events())[:2]] == ["position", "name"]
    assert [event.subject_id for event in (await band.events())[:2]] == [third.id] * 2
    for event in (await band.events())[:2]:
        await band.undo("ada", event)
    assert (await now(band))[third.id] == third
    assert (await band.mix("bo", third, name="")).name == "Drums"
    ada = band.studio.logins["ada"]
    change = await band.studio.uploads.change(ada, alone.id, Mix(name="Sketch", position=7, chosen=True))
    assert (change.upload.name, change.upload.position, change.others) == ("Sketch", 7, [])


async def test_tracks_are_numbered_again_when_there_is_no_room_between_two(band: Band) -> None:
    """Their order stays, whoever moves them how often; all that have changed are told."""
    first, last, *movers = [await brought(band, f"{number}.wav") for number in range(4)]
    order, told = [first.id], set[UploadId]()
    for turn in range(24):
        mover, below = movers[turn % 2], min((u for u in (await now(band)).values() if u.id != first.id),
                                             key=lambda upload: upload.position)  # fmt: skip
        if mover.id != below.id:
            top = (await now(band))[first.id].position
            told |= await changed_others(band, mover, position=(top + below.position) / 2)
        uploads = sorted((await now(band)).values(), key=lambda upload: upload.position)
        order = [upload.id for upload in uploads]
        assert order[:2] == [first.id, mover.id]
        assert min(after.position - before.position for before, after in pairwise(uploads)) > 1e-7
    assert last.id in told


async def test_a_take_comes_is_chosen_and_goes(band: Band) -> None:
    """One take of a track is heard, always: a new one is not, until it is chosen; the newest left is, if that goes."""
    studio, ada, mixing = band.studio, band.studio.logins["ada"], opened_mixing(band.studio)
    bass = await brought(band, "Bass.wav")
    await band.mix("ada", bass, name="Low end", position=4)
    second = await brought(band, "bass-2.wav", bass.id, by="bo")
    third = await brought(band, "bass-3.wav", second.id)
    for take in (second, third):
        assert (take.name, take.position, take.take_of, take.chosen) == ("Low end", 4, bass.id, False)
    assert await changed_others(band, second, chosen=True, gain_db=-3) == {bass.id}
    await mixing.request()
    assert [stem.upload.id for stem in (await mixing.take()).stems] == [second.id]
    assert await changed_others(band, second, chosen=True) == set()
    assert await changed_others(band, third, name="Bottom", position=2) == {bass.id, second.id}

    removed = await studio.uploads.remove(ada, second.id)
    assert [(other.id, other.chosen) for other in removed.others] == [(third.id, True)]
    restored = await studio.uploads.restore(ada, second.id)
    assert (restored.upload.chosen, restored.upload.name) == (True, "Bottom")
    assert [(other.id, other.chosen) for other in restored.others] == [(third.id, False)]
    await studio.uploads.remove(ada, second.id)
    assert await changed_others(band, bass, chosen=True) == {third.id}
    assert (await studio.uploads.restore(ada, second.id)).others == []
    assert await chosen(band) == {bass.id}

    await studio.uploads.remove(ada, bass.id)
    await studio.empty_bin()
    assert {take.take_of for take in (await now(band)).values()} == {bass.id}
    assert await chosen(band) == {third.id}
    fourth = await brought(band, "bass-4.wav", bass.id)
    assert (fourth.take_of, await chosen(band)) == (bass.id, {third.id})
    await studio.lose_account("bo")
    assert (await studio.base.number("SELECT count(*) FROM tracks WHERE id = $1", second.id)) == 0
    for take_of in (NOBODY, second.id, "no id", (await studio.upload("ada")).id):
        with pytest.raises(NoSuchTrack):
            await brought(band, "bass-5.wav", take_of)


async def test_of_two_who_choose_at_once_one_is_the_last(band: Band) -> None:
    """Again and again: one take is heard, and each event begins where the one before it has ended."""
    takes = [await brought(band, "1.wav")]
    takes += [await brought(band, f"{number}.wav", takes[0].id) for number in (2, 3)]
    uploads, logins, heard = band.studio.uploads, band.studio.logins, set[UploadId]()
    for turn in range(ROUNDS):
        two = takes[turn % 3], takes[(turn + 1) % 3]
        acts = [
            partial(uploads.change, logins[name], take.id, Mix(chosen=True))
            for name, take in zip(("ada", "bo"), two, strict=True)
        ]
        assert await at_once([*acts]) == ["done", "done"]
        heard = await chosen(band)
        assert len(heard) == 1
        assert heard <= {take.id for take in two}
    events = [event for event in await band.events() if event.field == "chosen"][::-1]
    assert all(before.after == after.before for before, after in pairwise(events))
    assert {str(events[-1].after)} == heard


async def test_a_choice_is_undone(band: Band) -> None:
    """The take is heard that was before, unless it is gone or another one was chosen since."""
    first = await brought(band, "1.wav")
    second = await brought(band, "2.wav", first.id)
    await band.mix("bo", second, chosen=True)
    choice = await band.newest()
    assert (choice.field, choice.subject_id, choice.before, choice.after) == ("chosen", first.id, first.id, second.id)
    undone = await band.undo("ada", choice)
    assert undone.upload is not None
    assert [undone.upload.id, *[other.id for other in undone.others]] == [first.id, second.id]
    assert await chosen(band) == {first.id}
    await band.undo("bo", undone.event)
    assert await chosen(band) == {second.id}
    await band.time_passes()
    third = await brought(band, "3.wav", first.id)
    await band.mix("bo", third, chosen=True)
    await band.time_passes()
    choice = await band.newest()
    await band.mix("ada", first, chosen=True)
    with pytest.raises(ChangedSince, match="ada"):
        await band.undo("ada", choice)
    choice = await band.newest()
    await band.studio.uploads.remove(band.studio.logins["ada"], third.id)
    assert [event.undo for event in await band.events() if event.id == choice.id] == [None]
    with pytest.raises(CannotUndo):
        await band.undo("ada", choice)


async def test_takes_are_split_off_and_joined(band: Band) -> None:
    """Also the one that the track began with; undoing it restores name, position and choice of each."""
    bass, keys = await brought(band, "Bass.wav"), await brought(band, "Keys.wav")
    take = await brought(band, "Bass 2.wav", bass.id)
    await band.mix("ada", keys, name="Piano")
    before = await now(band)

    async def moves(upload: Upload, take_of: UploadId | None) -> ActivityEvent:
        await band.time_passes()
        await band.mix("bo", upload, take_of=take_of)
        return await band.newest()

    joined = await moves(keys, bass.id)
    assert (joined.field, joined.subject_id, joined.before, joined.after) == ("takeOf", keys.id, keys.id, bass.id)
    takes = await now(band)
    assert {(each.name, each.position, each.take_of) for each in takes.values()} == {("Bass", 1, bass.id)}
    assert await chosen(band) == {bass.id}
    undone = await band.undo("ada", joined)
    assert (await now(band), undone.others) == (before, [])

    split = await moves(bass, None)
    heads = await now(band)
    assert heads[take.id].take_of == bass.id != heads[bass.id].take_of
    assert await chosen(band) == {bass.id, take.id, keys.id}
    assert (heads[bass.id].name, heads[take.id].name) == ("Bass", "Bass")
    positions = {upload.position for upload in heads.values()}
    assert len(positions) == 3
    undone = await band.undo("ada", split)
    back = await now(band)
    assert [(each.take_of, each.chosen) for each in (back[bass.id], back[take.id])] == [
        (bass.id, True),
        (bass.id, False),
    ]
    assert [other.id for other in undone.others] == [take.id]

    assert (await band.mix("bo", take, take_of=None)).take_of == take.id
    assert (await band.mix("bo", take, take_of=None)).take_of == take.id
    assert (await band.mix("bo", take, take_of=bass.id, chosen=True)).chosen
    assert await chosen(band) == {take.id, keys.id}
    elsewhere = await band.studio.upload("bo")
    for take_of in (NOBODY, elsewhere.id):
        with pytest.raises(NoSuchTrack):
            await band.mix("bo", take, take_of=take_of)
    await band.studio.people.store.delete(band.studio.logins["ada"], band.session)
    own = (await band.studio.uploads.list(band.studio.logins["ada"], None, limit=9)).uploads
    assert all(stored.upload.take_of == stored.upload.id and stored.upload.chosen for stored in own)
    assert await band.studio.base.number("SELECT count(*) FROM tracks") == len(own) + 1


async def test_trims_leave_something_to_hear(band: Band) -> None:
    """As far as the length is known; an undo that would leave nothing is refused as well."""
    upload = await brought(band, "Bass.wav")
    assert (await band.mix("ada", upload, trim_start_seconds=9)).trim_start_seconds == 9
    await band.studio.queue.finish(upload, Analysis(2, Peaks(48_000, 10.0, [1.0])))
    for mix in ({"trim_end_seconds": 0.995}, {"trim_start_seconds": 14_400}):
        with pytest.raises(TrimsLeaveNothing):
            await band.mix("ada", upload, **mix)
    trimmed = await band.mix("ada", upload, trim_end_seconds=0.9, fade_in_seconds=600, fade_out_seconds=0.5)
    assert (trimmed.trim_end_seconds, trimmed.fade_in_seconds, trimmed.fade_out_seconds) == (0.9, 600, 0.5)
    await band.time_passes()
    await band.mix("ada", upload, trim_start_seconds=1)
    shortened = await band.newest()
    await band.mix("ada", upload, trim_end_seconds=8)
    with pytest.raises(CannotUndo):
        await band.undo("bo", shortened)


async def test_a_resumable_upload_is_a_take(band: Band) -> None:
    """Meant for a track that is gone when it is finished, it is one of its own: nothing that was recorded is lost."""
    studio, ada = band.studio, band.studio.logins["ada"]
    head = await brought(band, "Bass.wav")
    finished = []
    for _ in range(2):
        resumable = await studio.resumables.create(ada, "Bass 2.wav", STEM.file_size, band.session, head.id)
        assert (await studio.resumables.get(ada, resumable.id)).take_of == head.id
        key = await studio.begun("ada", band.session)
        finished.append(await studio.resumables.finish(ada, resumable.id, key, received(name="Bass 2.wav"), offset=0))
    assert [upload.take_of for upload in finished] == [head.id] * 2
    resumable = await studio.resumables.create(ada, "Bass 3.wav", STEM.file_size, band.session, head.id)
    for upload in (head, *finished):
        await studio.uploads.remove(ada, upload.id)
    key = await studio.begun("ada", band.session)
    late = await studio.resumables.finish(ada, resumable.id, key, received(name="Bass 3.wav"), offset=0)
    assert (late.take_of, late.name, late.chosen) == (late.id, "Bass 3", True)
    with pytest.raises(NoSuchTrack):
        await studio.resumables.create(ada, "Bass 4.wav", STEM.file_size, band.session, head.id)
