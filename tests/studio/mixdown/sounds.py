"""Sounds to mix, made here, and what is measured in mixes."""

import io
from collections.abc import Sequence
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from omnisonic.studio.mixdown import RATE_HZ, Bits, Mixed, Project, Stem
from omnisonic.studio.mixdown.process import render

Sound: TypeAlias = NDArray[np.float64]
"""One row a frame, one column a channel."""

TEMPO: Final = (120.0, 4)
KAISER: Final = 20.0
"""Its sidelobes are far below what is looked for."""


def sine(hz: float, seconds: float, *, rate: int = RATE_HZ, level_db: float = -20.0, channels: int = 1) -> Sound:
    """A steady tone, all channels alike."""
    at = np.arange(round(seconds * rate)) / rate
    return np.repeat((10 ** (level_db / 20) * np.sin(2 * np.pi * hz * at))[:, np.newaxis], channels, axis=1)


def noise(seconds: float, *, level: float = 0.1, channels: int = 2, seed: int = 1, rate: int = RATE_HZ) -> Sound:
    """White noise."""
    sound: Sound = np.random.default_rng(seed).normal(0, level, (round(seconds * rate), channels))
    return sound


def impulse(at: int, frames: int, *, level: float = 0.5, channels: int = 1) -> Sound:
    """One sample that is not silent."""
    sound = np.zeros((frames, channels))
    sound[at] = level
    return sound


def file_of(sound: Sound, rate: int = RATE_HZ, kind: str = "WAV", subtype: str = "PCM_24") -> BinaryIO:
    """A file, written by a library of its own."""
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=kind, subtype=subtype)
    file.seek(0)
    return file


def samples_in(data: bytes) -> tuple[Sound, int]:
    """What is in a file, read by that library, and its rate."""
    sound, rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    return np.asarray(sound, np.float64), rate


def render_mix(stems: Sequence[tuple[Stem, BinaryIO]], format_: Any = "wav", bits: Bits = 24) -> tuple[bytes, Mixed]:
    """Render this mix: the file, and its measurements."""
    output = io.BytesIO()
    project = Project(*TEMPO, [stem for stem, _ in stems])
    for _, file in stems:
        file.seek(0)
    mixed = render(project, [file for _, file in stems], output, format_, bits=bits, on_progress=lambda _: None)
    return output.getvalue(), mixed


def mix(*stems: tuple[Stem, BinaryIO]) -> Sound:
    """The samples of this mix."""
    data, mixed = render_mix(stems)
    sound, rate = samples_in(data)
    assert rate == RATE_HZ
    assert sound.shape == (round(mixed.duration_s * RATE_HZ), 2)
    return sound


def amplitude_of(hz: float, row: Sound) -> float:
    """How loud a tone of this frequency is in one channel: the best fit of sine and cosine."""
    at = 2 * np.pi * hz * np.arange(len(row)) / RATE_HZ
    waves = np.stack([np.sin(at), np.cos(at)], axis=1)
    return float(np.hypot(*np.linalg.lstsq(waves, row, rcond=None)[0]))


def level_db(hz: float, row: Sound) -> float:
    """The same in dB of full scale, away from the ends, where resampling has no sound to go by."""
    return float(20 * np.log10(amplitude_of(hz, row[2000:-2000]) + 1e-12))


def spectrum_db(row: Sound) -> tuple[Sound, Sound]:
    """Frequencies, and how loud each is, of full scale."""
    row = row[2000:-2000]
    window = np.kaiser(len(row), KAISER)
    levels: Sound = np.abs(np.fft.rfft(row * window)) * 2 / window.sum()
    return np.asarray(np.fft.rfftfreq(len(row), 1 / RATE_HZ), np.float64), np.asarray(
        20 * np.log10(levels + 1e-12), np.float64
    )


def file_of_bytes(data: bytes) -> BinaryIO:
    """A file with this in it."""
    return io.BytesIO(data)
