"""The tracks that have a rate in common, summed before they are resampled to the mix's: once, instead of once each.

That comes to the same, as resampling is linear, if the tracks' places differ by whole samples of their own rate. A
place in the mix is a whole sample of the mix's; from where it falls between two of the track's, it comes back to the
same point after `cycle` frames. So there is one bus for each rate and each such point; most sessions have one or two in
all. Blocking. One task owns it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from omnisonic.studio.mixdown import RATE_HZ
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Samples
from omnisonic.studio.mixdown.resampling import Resampler
from omnisonic.studio.mixdown.track import Track


class Submix:
    """The sum of `tracks`, all at `rate_hz`, from `begins` in the mix."""

    def __init__(self, rate_hz: int, begins: int, tracks: Sequence[Track]) -> None:
        self._resampler: Resampler | None = Resampler(rate_hz, RATE_HZ, 2)
        self._waiting = np.zeros((2, begins), np.float32)
        for track in tracks:
            track.delay((track.begins - begins) * rate_hz // RATE_HZ)
        self._sum = Sum([track.read for track in tracks])

    def read(self, frames: int) -> Samples:
        """The next so many frames of the mix, in two rows; fewer, or none, only at the end. Errors: the tracks'."""
        pieces, length = [self._waiting], self._waiting.shape[1]
        while length < frames and self._resampler is not None:
            block = self._sum.read(BLOCK_FRAMES)
            pieces.append(self._resampler.go_on(block))
            length += pieces[-1].shape[1]
            if block.shape[1] < BLOCK_FRAMES:
                pieces.append(self._resampler.finish())
                self._resampler = None
        joined = np.concatenate(pieces, axis=1)
        self._waiting = joined[:, frames:]
        return joined[:, :frames]


class Sum:
    """What several things that can be read are together, always added in the same order. One task owns it."""

    def __init__(self, sources: Sequence[Callable[[int], Samples]]) -> None:
        self._sources = list(sources)

    def read(self, frames: int) -> Samples:
        """The next so many frames, in two rows; fewer, or none, only at the longest's end. Errors: the sources'."""
        blocks = [source(frames) for source in self._sources]
        pairs = zip(self._sources, blocks, strict=True)
        self._sources = [source for source, block in pairs if block.shape[1] == frames]
        if len(blocks) == 1:
            return blocks[0]
        length = max((block.shape[1] for block in blocks), default=0)
        total = np.zeros((2, length), np.float32)
        for block in blocks:
            total[:, : block.shape[1]] += block
        return total


def submixes(tracks: Sequence[Track]) -> list[Submix]:
    """One for each rate and place between two samples."""
    alike: defaultdict[tuple[int, int], list[Track]] = defaultdict(list)
    for track in tracks:
        cycle = RATE_HZ // math.gcd(RATE_HZ, track.rate_hz)
        alike[track.rate_hz, track.begins % cycle].append(track)
    return [Submix(rate_hz, begins, members) for (rate_hz, begins), members in alike.items()]
