"""Keeps the mix under -1 dBTP, by turning it down around what would be over, a little in advance. Pure.

How far the sound must be turned down is known for each sample (`omnisonic.studio.mixdown.true_peak`). From there it
comes back by `RELEASE_DB_PER_S`; the greatest of `AHEAD_FRAMES` to come counts for each sample, and that is smoothed
over as many: so the gain glides down, is low enough exactly where it must be, and glides back. Both sides are turned
down together. A mix that nothing has to be done about comes out as it went in, bit for bit.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from omnisonic.studio.mixdown import RATE_HZ
from omnisonic.studio.mixdown.blocks import Samples
from omnisonic.studio.mixdown.true_peak import AFTER, BEFORE, peaks_between

CEILING_DBTP: Final = -1.0
CEILING: Final = 10 ** (CEILING_DBTP / 20)
AHEAD_FRAMES: Final = 240
"""5 ms."""
RELEASE_DB_PER_S: Final = 30.0
DELAY_FRAMES: Final = AHEAD_FRAMES - 1 + AFTER
"""More than is needed of what came before a sample, to know how high it gets around it."""

_glide: Final = np.hanning(AHEAD_FRAMES + 2)[1:-1] / np.hanning(AHEAD_FRAMES + 2).sum()


class Limiter:
    """Takes the mix in blocks of two rows, gives it back `DELAY_FRAMES` later. One task owns it."""

    def __init__(self) -> None:
        self._samples = np.zeros((2, DELAY_FRAMES), np.float32)
        self._reductions_db = np.zeros(2 * AHEAD_FRAMES - 2)
        self._early = DELAY_FRAMES

    def go_on(self, block: Samples) -> Samples:
        """The mix goes on with this; what can be given back by now, which may be nothing."""
        new = block.shape[1]
        samples = np.concatenate([self._samples, block], axis=1)
        examined = samples[:, DELAY_FRAMES - BEFORE - 1 - AFTER :]
        self._reductions_db = np.concatenate([self._reductions_db, self._released(examined)])
        limited = samples[:, :new]
        if self._reductions_db.any():
            limited = limited * _gains(self._reductions_db)
        self._samples = samples[:, new:]
        self._reductions_db = self._reductions_db[new:]
        early = min(self._early, new)
        self._early -= early
        return limited[:, early:]

    def finish(self) -> Samples:
        """The rest."""
        return self.go_on(np.zeros((2, DELAY_FRAMES), np.float32))

    def _released(self, samples: Samples) -> NDArray[np.float64]:
        """By how many dB each of the samples that can be examined now must be turned down, if it were for those before
        it and itself alone.
        """
        last_db = float(self._reductions_db[-1])
        count = samples.shape[1] - BEFORE - 1 - AFTER
        between = peaks_between(samples, CEILING)
        exact = np.abs(samples[:, BEFORE + 1 :][:, :count]).max(axis=0, initial=0)
        peaks = np.maximum(exact, np.maximum(between[:-1], between[1:]))
        if last_db == 0 and peaks.max(initial=0) <= CEILING:
            return np.zeros(count)
        needed_db = 20 * np.log10(np.maximum(peaks / CEILING, 1))
        # A running maximum of lines that all fall alike.
        fall_db = np.arange(1, count + 1) * (RELEASE_DB_PER_S / RATE_HZ)
        highest_db = np.maximum.accumulate(np.concatenate([[last_db], needed_db + fall_db]))
        released_db: NDArray[np.float64] = np.maximum(highest_db[1:] - fall_db, needed_db)
        return released_db


def _gains(reductions_db: NDArray[np.float64]) -> Samples:
    """The smoothed gain for each of these but the first and last `AHEAD_FRAMES - 1`."""
    smooth_db = np.convolve(_highest_ahead(reductions_db), _glide, "valid")
    return np.power(10, smooth_db / -20).astype(np.float32)


def _highest_ahead(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest of each `AHEAD_FRAMES` values (van Herk): of a stretch's end and of the next one's beginning."""
    count = len(values) - AHEAD_FRAMES + 1
    rows = np.zeros((-(-len(values) // AHEAD_FRAMES), AHEAD_FRAMES))
    rows.flat[: len(values)] = values
    ends = np.maximum.accumulate(rows[:, ::-1], axis=1)[:, ::-1].ravel()[:count]
    beginnings = np.maximum.accumulate(rows, axis=1).ravel()[AHEAD_FRAMES - 1 :][:count]
    return np.maximum(ends, beginnings)
