"""What is in files of all kinds comes out when it is to be heard, and as loud: the mix, and what is heard of each."""

import io
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pytest

from omnisonic.studio.media.probe import analyse
from omnisonic.studio.mixdown import RATE_HZ, Stem
from tests.studio.mixdown.placed_files import (
    AFTER_PAUSE_S,
    CHIRPS_S,
    LATE_S,
    LENGTH_S,
    MONO_DB,
    PAUSE_S,
    Packets,
    chirps,
    encoded,
    found,
    vorbis,
    written,
)
from tests.studio.mixdown.sounds import file_of_bytes, mix

NEAR_S: Final = 0.001
NEAR_DB: Final = 0.1
QUIET: Final = 0.1
"""Less than this is before a chirp."""


class Case(NamedTuple):
    """A file, and what is wanted of it: when the chirps begin, how long all is, and how loud a chirp is by itself."""

    name: str
    data: Callable[[], bytes]
    chirps_s: Sequence[float] = CHIRPS_S
    length_s: float = LENGTH_S
    level_db: float = 0.0


def late(begins_s: Sequence[float], by_s: float = LATE_S) -> list[float]:
    """The same, later."""
    return [begin_s + by_s for begin_s in begins_s]


def chain(*files: Callable[[], bytes]) -> Callable[[], bytes]:
    """One after the other."""
    return lambda: b"".join(file() for file in files)


def opus(layout: str = "stereo") -> Callable[[], bytes]:
    """A link of a chain."""
    return lambda: encoded("ogg", "libopus", layout=layout, bits_per_s=450_000)


TWICE: Final = [*CHIRPS_S, *late(CHIRPS_S, LENGTH_S)]
THRICE: Final = [*TWICE, *late(CHIRPS_S, 2 * LENGTH_S)]
PAUSED: Final = Packets(has_pause=True)
LATE: Final = Packets(late_s=LATE_S, is_film=True)
LATE_AND_PAUSED: Final = Packets(late_s=LATE_S, has_pause=True, is_film=True)
LONGER_S: Final = LENGTH_S + PAUSE_S

