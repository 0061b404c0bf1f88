"""Clips: what is heard of a stem's sound, between its trims and with its fades, in frames of the mix.

The player in the browser plays the same clips from segments, so what follows is exact to the sample and in linear
amplitude. `frame_at` gives the frame of a time. The sound has `length` frames, and its first one is at the stem's
offset, whatever is cut. The frames from `begin` to before `end` sound. The gain of frame k is
min(1, (k - begin) / fade_in) * min(1, (end - k) / fade_out); a factor is 1 where that fade has no frames. A fade is not
longer than the clip. When nothing is left between the trims, nothing is heard, as long as the sound lasts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.mixdown.blocks import Samples


def frame_at(seconds: float) -> int:
    """The frame of the mix that is nearest to a time; of two, the later one."""
    return math.floor(seconds * RATE_HZ + 0.5)


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of a sound that are heard: from `begin` to before `end`, with fades of so many frames."""

    begin: int
    end: int
    fade_in: int
    fade_out: int

    @classmethod
    def of(cls, stem: Stem, length: int) -> "Clip":
        """The clip of a stem whose sound has `length` frames."""
        begin, end = frame_at(stem.trim_start_s), length - frame_at(stem.trim_end_s)
        heard = max(end - begin, 0)
        return cls(begin, end, min(frame_at(stem.fade_in_s), heard), min(frame_at(stem.fade_out_s), heard))

    def shape(self, block: Samples, first: int) -> None:
        """Apply the gains to `block`, in place, whose first column is the frame `first` of the sound."""
        last = first + block.shape[1]
        if self.begin + self.fade_in <= first and last <= self.end - self.fade_out:
            return
        frames = np.arange(first, last, dtype=np.float64)
        gains = ((frames >= self.begin) & (frames < self.end)).astype(np.float64)
        if self.fade_in:
            gains *= np.clip((frames - self.begin) / self.fade_in, 0, 1)
        if self.fade_out:
            gains *= np.clip((self.end - frames) / self.fade_out, 0, 1)
        block *= gains.astype(np.float32)


class ClippedSource:
    """What is heard of the sound that `read` returns, after `begins` frames of silence. One task owns it.

    The silence does not go through the resampler, so the sound is the same as in segments from its first frame on.
    """

    def __init__(self, read: Callable[[int], Samples], begins: int, clip: Clip) -> None:
        self._read = read
        self._silence = begins
        self._clip = clip
        self._next = 0

    def read(self, frames: int) -> Samples:
        """The next frames, in two rows; fewer, or none, only at the end: that of the clip. Raises as the sound."""
        silence = min(self._silence, frames)
        self._silence -= silence
        if silence == frames:
            return np.zeros((2, frames), np.float32)
        block = self._read(frames - silence)
        if self._clip.begin < self._clip.end:
            block = block[:, : self._clip.end - self._next]
        self._clip.shape(block, self._next)
        self._next += block.shape[1]
        return np.pad(block, ((0, 0), (silence, 0))) if silence else block
