"""What is known of the stems comes out where theory puts it: frequency, level, place, side, loudness."""

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.mixdown.tracks import pan_gains
from tests.studio.media.recordings import recorded
from tests.studio.mixdown.sounds import (
    Sound,
    file_of,
    file_of_bytes,
    impulse,
    level_db,
    mix,
    noise,
    render_mix,
    samples_in,
    sine,
    spectrum_db,
)

RATES_HZ = (8_000, 22_050, 44_100, 48_000, 96_000, 192_000)


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize("hz", [440.0, 3_000.0])
def test_a_tone_keeps_its_frequency_and_level_at_any_rate(rate: int, hz: float) -> None:
    """One channel in the middle is 3 dB down on either side, which is all that changes."""
    received = mix((Stem("a"), file_of(sine(hz, 1.0, rate=rate), rate)))
    for row in received.T:
        assert level_db(hz, row) == pytest.approx(-20 - 3.01, abs=0.01)
    assert len(received) == RATE_HZ


@pytest.mark.parametrize(("rate", "hz"), [(44_100, 997.0), (44_100, 15_000.0), (22_050, 9_000.0), (96_000, 19_000.0)])
def test_resampling_leaves_no_images(rate: int, hz: float) -> None:
    """Nothing but the tone is louder than 90 dB below it."""
    received = mix((Stem("a"), file_of(sine(hz, 3.0, rate=rate, level_db=-3, channels=2), rate)))
    at_hz, levels_db = spectrum_db(received[:, 0])
    assert level_db(hz, received[:, 0]) == pytest.approx(-3, abs=0.01)
    assert levels_db[abs(at_hz - hz) > 30].max() < -3 - 90


def test_what_cannot_be_heard_at_the_mixs_rate_is_gone() -> None:
    """A tone of 30 kHz does not come back as one of 18 kHz."""
    received = mix((Stem("a"), file_of(sine(30_000, 2.0, rate=96_000, level_db=-1, channels=2), 96_000)))
    assert spectrum_db(received[:, 0])[1].max() < -91


@pytest.mark.parametrize("gain_db", [-60.0, -6.0, 0.0, 12.0])
def test_gain_is_in_decibels(gain_db: float) -> None:
    """To a hundredth."""
    received = mix((Stem("a", gain_db=gain_db), file_of(sine(1_000, 1.0, level_db=-20, channels=2))))
    assert level_db(1_000, received[:, 0]) == pytest.approx(-20 + gain_db, abs=0.01)