CASES: Final = [
    Case("wav u8 8 kHz mono", written("WAV", "PCM_U8", 8_000, 1), level_db=MONO_DB),
    Case("wav s16 44.1 kHz", written("WAV", "PCM_16", 44_100, 2)),
    Case("wav s24 96 kHz 6 channels", written("WAV", "PCM_24", 96_000, 6)),
    Case("wav f32 192 kHz", written("WAV", "FLOAT", 192_000, 2)),
    Case("wav f64 48 kHz 4 channels", written("WAV", "DOUBLE", 48_000, 4)),
    Case("rf64 s24 88.2 kHz", written("RF64", "PCM_24", 88_200, 2)),
    Case("w64 s32 176.4 kHz 3 channels", written("W64", "PCM_32", 176_400, 3)),
    Case("aiff s24 44.1 kHz 5 channels", written("AIFF", "PCM_24", 44_100, 5)),
    Case("aiff-c sowt 22.05 kHz", lambda: encoded("aiff", "pcm_s16le", 22_050)),
    Case("caf s24 32 kHz mono", written("CAF", "PCM_24", 32_000, 1), level_db=MONO_DB),
    Case("au s16 16 kHz", written("AU", "PCM_16", 16_000, 2)),
    Case("flac s24 192 kHz", written("FLAC", "PCM_24", 192_000, 2)),
    Case("flac s16 11.025 kHz mono", written("FLAC", "PCM_16", 11_025, 1), level_db=MONO_DB),
    Case("wv 48 kHz 6 channels", lambda: encoded("wv", "wavpack", layout="5.1")),
    Case("tta 44.1 kHz", lambda: encoded("tta", "tta", 44_100)),
    Case("mp3 44.1 kHz, priming", lambda: encoded("mp3", "libmp3lame", 44_100)),
    Case(
        "mp3 32 kHz mono, priming",
        lambda: encoded("mp3", "libmp3lame", 32_000, "mono"),
        level_db=MONO_DB,
    ),
    Case("ogg opus, priming", lambda: encoded("ogg", "libopus")),
    Case("ogg vorbis 44.1 kHz, priming", vorbis(44_100)),
    Case(
        "ogg chain, opus stereo and 6 channels",
        chain(opus(), opus("5.1")),
        TWICE,
        2 * LENGTH_S,
    ),
    Case(
        "ogg chain, vorbis 48 and 44.1 kHz",
        chain(vorbis(), vorbis(44_100)),
        TWICE,
        2 * LENGTH_S,
    ),
    Case(
        "ogg chain, opus, flac, vorbis",
        chain(opus(), lambda: encoded("ogg", "flac", 44_100), vorbis(32_000)),
        THRICE,
        3 * LENGTH_S,
    ),
    Case("webm opus, pause", lambda: encoded("webm", "libopus", put=PAUSED), AFTER_PAUSE_S, LONGER_S),
    Case("webm opus from 5 s on", lambda: encoded("webm", "libopus", put=Packets(late_s=5))),
    Case("mkv flac 96 kHz, pause", lambda: encoded("matroska", "flac", 96_000, put=PAUSED), AFTER_PAUSE_S, LONGER_S),
    Case(
        "mkv pcm s16 48 kHz, late and pause",
        lambda: encoded("matroska", "pcm_s16le", put=LATE_AND_PAUSED),
        late(AFTER_PAUSE_S),
        LONGER_S + LATE_S,
    ),
    Case("m4a aac 44.1 kHz, priming", lambda: encoded("ipod", "aac", 44_100)),
    Case("m4a alac 44.1 kHz, pause", lambda: encoded("ipod", "alac", 44_100, put=PAUSED), AFTER_PAUSE_S, LONGER_S),
    Case("mp4 opus, priming", lambda: encoded("mp4", "libopus")),
    Case(
        "mp4 flac 48 kHz, late",
        lambda: encoded("mp4", "flac", put=LATE),
        late(CHIRPS_S),
        LENGTH_S + LATE_S,
    ),
    Case(
        "mov pcm f32 48 kHz 6 channels, late",
        lambda: encoded("mov", "pcm_f32le", layout="5.1", put=LATE),
        late(CHIRPS_S),
        LENGTH_S + LATE_S,
    ),
    Case("avi pcm s16 44.1 kHz", lambda: encoded("avi", "pcm_s16le", 44_100, put=Packets(is_film=True))),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_in_a_file_is_mixed_at_its_time_and_as_loud(case: Case) -> None:
    """Within a millisecond; and what is heard of the file is as long as the mix, and shows the same times."""
    data = case.data()
    mixed = mix((Stem("a"), file_of_bytes(data)))
    for row in mixed.T:
        chirps_found = found(row, case.chirps_s)
        assert [chirp.begins_s for chirp in chirps_found] == pytest.approx(case.chirps_s, abs=NEAR_S)
        for chirp in chirps_found:
            assert chirp.level_db == pytest.approx(case.level_db, abs=NEAR_DB)
    assert len(mixed) / RATE_HZ == pytest.approx(case.length_s, abs=NEAR_S)
    received = analyse(io.BytesIO(data))
    assert received is not None
    assert received.peaks.duration_seconds == pytest.approx(len(mixed) / RATE_HZ, abs=NEAR_S)
    assert_shown(received.peaks.peaks, received.peaks.duration_seconds, case.chirps_s)


def assert_shown(peaks: list[float], length_s: float, chirps_s: Sequence[float]) -> None:
    """Each chirp is loud where it is, and it is quiet before it, as finely as the waveform is drawn."""
    stretch_s = length_s / len(peaks)
    for begins_s in chirps_s:
        inside = int((begins_s + 0.02) / stretch_s)
        assert max(peaks[inside : inside + 3]) > 0.3
        before = peaks[max(int((begins_s - 0.05) / stretch_s), 0) : int((begins_s - 0.01) / stretch_s)]
        assert max(before) < QUIET


def test_the_cases_are_of_thirty_files_and_ten_containers() -> None:
    """As many as are promised."""
    assert len(CASES) >= 30
    assert len({case.name.split()[0] for case in CASES}) >= 10
    assert len(chirps(8_000)) == LENGTH_S * 8_000


def test_silence_is_not_a_chirp() -> None:
    """The measure finds nothing where there is nothing."""
    assert all(chirp.level_db < -60 for chirp in found(np.zeros(3 * RATE_HZ), CHIRPS_S))
