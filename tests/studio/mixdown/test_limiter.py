"""The mix stays under -1 dBTP, and is left alone where it does."""

import math

import av
import numpy as np
import pytest
import soxr  # type: ignore[import-untyped]
from av.filter import Graph
from hypothesis import given
from hypothesis import strategies as st

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.mixdown.blocks import Samples
from omnisonic.studio.mixdown.mastering import (
    AHEAD_FRAMES,
    CEILING,
    MOST_OVERSHOOT,
    RELEASE_DB_PER_S,
    Limiter,
    true_peaks,
)
from tests.studio.mixdown.sounds import Sound, file_of, mix, noise, sine


def limited(sound: Samples, *, block: int = 5_000) -> Samples:
    """All of it, in blocks of so many frames."""
    limiter = Limiter()
    parts = [limiter.process(sound[:, at : at + block]) for at in range(0, sound.shape[1], block)]
    return np.concatenate([*parts, limiter.finish()], axis=1)


def true_peak_db(sound: Sound) -> float:
    """Four times oversampled, by another resampler than the limiter's."""
    return float(20 * np.log10(abs(soxr.resample(sound, RATE_HZ, 4 * RATE_HZ, quality="VHQ")).max()))


def metered_db(sound: Sound) -> float:
    """What FFmpeg's meter says is the true peak."""
    graph = Graph()
    begin, end = graph.add_abuffer(sample_rate=RATE_HZ, format="dbl", layout="stereo"), graph.add("abuffersink")
    meter = graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
    graph.link_nodes(begin, meter, end).configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound).reshape(1, -1), format="dbl", layout="stereo")
    frame.sample_rate = RATE_HZ
    begin.push(frame)
    last = end.pull()
    while True:
        try:
            last = end.pull()
        except BlockingIOError:
            return 20 * math.log10(float(last.metadata["lavfi.r128.true_peak"]))


def audible(sound: Sound) -> Sound:
    """Without what lies over 20 kHz, where no two meters agree."""
    spectrum = np.fft.rfft(sound, axis=0)
    spectrum[round(20_000 / RATE_HZ * len(sound)) :] = 0
    return np.fft.irfft(spectrum, len(sound), axis=0)


def test_a_mix_with_headroom_is_not_touched() -> None:
    """Not one bit of it."""
    sound = np.clip(noise(1, level=0.2), -0.35, 0.35).T.astype(np.float32)
    assert np.array_equal(limited(sound), sound)


def test_only_the_surroundings_of_what_is_too_loud_are_turned_down() -> None:
    """From 10 ms before it until it has come back."""
    sound = np.clip(noise(2, level=0.1), -0.35, 0.35).T.astype(np.float32)
    sound[:, 30_000:30_010] = 2.0
    changed = np.flatnonzero((limited(sound) != sound).any(axis=0))
    back = 20 * np.log10(3 / CEILING) / RELEASE_DB_PER_S * RATE_HZ
    assert 30_000 - 2 * AHEAD_FRAMES <= changed.min() < 30_000
    assert 30_010 < changed.max() <= 30_010 + back + 2 * AHEAD_FRAMES


@pytest.mark.parametrize("over_db", [6.0, 12.0, 20.0])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_after_what_was_too_loud_it_comes_back_by_30_db_a_second(over_db: float, side: float) -> None:
    """On a straight line, from the moment on at which it may, and to exactly what the mix was."""
    sound = np.full((2, 2 * RATE_HZ), 0.05, np.float32)
    loud = 10 ** (-1 / 20) * 10 ** (over_db / 20)
    sound[:, 20_000:20_100] = side * loud
    gains_db = 20 * np.log10(limited(sound)[0] / sound[0])
    # Between samples a step gets some tenths higher than on them.
    deepest_db = float(-gains_db[20_050])
    assert over_db <= deepest_db <= over_db + 2
    for after_s in (0.02, 0.1, 0.5, 0.9) if over_db == 20 else (0.02, 0.1):
        wanted_db = -(deepest_db - 30 * after_s)
        assert gains_db[20_100 + round(after_s * RATE_HZ)] == pytest.approx(min(wanted_db, 0), abs=0.25)
    back = 20_100 + round(deepest_db / 30 * RATE_HZ)
    assert gains_db[back - 2 * AHEAD_FRAMES] < -0.01
    assert not gains_db[back + 2 * AHEAD_FRAMES :].any()


