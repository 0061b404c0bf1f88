"""The song in the pictures: six tracks, computed from a seed, which sound and look like an arrangement."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile  # type: ignore[import-untyped]

RATE_HZ: Final = 48_000
BPM: Final = 120
BEAT_S: Final = 60 / BPM
BEATS_PER_BAR: Final = 4
BARS: Final = 32
ROOTS_HZ: Final = (110.0, 87.31, 130.81, 98.0)
"""A, F, C, G: a bar each."""
CHORDS: Final = ((1, 1.189, 1.498), (1, 1.26, 1.498), (1, 1.26, 1.498), (1, 1.26, 1.498))
PHRASES: Final = ((0, 3.2, 0), (4, 2.4, 2), (8, 3.6, 4), (12, 1.8, 3))
"""Of a voice in four bars: the beat where it begins, its beats, the note."""
SCALE: Final = (1.0, 1.125, 1.189, 1.335, 1.498, 1.682)

Sound = npt.NDArray[np.float64]
Note = tuple[float, Sound]
"""The beat where it begins, and its sound."""


@dataclass(frozen=True)
class Part:
    """One track: what it is called, who plays it, and the bar where its file begins, from 1."""

    name: str
    player: str
    bar: int
    bars: int
    notes: Callable[[int, np.random.Generator], Sequence[Note]]
    take_of: str | None = None
    gain_db: float = 0.0
    pan: float = 0.0
    muted: bool = False

    @property
    def offset_s(self) -> float:
        return (self.bar - 1) * BEATS_PER_BAR * BEAT_S

    def wav(self, seed: int) -> bytes:
        """Its file: one channel, 16 bits."""
        random = np.random.default_rng(seed)
        sound = np.zeros(round(self.bars * BEATS_PER_BAR * BEAT_S * RATE_HZ))
        for beat, note in self.notes(self.bars, random):
            begin = round(beat * BEAT_S * RATE_HZ)
            heard = note[: len(sound) - begin]
            sound[begin : begin + len(heard)] += heard
        file = io.BytesIO()
        soundfile.write(file, 0.8 * sound / np.abs(sound).max(), RATE_HZ, format="WAV", subtype="PCM_16")
        return file.getvalue()


def time_s(beats: float) -> Sound:
    return np.arange(round(beats * BEAT_S * RATE_HZ)) / RATE_HZ


def tone(hz: float, beats: float, *, decay_s: float, overtones: Sequence[float] = (1, 0.4, 0.2)) -> Sound:
    """A plucked or struck note."""
    t = time_s(beats)
    waves = sum(level * np.sin(2 * np.pi * hz * (n + 1) * t) for n, level in enumerate(overtones))
    return np.asarray(waves * np.exp(-t / decay_s) * np.minimum(1, t / 0.004))


def noise(beats: float, decay_s: float, random: np.random.Generator) -> Sound:
    t = time_s(beats)
    return np.asarray(random.normal(0, 0.5, len(t)) * np.exp(-t / decay_s))


def drums(bars: int, random: np.random.Generator) -> list[Note]:
    """Kick on one and three, snare on two and four, hats in eighths, and a fill in every fourth bar."""
    notes: list[Note] = []
    for bar in range(bars):
        first = bar * BEATS_PER_BAR
        notes += [(first + beat, tone(55, 0.9, decay_s=0.12) * 1.6) for beat in (0, 2, 2.5)]
        notes += [(first + beat, noise(0.5, 0.06, random) * 1.1) for beat in (1, 3)]
        notes += [(first + half / 2, noise(0.2, 0.02, random) * (0.3 + 0.15 * (half % 2))) for half in range(8)]
        if bar % 4 == 3:
            notes += [(first + 3 + step / 4, noise(0.3, 0.05, random) * (0.7 + 0.2 * step)) for step in range(4)]
    return notes


def bass(bars: int, random: np.random.Generator) -> list[Note]:
    pattern = ((0, 1.4), (1.5, 0.9), (2.5, 0.5), (3, 0.9))
    return [
        (bar * BEATS_PER_BAR + beat, tone(ROOTS_HZ[bar % 4] / 2, beats, decay_s=0.5) * random.uniform(0.7, 1))
        for bar in range(bars)
        for beat, beats in pattern
    ]


def keys(bars: int, random: np.random.Generator) -> list[Note]:
    """A chord a bar, with a slow tremolo, struck again in every second bar."""
    notes: list[Note] = []
    for bar in range(bars):
        for beat in (0,) if bar % 2 else (0, 2.5):
            beats = 4 - beat
            level = (0.8 + 0.2 * np.sin(2 * np.pi * 1.5 * time_s(beats))) * random.uniform(0.7, 1)
            chord = sum(tone(2 * ROOTS_HZ[bar % 4] * step, beats, decay_s=1.3) for step in CHORDS[bar % 4])
            notes.append((bar * BEATS_PER_BAR + beat, np.asarray(chord * level)))
    return notes


def guitar(bars: int, random: np.random.Generator) -> list[Note]:
    """Broken chords in eighths."""
    return [
        (
            bar * BEATS_PER_BAR + eighth / 2,
            tone(2 * ROOTS_HZ[bar % 4] * CHORDS[bar % 4][eighth % 3], 1, decay_s=0.22) * random.uniform(0.4, 1),
        )
        for bar in range(bars)
        for eighth in range(8)
        if random.random() > (0.5 if bar % 4 == 3 else 0.08)
    ]


def voice(bars: int, random: np.random.Generator) -> list[Note]:
    """Phrases that swell and end, with vibrato and breath between them."""
    notes: list[Note] = []
    for first in range(0, bars * BEATS_PER_BAR, 16):
        for beat, beats, step in PHRASES:
            t = time_s(beats)
            shape = np.sin(np.pi * np.minimum(1, t / t[-1]) ** 0.7) * (0.75 + 0.25 * np.sin(2 * np.pi * 2.2 * t) ** 2)
            hz = 440 * SCALE[(step + first // 16) % len(SCALE)]
            sung = np.sin(2 * np.pi * hz * t + 0.8 * np.sin(2 * np.pi * 5.5 * t)) + 0.4 * np.sin(4 * np.pi * hz * t)
            notes.append((first + beat, shape * sung * random.uniform(0.6, 1)))
    return notes


PARTS: Final = (
    Part("Drums", "Bo", 1, 32, drums, gain_db=-4),
    Part("Bass DI", "Bo", 5, 28, bass, gain_db=-5),
    Part("Rhodes", "Ana", 5, 24, keys, gain_db=-9, pan=-0.3),
    Part("Guitar", "Cy", 9, 20, guitar, gain_db=-8, pan=0.4),
    Part("Guitar again", "Cy", 9, 20, guitar, take_of="Guitar", gain_db=-8, pan=0.4),
    Part("Lead vox", "Ana", 9, 20, voice, gain_db=-6),
    Part("Backing vox", "Cy", 17, 12, voice, gain_db=-12, pan=-0.5, muted=True),
)
SECTIONS: Final = (("Intro", 1, 5), ("Verse", 5, 13), ("Chorus", 13, 21), ("Verse 2", 21, 29), ("Out", 29, 33))
"""Each with the bars where it begins and ends."""
