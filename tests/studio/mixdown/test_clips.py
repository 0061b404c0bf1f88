"""Trims and fades: what is heard of a stem, exact to the sample (`omnisonic.studio.mixdown.clips`)."""

from contextlib import closing

import numpy as np
import pytest

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Samples
from omnisonic.studio.mixdown.clips import Clip
from omnisonic.studio.mixdown.readers import StemReader
from tests.studio.mixdown.sounds import Sound, file_of, file_of_bytes, mix, noise, render_mix

LENGTH_S = 1.5
ALMOST_DB = -120.0
"""What rounding to 32 bits may differ by."""


def heard(*stems: Stem, rate: int = RATE_HZ, channels: int = 2, length_s: float = LENGTH_S) -> Samples:
    """The sum of these stems of the same noise, before it is mastered."""
    files = [file_of(noise(length_s, rate=rate, channels=channels), rate) for _ in stems]
    with closing(StemReader(list(zip(stems, files, strict=True)))) as reader:
        reader.open()
        blocks = [reader.read(BLOCK_FRAMES)]
        while blocks[-1].shape[1] == BLOCK_FRAMES:
            blocks.append(reader.read(BLOCK_FRAMES))
    return np.concatenate(blocks, axis=1)


def expected(whole: Samples, stem: Stem) -> Sound:
    """What the formula in docs/exports.md makes of a whole sound, frame by frame."""
    length = whole.shape[1]

    def frame(seconds: float) -> int:
        return int(np.floor(seconds * 48_000 + 0.5))

    a, b = frame(stem.trim_start_s), length - frame(stem.trim_end_s)
    i, u = (min(frame(fade_s), b - a) for fade_s in (stem.fade_in_s, stem.fade_out_s))
    k = np.arange(a, b)
    gains = np.minimum(1, (k - a) / i if i else 1) * np.minimum(1, (b - k) / u if u else 1)
    shaped = np.zeros((2, frame(stem.offset_s) + b))
    shaped[:, frame(stem.offset_s) + a :] = whole[:, a:b] * gains
    return shaped


@pytest.mark.parametrize(
    "clip",
    [
        {"trim_start_s": 0.25, "offset_s": 0.1},
        {"trim_end_s": 0.7000104, "offset_s": 1.00001},
        {"fade_in_s": 0.9, "fade_out_s": 0.00002},
        {"fade_in_s": 600},
        {"trim_start_s": 0.1, "trim_end_s": 0.2, "fade_in_s": 1.0, "fade_out_s": 600, "gain_db": -7, "pan": 0.4},
    ],
)
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (44_100, 2), (96_000, 2)])
def test_what_is_heard_is_exact(clip: dict[str, float], rate: int, channels: int) -> None:
    """Cut without moving, faded in a straight line, in place, at any rate; fades may overlap."""
    stem = Stem("a", **clip)
    whole = heard(Stem("a", stem.gain_db, stem.pan), rate=rate, channels=channels)
    received, wanted = heard(stem, rate=rate, channels=channels), expected(whole, stem)
    assert received.shape == wanted.shape
    assert 20 * np.log10(np.abs(received - wanted).max() + 1e-12) < ALMOST_DB


def test_clips_are_summed_with_others() -> None:
    """In the same mix; a clip that ends early ends nothing else."""
    plain, clipped = Stem("a", offset_s=0.5), Stem("b", trim_end_s=1.0, fade_in_s=0.2)
    parts = heard(plain), heard(clipped)
    total = np.zeros_like(parts[0])
    for part in parts:
        total[:, : part.shape[1]] += part
    assert np.array_equal(heard(plain, clipped), total)


def test_trims_that_leave_nothing_leave_silence() -> None:
    """As long as the sound: the analysis may have found it shorter than it was when it was trimmed."""
    received = mix((Stem("a", trim_start_s=1.0, trim_end_s=1.0), file_of(noise(LENGTH_S))))
    assert len(received) == LENGTH_S * RATE_HZ
    assert not received.any()
    assert not mix((Stem("a", trim_start_s=9_000), file_of(noise(LENGTH_S)))).any()


def test_a_file_that_breaks_off_is_faded_out_where_it_ends() -> None:
    """Not where it says that it ends; and it is said what is missing."""
    whole = file_of(noise(LENGTH_S)).read()
    stem = Stem("a", fade_out_s=0.1, trim_end_s=0.2)
    _, mixed = render_mix([(stem, file_of_bytes(whole[: len(whole) // 2]))])
    assert mixed.duration_s == pytest.approx(LENGTH_S / 2 - 0.2, abs=0.01)
    assert mixed.warning is not None


def test_the_first_and_the_last_frame_of_fades() -> None:
    """From silence to all of it in so many frames, and back: the last frame is one step above silence."""
    block = np.ones((2, 8), np.float32)
    Clip(begin=2, end=7, fade_in=2, fade_out=2).shape(block, 1)
    assert block[0].tolist() == [0, 0, 0.5, 1, 1, 0.5, 0, 0]
