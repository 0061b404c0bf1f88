"""Sessions by chance, always the same ones: files of all kinds, placed and mixed at random, cut and mixed down."""

import io
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.segments.process import cut_file
from tests.studio.mixdown.sounds import Sound, file_of, mix, noise

QUIET: Final = 0.01
"""So quiet that the limiter has nothing to do, whatever is added up."""
LOUD: Final = 0.25
"""So loud that it has."""
KINDS: Final = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("AIFF", "PCM_24")]
RATES_HZ: Final = [44_100, 48_000, 48_000, 22_050, 96_000]


@dataclass
class RandomSession:
    """What a page plays, `tracks` and the bytes of all `segments` by address, and what the mixdown makes of it."""

    tracks: list[dict[str, Any]]
    segments: dict[str, bytes]
    mixdown: Sound


def random_session(seed: int) -> RandomSession:
    """One to four stems of up to three seconds, or of over ten, of which the seam between two segments is heard.

    One in five, but for the first, is muted, and one in five is a take that is not chosen. One session in four is too
    loud.
    """
    chance = np.random.default_rng(seed)
    session = RandomSession([], {}, np.zeros((0, 2)))
    stems = []
    for number in range(int(chance.integers(1, 5))):
        kind, subtype = KINDS[chance.integers(len(KINDS))]
        rate, channels = int(RATES_HZ[chance.integers(len(RATES_HZ))]), int(chance.integers(1, 3))
        is_long = number == 0 and seed % 3 == 0
        seconds = chance.uniform(10.1, 11.5) if is_long else chance.uniform(0.5, 3)
        level = QUIET if seed % 4 else LOUD
        sound = noise(seconds, level=level, channels=channels, seed=seed * 10 + number, rate=rate)
        data = file_of(with_soft_ends(sound), rate, kind, subtype).read()
        settings = random_settings(chance, seconds, is_long=is_long)
        is_on, is_chosen = (number == 0 or bool(chance.random() > 0.2) for _ in range(2))
        track = add_segments(session, f"{seed}-{number}", data)
        session.tracks.append(track | settings | {"muted": not is_on, "isHeard": is_chosen})
        if is_on and is_chosen:
            stems.append((Stem("a", *settings.values()), io.BytesIO(data)))
    session.mixdown = mix(*stems)
    return session


def random_settings(chance: np.random.Generator, seconds: float, *, is_long: bool) -> dict[str, float]:
    """As `Stem` has them, in its order. What is long is trimmed to begin shortly before its second segment."""
    is_clipped = is_long or chance.random() < 0.6
    trim_start_s = chance.uniform(8.5, 9.99) if is_long else chance.uniform(0, 0.3) * seconds
    left_s = seconds - trim_start_s
    settings = {
        "gainDb": chance.uniform(-24, 12),
        "pan": chance.choice([-1, 1, 0, chance.uniform(-1, 1)]),
        "offsetSeconds": chance.choice([0, chance.uniform(0, 2)]),
        "trimStartSeconds": trim_start_s if is_clipped else 0,
        "trimEndSeconds": chance.choice([0, chance.uniform(0, 0.05) * left_s]) if is_clipped else 0,
        "fadeInSeconds": chance.choice([0, chance.uniform(0, 1.1) * left_s]) if is_clipped else 0,
        "fadeOutSeconds": chance.choice([0, chance.uniform(0, 0.8) * left_s]) if is_clipped else 0,
    }
    return {name: float(value) for name, value in settings.items()}


def session_of(**seconds: float) -> RandomSession:
    """Stems of these names and lengths, all from the beginning, as they are."""
    session = RandomSession([], {}, np.zeros((0, 2)))
    for name, length_s in seconds.items():
        data = file_of(noise(length_s, channels=1), subtype="PCM_16").read()
        settings = {"gainDb": 0, "pan": 0, "offsetSeconds": 0, "muted": False}
        session.tracks.append(add_segments(session, name, data) | settings)
    return session


def with_soft_ends(sound: Sound) -> Sound:
    """As a recording begins and ends: a jump would make a resampler ring before it, which a segment cannot hold."""
    length = len(sound) // 10
    rise = np.hanning(2 * length)[:length, np.newaxis]
    sound[:length] *= rise
    sound[-length:] *= rise[::-1]
    return sound


def add_segments(session: RandomSession, name: str, data: bytes) -> dict[str, Any]:
    """The segments of a file, and the track that has them."""
    segments = list[bytes]()
    cut = cut_file(io.BytesIO(data), segments.append)
    session.segments |= {f"{name}/{number}": segment for number, segment in enumerate(segments)}
    about = msgspec.to_builtins(cut) | {"version": "1", "count": len(segments), "sampleRate": RATE_HZ}
    return {"id": name, "uploadId": name, "segments": about}