@pytest.mark.parametrize("pan", [-1.0, -0.5, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_panning_keeps_the_power(pan: float, channels: int) -> None:
    """Whatever the pan, left and right together are as strong; in the middle two channels are as they were."""
    received = mix((Stem("a", pan=pan), file_of(sine(1_000, 1.0, level_db=-20, channels=channels))))
    left, right = (10 ** (level_db(1_000, row) / 20) * 10 for row in received.T)
    assert left**2 + right**2 == pytest.approx(channels, rel=0.001)
    assert math.atan2(right, left) == pytest.approx((pan + 1) * math.pi / 4, abs=0.001)


def test_two_channels_in_the_middle_are_untouched() -> None:
    """To the last bit of what the mix is kept in."""
    assert [np.float32(gain) for gain in pan_gains(2, 0, 0)] == [1, 1]


@pytest.mark.parametrize("offset_s", [0.0, 1 / RATE_HZ, 0.1234567, 0.70000001, 2.5])
def test_a_stem_begins_on_the_nearest_sample(offset_s: float) -> None:
    """Of the mix, that is."""
    received = mix((Stem("a", offset_s=offset_s), file_of(impulse(100, 2_000, channels=2))))
    assert np.flatnonzero(abs(received[:, 0]) > 0.01).tolist() == [round(offset_s * RATE_HZ) + 100]
    assert len(received) == round(offset_s * RATE_HZ) + 2_000


@pytest.mark.parametrize("rate", [8_000, 44_100, 88_200, 96_000, 192_000])
@pytest.mark.parametrize("offset_s", [0.0, 0.0100041, 1.0])
def test_resampling_delays_nothing(rate: int, offset_s: float) -> None:
    """The impulse is where it was, in time, wherever between two samples of its own the stem begins."""
    received = mix((Stem("a", offset_s=offset_s), file_of(impulse(rate // 100, rate, channels=2), rate)))
    assert abs(received[:, 0]).argmax() == round(offset_s * RATE_HZ) + RATE_HZ // 100


def test_stems_of_one_rate_are_resampled_together_as_if_alone() -> None:
    """Several, some of which begin between each other's samples: their mix is the sum of their mixes."""
    swell = np.hanning(22_050)[:, np.newaxis]  # for what rings on after an end is cut off when a stem is alone
    stems = [
        (Stem("a", -6, 0.2, offset_s), file_of(noise(0.5, seed=seed, rate=44_100) * swell, 44_100))
        for seed, offset_s in enumerate([0.0, 0.5, 0.0100041, 0.3000001])
    ]
    alone = [mix(stem) for stem in stems]
    together = mix(*stems)
    total = np.zeros_like(together)
    for sound in alone:
        total[: len(sound)] += sound
    assert abs(together - total).max() < 2e-6


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("ipod", "aac"), ("ogg", "libopus")])
def test_what_encoders_put_before_the_sound_is_taken_away(container: str, codec: str) -> None:
    """A burst of noise is found where it was before it was encoded, to the sample."""
    burst = np.zeros(RATE_HZ)
    burst[20_000:24_000] = noise(1, channels=1)[:4_000, 0]
    pcm = memoryview((np.repeat(burst, 2) * 32_767).astype(np.int16).tobytes()).cast("h")
    file = file_of_bytes(recorded(pcm, container, codec, rate=RATE_HZ))  # type: ignore[arg-type]
    received = mix((Stem("a"), file))[:, 0]
    length = len(received) + len(burst)
    likeness = np.fft.irfft(np.fft.rfft(received, length) * np.conj(np.fft.rfft(burst, length)))
    assert likeness.argmax() == 0


@pytest.mark.parametrize(
    ("parts", "lufs"),
    [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    ],
)
def test_loudness_is_what_ebu_says_it_is(parts: list[tuple[float, float]], lufs: float) -> None:
    """Cases 1 to 4 of EBU Tech 3341, table 1."""
    sound = np.concatenate([sine(1_000, seconds, level_db=level, channels=2) for level, seconds in parts])
    _, mixed = render_mix([(Stem("a"), file_of(sound))])
    assert mixed.loudness_lufs == pytest.approx(lufs, abs=0.1)


def k_weighted(sound: Sound) -> Sound:
    """ITU-R BS.1770-5, annex 1, tables 1 and 2, as a multiplication in the frequencies."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(2 * len(sound)))
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    weighted = np.fft.irfft(np.fft.rfft(sound, 2 * len(sound), axis=0) * (shelf * high)[:, np.newaxis], axis=0)
    return weighted[: len(sound)]


def lufs_of(sound: Sound) -> float:
    """The recommendation's own words, for two channels: 400 ms every 100, and two gates."""
    tenths = k_weighted(sound)[: len(sound) // 4_800 * 4_800].reshape(-1, 4_800, 2)
    power = np.convolve((tenths**2).mean(axis=1).sum(axis=1), np.ones(4) / 4, "valid")
    power = power[-0.691 + 10 * np.log10(power + 1e-20) > -70]
    power = power[power > power.mean() / 10]
    return float(-0.691 + 10 * np.log10(power.mean()))


def test_loudness_is_what_the_recommendation_computes() -> None:
    """Of a mix that swells and falls silent, with different sides."""
    swelling = noise(12) * (0.02 + np.sin(np.linspace(0, 9, 12 * RATE_HZ)) ** 2)[:, np.newaxis]
    data, mixed = render_mix([(Stem("a", pan=0.3), file_of(swelling)), (Stem("b", offset_s=3), file_of(sine(80, 6)))])
    assert mixed.loudness_lufs == pytest.approx(lufs_of(samples_in(data)[0]), abs=0.05)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg command")
def test_loudness_agrees_with_the_ffmpeg_command(tmp_path: Path) -> None:
    """Another version of FFmpeg than the one that measured, on the file as it was written."""
    data, mixed = render_mix([(Stem("a", 3, -0.4), file_of(noise(8))), (Stem("b", offset_s=2), file_of(sine(300, 7)))])
    (tmp_path / "mix.wav").write_bytes(data)
    command = ["ffmpeg", "-nostats", "-i", str(tmp_path / "mix.wav"), "-af", "ebur128", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stderr
    summary = said[said.index("Integrated loudness:") :].split()
    assert mixed.loudness_lufs == pytest.approx(float(summary[summary.index("I:") + 1]), abs=0.1)


def test_peak_is_that_of_the_samples_in_the_file() -> None:
    """As another library reads them."""
    data, mixed = render_mix([(Stem("a"), file_of(noise(1)))])
    assert mixed.peak_dbfs == pytest.approx(20 * math.log10(abs(samples_in(data)[0]).max()), abs=1e-9)


@pytest.mark.parametrize("bits", [16, 24])
def test_dither_makes_a_steady_noise_of_what_rounding_takes_away(bits: int) -> None:
    """A tone of a third of a step is still there, and what is beside it has the power of the theory: a quarter
    step²."""
    step = 2.0 ** (1 - bits)
    tone = sine(1_000, 4, level_db=20 * math.log10(step / 3), channels=2)
    data, _ = render_mix([(Stem("a"), file_of(tone, subtype="DOUBLE"))], bits=16 if bits == 16 else 24)
    received = samples_in(data)[0]
    assert 10 ** (level_db(1_000, received[:, 0]) / 20) == pytest.approx(step / 3, rel=0.03)
    error = (received - tone) / step
    assert float((error**2).mean()) == pytest.approx(0.25, rel=0.02)
    assert abs(float((error[:, 0] * error[:, 1]).mean())) < 0.01