@pytest.mark.parametrize("hz", [60.0, 997.0, 5_000.0, 12_000.0])
@pytest.mark.parametrize("count", [2, 8])
def test_a_pile_up_never_clips(hz: float, count: int) -> None:
    """Tones at full scale, all in phase, swelling fast."""
    swell = np.hanning(RATE_HZ)[:, np.newaxis] ** 0.25
    received = mix(*[(Stem("a", 6), file_of(sine(hz, 1.0, level_db=-0.01, channels=2) * swell)) for _ in range(count)])
    assert true_peak_db(received) <= -0.9
    assert abs(received).max() > 0.8


def test_nothing_between_the_samples_is_over_either() -> None:
    """A quarter of the rate, sampled at 45 degrees: 3 dB more than any sample shows."""
    at = np.arange(RATE_HZ)
    tone = np.sin(np.pi / 2 * at + np.pi / 4)[:, np.newaxis] * 0.99
    swelling = tone * np.hanning(len(at))[:, np.newaxis] * 1.2
    assert abs(swelling).max() < CEILING < abs(swelling).max() * 1.4
    assert true_peak_db(swelling) > 0
    assert true_peak_db(mix((Stem("a"), file_of(np.repeat(swelling, 2, axis=1))))) <= -0.9


@pytest.mark.parametrize("seed", range(4))
def test_noise_and_bursts_at_any_level_stay_under_it(seed: int) -> None:
    """Loud noise that comes and goes."""
    levels = np.random.default_rng(seed).uniform(0, 4, 100) ** 2
    envelope = np.interp(np.arange(RATE_HZ), np.arange(100) * 480, levels)[:, np.newaxis]
    loud = noise(1, level=0.3, seed=seed) * envelope
    assert true_peak_db(mix((Stem("a"), file_of(audible(loud), subtype="FLOAT")))) <= -0.9
    assert metered_db(mix((Stem("a"), file_of(loud, subtype="FLOAT")))) <= -0.9


def test_both_sides_are_turned_down_together() -> None:
    """What is in the middle stays there."""
    sound = np.stack([sine(500, 1, level_db=6)[:, 0], sine(500, 1, level_db=-20)[:, 0]]).astype(np.float32)
    left, right = limited(sound)[:, 5_000:-5_000]
    assert abs(left / 10 ** (26 / 20) - right).max() < 1e-6


@given(
    spikes=st.dictionaries(st.integers(0, 2_999), st.floats(-20, 20, width=32), max_size=20),
    block=st.integers(1, 4_000),
)
def test_it_does_not_matter_in_which_blocks_the_mix_comes(spikes: dict[int, float], block: int) -> None:
    """The length stays the same, and no sample is over."""
    sound = np.zeros((2, 3_000), np.float32)
    for at, height in spikes.items():
        sound[at % 2, at] = height
    out = limited(sound, block=max(block, 30))
    assert out.shape == sound.shape
    assert abs(out).max() <= CEILING * 1.000001
    assert abs(out - limited(sound)).max() < 1e-5


def test_the_bound_that_spares_looking_closer_holds() -> None:
    """The worst sound that there is gets as high as it says between its samples, and is found."""
    worst = np.sign(np.sinc(np.arange(-500, 500) - 0.5))[np.newaxis].astype(np.float32)
    assert 0.98 * MOST_OVERSHOOT < true_peaks(worst, 1.0).max() <= MOST_OVERSHOOT * 1.0001
    assert not true_peaks(worst, MOST_OVERSHOOT + 0.01).any()


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_peak_between_samples_counts_on_either_side_of_zero(side: float) -> None:
    """Two samples under the ceiling, between which the sound is over it, and nothing on the other side."""
    sound = np.zeros((2, 4_000), np.float32)
    sound[:, 2_000:2_002] = side * 0.85
    assert true_peaks(sound, CEILING).max() > CEILING * 1.1
    assert true_peak_db(sound.T.astype(np.float64)) > -1 + 0.5
    assert true_peak_db(limited(sound).T.astype(np.float64)) <= -0.9
