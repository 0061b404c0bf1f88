"""A waveform while it is drawn: the loudest sample of each stretch, whatever the length of the sound. Pure.

How long the sound is shows only at its end. So the stretches begin short, and whenever there are too many of them, each
two become one: memory stays the same, and a second is drawn as finely as an hour.
"""

from typing import Final

MOST_PEAKS: Final = 1000
"""How many stretches there are at most (even); once a sound is long enough, there are at least half as many."""
FIRST_STRETCH: Final = 32
"""Samples of each channel in a stretch, to begin with."""
FULL_SCALE: Final = 32_768
DIGITS: Final = 4
"""Decimals of a peak: finer than 16 bits of sound on any screen."""


class Waveform:
    """Takes 16-bit samples as they come, those of all `channels` in turn. One task owns it."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._wanted = FIRST_STRETCH * channels
        self._filled = 0
        self._loudest = 0
        self._stretches: list[int] = []
        self._samples = 0

    @property
    def length(self) -> int:
        """How many samples each channel has had."""
        return self._samples // self._channels

    def add(self, samples: memoryview) -> None:
        """The sound goes on with these (`h`)."""
        self._samples += len(samples)
        begin = 0
        while begin < len(samples):
            part = samples[begin : begin + self._wanted - self._filled]
            begin += len(part)
            self._filled += len(part)
            self._loudest = max(self._loudest, max(part), -min(part))
            if self._filled == self._wanted:
                self._end_stretch()

    def peaks(self) -> list[float]:
        """From 0 to 1, one for each stretch; the last one may be of a shorter stretch."""
        open_one = [self._loudest] if self._filled else []
        return [round(loudest / FULL_SCALE, DIGITS) for loudest in self._stretches + open_one]

    def _end_stretch(self) -> None:
        self._stretches.append(self._loudest)
        self._filled = self._loudest = 0
        if len(self._stretches) == MOST_PEAKS:
            self._stretches = list(map(max, self._stretches[::2], self._stretches[1::2]))
            self._wanted *= 2
