"""From one rate to another, piece by piece, with soxr's HQ: what it mirrors lies 120 dB down. Blocking.

It delays nothing: the first sample that comes out is where the first one went in.
"""

from typing import Final

import numpy as np
import soxr  # type: ignore[import-untyped]

from omnisonic.studio.mixdown.blocks import Samples

QUALITY: Final = "HQ"


class Resampler:
    """For so many channels. What goes in may come out later. One task owns it."""

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        self.like = from_hz, channels
        # One for each channel: soxr wants the channels in turn, everything here has them apart.
        count = 0 if from_hz == to_hz else channels
        self._streams = [soxr.ResampleStream(from_hz, to_hz, 1, "float32", QUALITY) for _ in range(count)]
        self._rest = np.zeros((channels, 0), np.float32)

    def go_on(self, samples: Samples) -> Samples:
        """The sound goes on with these."""
        return self._resampled(samples, last=False) if self._streams else samples

    def finish(self) -> Samples:
        """What has not come out yet. Nothing may go in any more."""
        return self._resampled(self._rest, last=True) if self._streams else self._rest

    def _resampled(self, samples: Samples, *, last: bool) -> Samples:
        rows = zip(self._streams, samples, strict=True)
        return np.stack([stream.resample_chunk(row, last) for stream, row in rows])
