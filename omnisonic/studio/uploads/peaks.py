"""A part of a waveform, as finely as it is to be drawn. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

FULL_SCALE: Final = 255
"""A stored peak of 1."""
MOST_POINTS: Final = 4_096
DEFAULT_POINTS: Final = 1_000
LONGEST_S: Final = 14_400.0
"""Longer sounds are not analysed."""
DIGITS: Final = 3


class Window(msgspec.Struct, frozen=True):
    """The part of a waveform that is wanted, in seconds of the file. `end_s` None: to its end."""

    begin_s: float = 0.0
    end_s: float | None = None
    points: int = DEFAULT_POINTS


WHOLE: Final = Window()


def peaks_in(window: Window, stored: Sequence[int], duration_s: float) -> list[float]:
    """The peaks of `window`: each the highest of a stretch, the stretches of one length, together exactly the window.

    Args:
        window: What is wanted. What of it lies behind the end is left out.
        stored: Peaks of stretches of one length, of the whole sound.
        duration_s: How long the sound is.

    Returns:
        At most `window.points` peaks, and no more than are stored for that part; none when it lies behind the end.
    """
    per_s = len(stored) / duration_s
    begin = window.begin_s * per_s
    end = min(duration_s if window.end_s is None else window.end_s, duration_s) * per_s
    if end <= begin:
        return []
    count = max(1, min(window.points, round(end - begin)))
    width = (end - begin) / count
    edges = [begin + place * width for place in range(count + 1)]
    return [round(_loudest(stored, first, last) / FULL_SCALE, DIGITS) for first, last in pairwise(edges)]


def _loudest(stored: Sequence[int], first: float, last: float) -> int:
    """The highest of what is stored from `first` to `last`. Just before the end, `first` may be rounded up to it."""
    begin = min(int(first), len(stored) - 1)
    return max(stored[begin : max(begin + 1, -int(-last // 1))])
