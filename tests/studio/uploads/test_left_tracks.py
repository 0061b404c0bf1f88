"""Tracks that are gone since an upload left them, and come back by an undo (`omnisonic.studio.uploads.tracks`)."""

import pytest

from omnisonic.models import Upload, UploadId
from omnisonic.models.activity import ActivityEvent
from omnisonic.studio.activity import CannotUndo
from tests.studio.activity.band import Band, opened_band
from tests.studio.uploading import Studio
from tests.studio.uploads.test_tracks import brought, now


@pytest.fixture
def band(studio: Studio) -> Band:
    return opened_band(studio)


async def move(band: Band, upload: Upload, take_of: UploadId | None) -> ActivityEvent:
    """What is recorded when Bo moves it to another track."""
    await band.time_passes()
    await band.mix("bo", upload, take_of=take_of)
    return await band.newest()


async def is_there(band: Band, track: str) -> bool:
    return await band.studio.base.number("SELECT count(*) FROM tracks WHERE id = $1", track) == 1


async def left_alone(band: Band) -> tuple[Upload, Upload]:
    """The last take of a track whose first upload is deleted for good, called Solo, and another track, the Bass."""
    first, bass = [await brought(band, f"{name}.wav") for name in ("Lead", "Bass")]
    take = await brought(band, "Lead 2.wav", first.id)
    await band.mix("ada", take, name="Solo", position=-3.25)
    await band.studio.uploads.remove(band.studio.logins["ada"], first.id)
    await band.studio.empty_bin()
    uploads = await now(band)
    return uploads[take.id], uploads[bass.id]


async def test_a_track_that_went_with_its_last_take_comes_back_with_it(band: Band) -> None:
    """With its name and its place, and nothing of the track from which the take comes; the undo is undone as well."""
    take, bass = await left_alone(band)
    before = await now(band)
    moved = await move(band, take, bass.id)
    after = await now(band)
    assert not await is_there(band, take.take_of)
    for undone in range(3):
        moved = (await band.undo("ada", moved)).event
        assert await now(band) == (after if undone % 2 else before)


async def test_a_part_that_was_split_off_and_renamed_comes_back_as_it_was(band: Band) -> None:
    """The track of a split has an id of its own: it is gone as soon as its take is back, and is made again."""
    bass = await brought(band, "Bass.wav")
    await brought(band, "Bass 2.wav", bass.id)
    split = await move(band, bass, None)
    heads = await now(band)
    joined = (await band.undo("ada", split)).event
    assert not await is_there(band, heads[bass.id].take_of)
    await band.undo("ada", joined)
    assert await now(band) == heads
    await band.mix("bo", bass, name="Double", position=7.5)
    heads = await now(band)
    for by_undo in (False, True):
        joined = (await band.undo("ada", joined)).event if by_undo else await move(band, bass, str(split.before))
        assert not await is_there(band, heads[bass.id].take_of)
        joined = (await band.undo("bo", joined)).event
        assert await now(band) == heads


async def test_a_track_of_which_nothing_is_known_does_not_come_back(band: Band) -> None:
    """What earlier releases recorded has no names of tracks: rather than another one, there is none."""
    take, bass = await left_alone(band)
    moved = await move(band, take, bass.id)
    await band.studio.base.sql("UPDATE activity SET before_name = NULL, before_position = NULL")
    after = await now(band)
    with pytest.raises(CannotUndo, match="The track is not there"):
        await band.undo("ada", moved)
    assert await now(band) == after
    assert await band.newest() == moved
