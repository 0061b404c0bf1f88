"""The WAVs of an export, measured, and the project played by the rules of the studio: it sounds like the mixdown."""

import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import numpy as np
import pytest
import rpp  # type: ignore[import-untyped]

from omnisonic.studio.mixdown import RATE_HZ, Mixed, Stem, UnusableStem
from omnisonic.studio.mixdown.tracks import pan_gains
from omnisonic.studio.stems import Song, SongTrack
from omnisonic.studio.stems.rendering import NO_SOUND, render_stems
from tests.studio.mixdown.sounds import Sound, file_of, file_of_bytes, mix, noise, samples_in, sine

AT: Final = datetime(2026, 3, 4, tzinfo=UTC)


def render_song(*tracks: tuple[SongTrack, BinaryIO]) -> tuple[dict[str, bytes], Mixed, list[float]]:
    """What is in the archive without its folder, what was measured, and the progress."""
    output, progress = io.BytesIO(), list[float]()
    for _, file in tracks:
        file.seek(0)
    song = Song("Night jam", AT, 120.0, 4, [track for track, _ in tracks])
    mixed = render_stems(song, [file for _, file in tracks], io.BytesIO(), output, on_progress=progress.append)
    with zipfile.ZipFile(output) as archive:
        assert archive.testzip() is None
        assert {name.partition("/")[0] for name in archive.namelist()} == {"Night jam stems"}
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}, mixed, progress


def played(files: dict[str, bytes]) -> Sound:
    """What the Reaper project plays, its pan laws being the studio's (`pan_gains`)."""
    tracks = rpp.loads(files["Night jam.rpp"].decode()).findall("TRACK")
    heard = [_play(files, track) for track in tracks if track.find("MUTESOLO")[1] == "0"]
    return np.asarray(np.sum(heard, axis=0), np.float64)


def _play(files: dict[str, bytes], track: Any) -> Sound:
    sound, rate = samples_in(files[track.find("ITEM").find("SOURCE").find("FILE")[1]])
    assert rate == RATE_HZ
    gain, pan = (float(value) for value in track.find("VOLPAN")[1:3])
    return np.asarray(sound * np.array(pan_gains(sound.shape[1], 20 * np.log10(gain), pan)), np.float64)


def difference_db(found: Sound, wanted: Sound) -> float:
    """The highest sample of the difference; what is longer has silence there."""
    length = max(len(found), len(wanted))
    padded = [np.pad(sound, ((0, length - len(sound)), (0, 0))) for sound in (found, wanted)]
    return float(20 * np.log10(np.abs(padded[0] - padded[1]).max() + 1e-12))


def test_a_project_sounds_like_the_mixdown() -> None:
    """Files of all rates, one channel and two, louder than full scale, with gains, pans, places, trims, fades; one is
    muted. What is cut at the end makes nothing longer.
    """
    bass = noise(0.7, rate=44_100) * np.hanning(30_870)[:, np.newaxis]
    stems: Sequence[tuple[Stem, BinaryIO, bool]] = [
        (Stem("Lead vox", -6.0, -0.5, 0.5), file_of(sine(440, 1.0, level_db=-20)), False),
        (
            Stem("Bass", -12.0, 0.75, 0.0123),
            file_of(bass, 44_100),
            False,
        ),
        (Stem("Keys", 3.0, 0.0, 0.0), file_of(sine(990, 0.4, rate=96_000, channels=2, level_db=-30), 96_000), False),
        (Stem("Loud", -40.0, 0.3, 0.2), file_of(sine(660, 0.3, level_db=9), subtype="FLOAT"), False),
        (Stem("Cut", 0.0, 0.1, 0.3, 0.05, 0.2, 0.1, 0.15), file_of(noise(0.6, rate=44_100), 44_100), False),
        (Stem("Guide", 0.0, 0.0, 1.0, trim_end_s=0.5), file_of(noise(2.5)), True),
    ]
    files, mixed, progress = render_song(*((SongTrack(stem, muted), file) for stem, file, muted in stems))
    assert difference_db(played(files), mix(*((stem, file) for stem, file, muted in stems if not muted))) < -110
    assert list(files) == [
        "Night jam.dawproject", "Night jam.rpp",
        "01 Lead vox.wav", "02 Bass.wav", "03 Keys.wav", "04 Loud.wav", "05 Cut.wav", "06 Guide.wav",
    ]  # fmt: skip
    sounds = {name: samples_in(content)[0] for name, content in files.items() if name.endswith(".wav")}
    assert {len(sound) for sound in sounds.values()} == {3 * RATE_HZ} == {round(mixed.duration_s * RATE_HZ)}
    assert [sound.shape[1] for sound in sounds.values()] == [1, 2, 2, 1, 2, 2]
    assert np.flatnonzero(sounds["01 Lead vox.wav"])[0] == RATE_HZ // 2 + 1
    assert (mixed.loudness_lufs, mixed.peak_dbfs, mixed.warning) == (None, None, None)
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1)


def test_samples_that_fit_come_out_as_they_are_and_the_same_song_gives_the_same_bytes() -> None:
    """24 bits at 48 kHz are not dithered. An odd number of frames of one channel gets one more: chunks are even."""
    sound = noise(0.2, channels=1)[:4801]
    first, _, _ = render_song((SongTrack(Stem("Take")), file_of(sound)))
    again, _, _ = render_song((SongTrack(Stem("Take")), file_of(sound)))
    assert first == again
    (written,) = (content for name, content in first.items() if name.endswith(".wav"))
    original = samples_in(file_of(sound).read())[0]
    assert np.array_equal(samples_in(written)[0], np.vstack([original, [[0.0]]]))


def test_a_muted_file_without_sound_is_left_out_with_a_word_and_others_end_the_export() -> None:
    """As with a mixdown, one mutes or removes it."""
    broken, lead = file_of_bytes(b"no sound in here"), file_of(sine(440, 0.1))
    files, mixed, _ = render_song((SongTrack(Stem("Broken"), is_muted=True), broken), (SongTrack(Stem("Lead")), lead))
    assert [name for name in files if name.endswith(".wav")] == ["01 Lead.wav"]
    assert mixed.warning == "'Broken' is not there: it has no sound that can be read."
    with pytest.raises(UnusableStem, match="'Broken'"):
        render_song((SongTrack(Stem("Broken")), broken))
    with pytest.raises(UnusableStem, match=NO_SOUND):
        render_song((SongTrack(Stem("Broken"), is_muted=True), broken))
