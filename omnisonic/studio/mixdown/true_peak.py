"""How high the sound gets between its samples (ITU-R BS.1770-5, annex 2: four times oversampled). Pure.

A windowed sinc of 32 taps a phase, longer than the recommendation's 12, and true up to 20 kHz. It is done as a
product of matrices, which costs a tenth of a filter; and only where samples are so high that something between them
could be over the limit at all, which is nowhere in a mix with headroom.
"""

from typing import Final

import numpy as np

from omnisonic.studio.mixdown.blocks import Samples

PHASES: Final = 4
TAPS: Final = 32
BEFORE: Final = TAPS // 2 - 1
"""So many samples before a place are needed to know what is between it and the next one."""
AFTER: Final = TAPS // 2
STRIDE: Final = 64
"""Places that are done at once."""
KAISER: Final = 8.0


def _phase(number: int) -> Samples:
    """The weights of the samples around a place for what is `number` quarters of a sample behind it."""
    at = np.arange(-BEFORE, AFTER + 1) - number / PHASES
    window = np.i0(KAISER * np.sqrt(np.clip(1 - (at / (TAPS / 2)) ** 2, 0, None))) / np.i0(KAISER)
    taps = np.sinc(at) * window
    weights: Samples = (taps / taps.sum()).astype(np.float32)
    return weights


_phases: Final = [_phase(number) for number in range(1, PHASES)]
_product: Final = np.zeros((STRIDE + TAPS - 1, PHASES - 1, STRIDE), np.float32)
for _place in range(STRIDE):
    for _number, _taps in enumerate(_phases):
        _product[_place : _place + TAPS, _number, _place] = _taps
MOST_OVERSHOOT: Final = float(max(np.abs(taps).sum() for taps in _phases))
"""No sound gets higher between its samples than so many times its highest sample."""


def peaks_between(samples: Samples, over: float) -> Samples:
    """The highest of all rows between each sample and the next, for all that have `BEFORE` others before them and
    `AFTER` behind. Where nothing can be higher than `over`, it may be given as 0.
    """
    places = samples.shape[1] - TAPS + 1
    peaks = np.zeros(-(-places // STRIDE) * STRIDE, np.float32)
    padded = np.zeros((len(samples), len(peaks) + TAPS - 1), np.float32)
    padded[:, : samples.shape[1]] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, STRIDE + TAPS - 1, axis=1)[:, ::STRIDE]
    found = peaks.reshape(-1, STRIDE)
    product = _product.reshape(STRIDE + TAPS - 1, -1)
    for row in windows:
        high = np.flatnonzero(np.maximum(row.max(axis=1), -row.min(axis=1)) * MOST_OVERSHOOT > over)
        if high.size:
            between = np.abs(row[high] @ product).reshape(len(high), PHASES - 1, STRIDE).max(axis=1)
            found[high] = np.maximum(found[high], between)
    return peaks[:places]
