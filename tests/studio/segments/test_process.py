"""Segments are what the mixdown hears of a file, sample for sample, whatever the file is."""

import io
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pytest

from omnisonic.studio.mixdown import RATE_HZ
from omnisonic.studio.segments import Cut, NoSegments
from omnisonic.studio.segments.process import SEGMENT_FRAMES, cut_file
from tests.http.sounds import png, wav
from tests.studio.media.recordings import silent_film
from tests.studio.mixdown.placed_files import AS_IT_IS, Packets, encoded
from tests.studio.mixdown.sounds import file_of, noise
from tests.studio.segments.hearing import STEP, heard_by_mixdown, heard_in_segments

LENGTH_S: Final = 10.3
"""One seam."""
FLOAT_STEPS: Final = 3.0
"""How far apart floats of 32 bits may be that were computed in another order, in steps of 24 bits."""


def cut(data: bytes) -> tuple[list[bytes], Cut]:
    """The segments of this file."""
    segments = list[bytes]()
    return segments, cut_file(io.BytesIO(data), segments.append)


def assert_exact(data: bytes) -> Cut:
    """The segments are what the mixdown hears: to the sample in 16 bits, else within rounding to 24."""
    segments, made = cut(data)
    wanted, found = heard_by_mixdown(io.BytesIO(data)), heard_in_segments(segments, made)
    assert found.shape == wanted.shape
    steps = 0.5 if made.bits == 16 else FLOAT_STEPS + made.gain / 2
    assert np.abs(found - wanted).max() <= steps * STEP
    assert np.abs(wanted).max() > 1_000 * STEP
    return made


def phone(container: str, codec: str, rate: int = RATE_HZ, layout: str = "stereo", put: Packets = AS_IT_IS) -> bytes:
    """Noise as a phone records it. No moment of it is like another, so nothing can be shifted unnoticed."""
    channels = 1 if layout == "mono" else 2
    return encoded(container, codec, rate, layout, sound=noise(LENGTH_S, channels=channels, rate=rate), put=put)


class Kind(NamedTuple):
    """A file, and what its segments have: channels and bits."""

    name: str
    data: Callable[[], bytes]
    channels: int
    bits: int


def written(rate: int, channels: int, subtype: str, kind: str = "WAV") -> Callable[[], bytes]:
    return lambda: file_of(noise(LENGTH_S, channels=channels, rate=rate), rate, kind, subtype).read()


KINDS: Final = [
    Kind("wav 16 bits", written(48_000, 2, "PCM_16"), 2, 16),
    Kind("wav 16 bits, mono", written(48_000, 1, "PCM_16"), 1, 16),
    Kind("flac 24 bits", written(48_000, 2, "PCM_24", "FLAC"), 2, 24),
    Kind("wav 44.1 kHz", written(44_100, 2, "PCM_16"), 2, 24),
    Kind("wav 44.1 kHz, mono", written(44_100, 1, "PCM_16"), 1, 24),
    Kind("wav 6 channels", written(48_000, 6, "PCM_16"), 2, 24),
    Kind("m4a aac, priming", lambda: phone("ipod", "aac", 44_100), 2, 24),
    Kind("m4a aac, mono", lambda: phone("ipod", "aac", 48_000, "mono"), 1, 24),
    Kind("webm opus, mono", lambda: phone("webm", "libopus", layout="mono"), 1, 24),
    Kind("webm opus, with a pause", lambda: phone("webm", "libopus", put=Packets(has_pause=True)), 2, 24),
    Kind("mp3, encoder delay", lambda: phone("mp3", "libmp3lame", 44_100), 2, 24),
]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_segments_are_what_the_mixdown_hears(kind: Kind) -> None:
    """Length, place and samples; and no bits more than it needs."""
    made = assert_exact(kind.data())
    assert (made.channels, made.bits, made.gain, made.warning) == (kind.channels, kind.bits, 1, None)


@pytest.mark.parametrize("seed", range(4))
def test_so_are_those_of_any_rate_and_length(seed: int) -> None:
    """A rate that nobody uses, a length that fits nowhere."""
    chance = np.random.default_rng(seed)
    rate, channels = int(chance.integers(8_000, 100_000)), int(chance.integers(1, 4))
    subtype = str(chance.choice(["PCM_U8", "PCM_16", "PCM_24", "FLOAT"]))
    sound = noise(chance.uniform(0.01, 21), channels=channels, rate=rate, seed=seed)
    assert_exact(file_of(sound, rate, "WAV", subtype).read())


@pytest.mark.parametrize("frames", [1, SEGMENT_FRAMES, SEGMENT_FRAMES + 1])
def test_the_last_segment_is_what_is_left(frames: int) -> None:
    """Never an empty one; one of a single sample, when that is left."""
    segments, made = cut(file_of(np.full((frames, 1), 0.25), subtype="PCM_16").read())
    assert (len(segments), made.frames) == (-(-frames // SEGMENT_FRAMES), frames)
    assert heard_in_segments(segments, made).shape[1] == frames


def test_what_is_louder_than_full_scale_is_not_clipped() -> None:
    """The mixdown keeps it for its limiter, so segments do, too: divided by a power of two."""
    sound = noise(1, level=0.5)
    assert abs(sound).max() > 2
    made = assert_exact(file_of(sound, subtype="FLOAT").read())
    assert (made.bits, made.gain) == (24, 4)


def test_where_one_channel_becomes_two_all_segments_have_two() -> None:
    """One is in both, 3 dB down, as it is mixed."""
    both = phone("ogg", "libopus", layout="mono") + phone("ogg", "libopus")
    assert assert_exact(both).channels == 2


def test_of_a_file_that_breaks_off_the_beginning_is_cut_and_it_says_so() -> None:
    """As long as the mixdown hears it."""
    whole = file_of(noise(4)).read()
    data = whole[: len(whole) // 2]
    assert assert_exact(data).warning == "This file was cut off: 2.0 of 4.0 seconds are there."


@pytest.mark.parametrize("data", [b"", png(), wav(0), silent_film(), b"Song ideas: more cowbell.\n" * 40])
def test_a_file_without_sound_has_no_segments(data: bytes) -> None:
    """And that is said."""
    with pytest.raises(NoSegments, match="There is no sound in this file"):
        cut(data)
