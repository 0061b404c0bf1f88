"""A part of a waveform, as finely as it is drawn."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from omnisonic.studio.uploads.peaks import Window, peaks_in


def test_a_window_shows_the_loudest_of_each_stretch() -> None:
    """Of the whole, of a part, of more points than there are, and behind the end."""
    stored = bytes([0, 51, 102, 255, 0, 0, 0, 204])
    assert peaks_in(Window(points=4), stored, 4.0) == [0.2, 1.0, 0.0, 0.8]
    assert peaks_in(Window(0.5, 1.5), stored, 4.0) == [0.2, 0.4]
    assert peaks_in(Window(1.0, 2.0, 1000), stored, 4.0) == [0.4, 1.0]
    assert peaks_in(Window(3.9, 99.0), stored, 4.0) == [0.8]
    assert peaks_in(Window(4.0), stored, 4.0) == []


@given(
    stored=st.binary(min_size=1, max_size=300),
    begin_s=st.floats(0, 20),
    length_s=st.floats(0, 20),
    points=st.integers(1, 50),
)
def test_no_window_has_more_points_than_wanted(stored: bytes, begin_s: float, length_s: float, points: int) -> None:
    """And none is louder than the loudest; the whole has the loudest in it."""
    found = peaks_in(Window(begin_s, begin_s + length_s, points), stored, 10.0)
    assert len(found) <= points
    assert max(found, default=0) <= round(max(stored) / 255, 3)
    assert max(peaks_in(Window(points=points), stored, 10.0)) == round(max(stored) / 255, 3)


@given(stored=st.binary(min_size=1, max_size=300), duration_s=st.floats(0.001, 14_400), points=st.integers(1, 50))
@example(stored=bytes(41), duration_s=0.3, points=1)
def test_a_window_may_begin_just_before_the_end(stored: bytes, duration_s: float, points: int) -> None:
    """At any of the last numbers before it. What it shows is the last peak, or nothing."""
    begin_s = duration_s
    for _ in range(5):
        begin_s = math.nextafter(begin_s, 0.0)
        assert peaks_in(Window(begin_s, None, points), stored, duration_s) in ([], [round(stored[-1] / 255, 3)])
