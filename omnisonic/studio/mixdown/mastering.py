"""Mastering: the mix is limited to -1 dBTP, its loudness is measured, and it is written to its file. Blocking.

`Limiter` turns the mix down around each true peak, a little in advance (ITU-R BS.1770-5, annex 2). How far the sound
must be turned down is known for each sample (`true_peaks`). From there the reduction decays by `RELEASE_DB_PER_S`. For
each sample the greatest reduction of the next `AHEAD_FRAMES` counts, and that is smoothed over as many: so the gain
glides down, is low enough exactly where it must be, and glides back. Both sides are turned down together. A mix that
needs no reduction comes out as it went in, bit for bit.
"""

import math
from typing import Final

import av
import av.error
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from omnisonic.studio.mixdown import RATE_HZ, Mixed
from omnisonic.studio.mixdown.blocks import Samples
from omnisonic.studio.mixdown.file_writers import FileWriter

PHASES: Final = 4
"""Oversampling for true peaks."""
TAPS: Final = 32
"""Of the windowed sinc, for each phase: more than the recommendation's 12, and accurate up to 20 kHz."""
BEFORE: Final = TAPS // 2 - 1
"""How many samples before a position are needed to know what is between it and the next one."""
AFTER: Final = TAPS // 2
STRIDE: Final = 64
"""Positions that are computed at once."""
KAISER: Final = 8.0

CEILING_DBTP: Final = -1.0
CEILING: Final = 10 ** (CEILING_DBTP / 20)
AHEAD_FRAMES: Final = 240
"""5 ms."""
RELEASE_DB_PER_S: Final = 30.0
DELAY_FRAMES: Final = AHEAD_FRAMES - 1 + AFTER
"""More than the samples before a position that its true peak depends on."""

QUIETEST_LUFS: Final = -70.0
"""The absolute gate: what is no louder does not count."""
INTEGRATED: Final = "lavfi.r128.I"


def _phase_weights(number: int) -> Samples:
    """The weights of the samples around a position for what is `number` quarters of a sample after it."""
    at = np.arange(-BEFORE, AFTER + 1) - number / PHASES
    window = np.i0(KAISER * np.sqrt(np.clip(1 - (at / (TAPS / 2)) ** 2, 0, None))) / np.i0(KAISER)
    taps = np.sinc(at) * window
    weights: Samples = (taps / taps.sum()).astype(np.float32)
    return weights


_phases: Final = [_phase_weights(number) for number in range(1, PHASES)]
_product: Final = np.zeros((STRIDE + TAPS - 1, PHASES - 1, STRIDE), np.float32)
for _place in range(STRIDE):
    for _number, _taps in enumerate(_phases):
        _product[_place : _place + TAPS, _number, _place] = _taps
MOST_OVERSHOOT: Final = float(max(np.abs(taps).sum() for taps in _phases))
"""No sound gets higher between its samples than so many times its highest sample."""

_glide: Final = np.hanning(AHEAD_FRAMES + 2)[1:-1] / np.hanning(AHEAD_FRAMES + 2).sum()


def true_peaks(samples: Samples, over: float) -> Samples:
    """The highest value of all rows between each sample and the next. Pure.

    A product of matrices costs a tenth of a filter. It is done only where samples are so high that a value between
    them could be over the limit, which is nowhere in a mix with headroom.

    Args:
        samples: One row a channel.
        over: Peaks that cannot be higher than this may be given as 0.

    Returns:
        One value for each sample that has `BEFORE` others before it and `AFTER` behind it.
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


class Limiter:
    """Takes the mix in blocks of two rows, and returns it limited, `DELAY_FRAMES` later. Pure. One task owns it."""

    def __init__(self) -> None:
        self._samples = np.zeros((2, DELAY_FRAMES), np.float32)
        self._reductions_db = np.zeros(2 * AHEAD_FRAMES - 2)
        self._early = DELAY_FRAMES

    def process(self, block: Samples) -> Samples:
        """Limit the next block; what can be returned by now, which may be nothing."""
        new = block.shape[1]
        samples = np.concatenate([self._samples, block], axis=1)
        examined = samples[:, DELAY_FRAMES - BEFORE - 1 - AFTER :]
        self._reductions_db = np.concatenate([self._reductions_db, self._find_reductions(examined)])
        limited = samples[:, :new]
        if self._reductions_db.any():
            limited = limited * _smooth_gains(self._reductions_db)
        self._samples = samples[:, new:]
        self._reductions_db = self._reductions_db[new:]
        early = min(self._early, new)
        self._early -= early
        return limited[:, early:]

    def finish(self) -> Samples:
        """The rest."""
        return self.process(np.zeros((2, DELAY_FRAMES), np.float32))

    def _find_reductions(self, samples: Samples) -> NDArray[np.float64]:
        """By how many dB each sample that can be examined now must be turned down, for itself and those before it."""
        last_db = float(self._reductions_db[-1])
        count = samples.shape[1] - BEFORE - 1 - AFTER
        between = true_peaks(samples, CEILING)
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


def _smooth_gains(reductions_db: NDArray[np.float64]) -> Samples:
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


class LoudnessMeter:
    """Measures the integrated loudness (ITU-R BS.1770-5, EBU R 128) of the mix, in blocks of two rows.

    It uses FFmpeg's filter, which measures three minutes in a seventh of a second without holding up other threads;
    importing scipy for the same two filters would take longer. One task owns it.
    """

    def __init__(self) -> None:
        graph = Graph()
        self._begin = graph.add_abuffer(sample_rate=RATE_HZ, format="fltp", layout="stereo")
        # A frame of a tenth of a second comes out for each that went in, with the loudness so far.
        self._end = graph.add("abuffersink")
        graph.link_nodes(self._begin, graph.add("ebur128", "metadata=1:framelog=quiet"), self._end).configure()
        self._graph = graph
        self._lufs = QUIETEST_LUFS

    def add(self, block: Samples) -> None:
        """Measure the next block."""
        if not block.shape[1]:
            return
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate = RATE_HZ
        self._begin.push(frame)
        last = None
        while True:
            try:
                last = self._end.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
        if last is not None:
            self._lufs = float(last.metadata.get(INTEGRATED, self._lufs))

    @property
    def lufs(self) -> float | None:
        """The integrated loudness so far; None when the sound was too quiet or too short to have one."""
        return self._lufs if self._lufs > QUIETEST_LUFS else None


class Master:
    """Limits, measures and writes the mix, in blocks of two rows. Raises as `writer` does. One task owns it."""

    def __init__(self, writer: FileWriter) -> None:
        self._limiter = Limiter()
        self._meter = LoudnessMeter()
        self._writer = writer
        self._frames = 0

    def add(self, block: Samples) -> None:
        """Process the next block."""
        self._write(self._limiter.process(block))

    def finish(self) -> Mixed:
        """Write the rest, and return the measurements."""
        self._write(self._limiter.finish())
        self._writer.finish()
        peak = self._writer.peak
        return Mixed(self._frames / RATE_HZ, self._meter.lufs, 20 * math.log10(peak) if peak else None)

    def _write(self, block: Samples) -> None:
        self._frames += block.shape[1]
        self._meter.add(block)
        self._writer.write(block)
