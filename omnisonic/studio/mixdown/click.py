"""A click to play to, for sessions without any sound. Pure."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from omnisonic.studio.mixdown import RATE_HZ, Project
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Samples

BARS: Final = 8
CLICK_S: Final = 0.03
FADE_S: Final = 0.006
"""After this long it is down to 1/e."""
ACCENT_HZ: Final = 1_600.0
BEAT_HZ: Final = 1_000.0
ACCENT_LEVEL: Final = 0.7
BEAT_LEVEL: Final = 0.4


def click_frames(project: Project) -> int:
    """How long eight bars are."""
    return _frame_of(BARS * project.beats_per_bar, project)


def click(project: Project) -> Iterator[Samples]:
    """Eight bars, the first beat of each higher and louder, in two rows; each beat on its nearest sample."""
    tones = _tone(ACCENT_HZ, ACCENT_LEVEL), _tone(BEAT_HZ, BEAT_LEVEL)
    length = click_frames(project)
    for begin in range(0, length, BLOCK_FRAMES):
        row = np.zeros(min(BLOCK_FRAMES, length - begin), np.float32)
        # From the last beat that may still sound to the first one that is too late.
        beat = max(int((begin / RATE_HZ - CLICK_S) * project.tempo_bpm / 60), 0)
        while (frame := _frame_of(beat, project) - begin) < len(row):
            tone = tones[beat % project.beats_per_bar != 0]
            heard = tone[max(-frame, 0) : len(row) - frame]
            row[max(frame, 0) :][: len(heard)] += heard
            beat += 1
        yield np.stack([row, row])


def _frame_of(beat: int, project: Project) -> int:
    return round(beat * 60 / project.tempo_bpm * RATE_HZ)


def _tone(hz: float, level: float) -> Samples:
    at_s = np.arange(round(CLICK_S * RATE_HZ)) / RATE_HZ
    return (level * np.sin(2 * np.pi * hz * at_s) * np.exp(-at_s / FADE_S)).astype(np.float32)
