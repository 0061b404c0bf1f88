"""Where exactly a stem is in the mix, and what becomes of its sound at the seams: to fractions of a sample."""

import numpy as np
import pytest

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.mixdown.blocks import Block
from omnisonic.studio.mixdown.tracks import resample_to_first
from tests.studio.mixdown.sounds import Sound, file_of, mix, noise, sine

RATES_HZ = (44_100, 32_000, 96_000)
BEGINS = (1, 79, 161, 485, 12_001)
"""Frames of the mix. None of them falls on a sample of 44.1 kHz together with the mix's first one (each 160th does)."""


def delay_frames(hz: float, row: Sound) -> float:
    """By how many frames a tone that began with its zero is late, up to whole waves."""
    at = 2 * np.pi * hz * np.arange(len(row)) / RATE_HZ
    middle = slice(20_000, -20_000)
    sine_part, cosine_part = np.linalg.lstsq(np.stack([np.sin(at), np.cos(at)], axis=1)[middle], row[middle])[0]
    return float(-np.arctan2(cosine_part, sine_part) / (2 * np.pi * hz) * RATE_HZ)


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize("begins", BEGINS)
def test_a_stem_that_begins_between_samples_is_where_it_should_be(rate: int, begins: int) -> None:
    """Beside one that begins with the mix, and has the same rate: to a hundredth of a sample."""
    hz = 250.0  # a wave is 192 frames long
    first = Stem("a"), file_of(sine(2_000, 2, rate=rate), rate)
    received = mix(first, (Stem("b", offset_s=begins / RATE_HZ), file_of(sine(hz, 2, rate=rate), rate)))
    late = delay_frames(hz, received[: 2 * RATE_HZ, 0])
    wave = RATE_HZ / hz
    assert (late - begins + wave / 2) % wave - wave / 2 == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_stems_that_begin_between_each_others_samples_are_the_sum_of_themselves(rate: int) -> None:
    """All that they are, not only a tone."""
    swell = np.hanning(rate // 2)[:, np.newaxis]  # for what rings on after an end is cut off when a stem is alone
    stems = [
        (Stem("a", -6, 0.2, begins / RATE_HZ), file_of(noise(0.5, seed=begins, rate=rate) * swell, rate))
        for begins in (0, *BEGINS)
    ]
    together = mix(*stems)
    total = np.zeros_like(together)
    for alone in map(mix, stems):
        total[: len(alone)] += alone
    assert abs(together - total).max() < 2e-6


@pytest.mark.parametrize("between_hz", [32_000, 44_100, 96_000])
def test_nothing_is_lost_where_a_file_changes_its_rate(between_hz: int) -> None:
    """What the resampler still holds of one part comes before the next one: as long, and as loud at its end."""
    parts = [
        Block(sine(1_000, 1, rate=rate).T.astype(np.float32), rate, ("FC",)) for rate in (RATE_HZ, between_hz, RATE_HZ)
    ]
    sound = np.concatenate(list(resample_to_first(parts[0], iter(parts[1:]))), axis=1)[0]
    assert abs(len(sound) - 3 * RATE_HZ) <= 1
    whole = sine(1_000, 3)[: len(sound), 0]
    for seam in (RATE_HZ, 2 * RATE_HZ):
        around = slice(seam - 2_000, seam - 100)
        assert abs(sound[around] - whole[around]).max() < 0.001


def test_the_end_of_a_part_at_another_rate_is_heard() -> None:
    """A click on its last samples, before silence at the file's first rate."""
    click = np.zeros((1, 32_000), np.float32)
    click[0, -20] = 0.5
    quiet = np.zeros((1, RATE_HZ), np.float32)
    parts = [Block(quiet, RATE_HZ, ("FC",)), Block(click, 32_000, ("FC",)), Block(quiet, RATE_HZ, ("FC",))]
    sound = np.concatenate(list(resample_to_first(parts[0], iter(parts[1:]))), axis=1)[0]
    assert abs(sound).argmax() == 2 * RATE_HZ - 30
    assert abs(sound).max() > 0.25
