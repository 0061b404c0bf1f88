"""What is heard in files of all kinds, whole, broken and malicious."""

import contextlib
import io
import random
from array import array
from pathlib import Path

import av
import pytest
from av import logging

from omnisonic.studio.media.decoding import LONGEST_S
from omnisonic.studio.media.probe import analyse
from omnisonic.studio.uploads import Analysis
from tests.http.sounds import wav
from tests.studio.media.recordings import LEVEL, SILENT_SAMPLES, recorded, samples, silence, silent_film, tone


def analyse_data(data: bytes) -> Analysis:
    """What is in this file, which has sound."""
    found = analyse(io.BytesIO(data))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("container", "codec", "rate", "film"),
    [
        ("wav", "pcm_s16le", 44_100, False),
        ("wav", "pcm_s24le", 96_000, False),
        ("wav", "pcm_f32le", 48_000, False),
        ("aiff", "pcm_s16be", 44_100, False),
        ("flac", "flac", 44_100, False),
        ("mp3", "libmp3lame", 44_100, False),
        ("ogg", "libopus", 48_000, False),
        ("ipod", "aac", 44_100, False),
        ("mp4", "aac", 44_100, True),
        ("webm", "libopus", 48_000, False),
        ("matroska", "flac", 44_100, True),
        ("avi", "libmp3lame", 44_100, True),
    ],
)
def test_sound_is_found_in_files_and_films_of_many_kinds(container: str, codec: str, rate: int, film: bool) -> None:
    """Length, rate and loudness are the tone's, as nearly as the codec keeps them."""
    found = analyse_data(tone(container, codec, seconds=2, rate=rate, film=film))
    assert found.channels == 2
    assert found.peaks.sample_rate == rate
    assert found.peaks.duration_seconds == pytest.approx(2, abs=0.05)
    assert max(found.peaks.peaks) == pytest.approx(LEVEL, abs=0.06)
    assert 2 * rate / 40 <= len(found.peaks.peaks) <= 2.1 * rate / 32 + 1


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6)])
def test_the_channels_are_counted(layout: str, channels: int) -> None:
    """From one to as many as a cinema has."""
    assert analyse_data(tone(layout=layout)).channels == channels


def test_the_waveform_shows_where_it_is_loud() -> None:
    """Silence, and then a tone on the right alone."""
    quiet, loud = samples(0.5, channels=2), samples(0.5, channels=2)
    both = array("h", bytes(len(quiet.tobytes()))) + loud
    both[::2] = array("h", bytes(len(both)))
    peaks = analyse_data(recorded(both)).peaks.peaks
    middle = len(peaks) // 2
    assert set(peaks[: middle - 1]) == {0.0}
    assert min(peaks[middle + 1 : -1]) > LEVEL * 0.9


def test_one_sample_is_a_sound() -> None:
    """The shortest that there is."""
    found = analyse_data(recorded(array("h", [16_384]), rate=8000, layout="mono"))
    assert found == Analysis(1, found.peaks)
    assert found.peaks.peaks == [0.5]
    assert found.peaks.duration_seconds == 1 / 8000


@pytest.mark.parametrize(
    "data", [silent_film(), wav(0), b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"ID3\x04" + bytes(5000)]
)
def test_where_there_is_no_sound_none_is_found(data: bytes) -> None:
    """A silent film, a recording of nothing, nothing at all, a picture, a title without a song."""
    assert analyse(io.BytesIO(data)) is None


@pytest.mark.parametrize(
    ("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus")]
)
def test_of_a_file_that_was_cut_off_the_beginning_is_analysed(container: str, codec: str) -> None:
    """As long as it is."""
    whole = tone(container, codec, seconds=4, rate=48_000)
    found = analyse_data(whole[: len(whole) // 2])
    assert found.peaks.duration_seconds == pytest.approx(2, abs=0.3)


def test_a_broken_stretch_does_not_hide_the_rest() -> None:
    """Some of a song is overwritten with noise."""
    song = bytearray(tone("mp3", "libmp3lame", seconds=4))
    song[len(song) // 2 : len(song) // 2 + 3000] = random.Random(1).randbytes(3000)
    assert analyse_data(bytes(song)).peaks.duration_seconds == pytest.approx(4, abs=0.7)


@pytest.mark.parametrize("seed", range(30))
def test_garbage_is_analysed_or_not_but_never_fails(seed: int) -> None:
    """Bytes of real files, overwritten here and there, and pure noise."""
    noise = random.Random(seed)
    analyse(io.BytesIO(noise.randbytes(20_000)))
    kind = noise.choice(
        [("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame"), ("ipod", "aac"), ("aiff", "pcm_s16be")]
    )
    broken = bytearray(tone(*kind, seconds=0.2))
    for _ in range(40):
        broken[noise.randrange(len(broken))] = noise.randrange(256)
    analyse(io.BytesIO(bytes(broken)))


def test_titles_in_no_encoding_at_all_do_no_harm() -> None:
    """A tag that is not UTF-8."""
    tagged = tone("flac", "flac", title="canary").replace(b"canary", b"\xff\xfe\xff\xfe\xff\xfe")
    assert analyse_data(tagged).channels == 2


def test_a_playlist_cannot_name_other_files(tmp_path: Path) -> None:
    """Not even behind the tag of a song, where it passes for one; the decoder by itself would have followed it."""
    (tmp_path / "secret.wav").write_bytes(tone())
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
    with contextlib.chdir(tmp_path):
        for name in ("secret.wav", tmp_path / "secret.wav"):
            playlist = f"ffconcat version 1.0\nfile '{name}'\n".encode()
            segments = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n".encode()
            with av.open(io.BytesIO(playlist), "r", options={"safe": "0"}) as followed:
                assert next(followed.decode(audio=0)).samples
            for named in (playlist, segments, tag + playlist, tag + segments):
                assert analyse(io.BytesIO(named)) is None


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("flv", "nellymoser", 44_100), ("wav", "g722", 16_000), ("avi", "adpcm_swf", 44_100)],
)
def test_a_codec_that_no_musician_uses_is_not_decoded(container: str, codec: str, rate: int) -> None:
    """FFmpeg could, but each of its decoders is one more that a file may attack."""
    assert analyse(io.BytesIO(tone(container, codec, rate=rate, layout="mono"))) is None


def test_no_decoder_of_pictures_is_asked_what_a_film_holds() -> None:
    """FFmpeg by itself tries them all when it opens a file."""
    film = tone("mpegts", "mp2", film=True)
    level = logging.get_level()
    logging.set_level(logging.VERBOSE)
    try:
        with logging.Capture() as said:
            assert analyse_data(film).channels == 2
    finally:
        logging.set_level(level)
    assert any("Codec (mpeg4) not on whitelist" in words for _, _, words in said)


def test_an_endless_sound_is_none() -> None:
    """Some kilobytes may hold hours of silence; up to the limit it is heard."""
    bomb = silence(100)
    assert len(bomb) < 20_000
    seconds = 100 * SILENT_SAMPLES / 44_100
    longest = analyse(io.BytesIO(bomb), longest_s=seconds + 0.1)
    assert longest is not None
    assert longest.peaks.duration_seconds == pytest.approx(seconds)
    assert analyse(io.BytesIO(bomb), longest_s=seconds - 0.1) is None
    assert LONGEST_S == 4 * 3600
