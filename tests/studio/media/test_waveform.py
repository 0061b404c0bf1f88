"""The waveform while it is drawn, without any sound."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from omnisonic.studio.media.probe import FIRST_STRETCH, Waveform

MOST_PEAKS = 1000


def drawn(samples: list[int], *, channels: int = 1, parts: int = 10_000) -> Waveform:
    """The waveform of these samples, given in parts of so many."""
    waveform = Waveform(channels, MOST_PEAKS)
    for begin in range(0, len(samples), parts):
        waveform.add(memoryview(array("h", samples[begin : begin + parts])))
    return waveform


def test_each_stretch_shows_its_loudest_sample_of_either_sign() -> None:
    """Full scale is one, and the last stretch may be shorter."""
    loud_once = [0] * (FIRST_STRETCH - 1) + [-32_768] + [0] * (FIRST_STRETCH - 1) + [16_384] + [-8192]
    assert drawn(loud_once).peaks() == [1.0, 0.5, 0.25]


def test_all_channels_are_drawn_into_one_waveform() -> None:
    """The right one alone is loud; the length is that of one channel."""
    waveform = drawn([0, 16_384] * FIRST_STRETCH * 3, channels=2)
    assert waveform.peaks() == [0.5] * 3
    assert waveform.length == FIRST_STRETCH * 3


def test_nothing_has_no_peaks() -> None:
    """Not even one of silence."""
    assert drawn([]).peaks() == []


def test_a_long_sound_is_drawn_in_as_few_peaks_as_a_short_one() -> None:
    """It grows louder evenly, and so does its waveform, to the very end."""
    length = FIRST_STRETCH * MOST_PEAKS * 5
    peaks = drawn([at * 32_767 // length for at in range(length)]).peaks()
    assert MOST_PEAKS / 2 <= len(peaks) <= MOST_PEAKS
    assert peaks == sorted(peaks)
    assert all(abs(peak - (at + 1) / len(peaks)) < 0.002 for at, peak in enumerate(peaks))


@given(
    samples=st.lists(st.integers(-32_768, 32_767), max_size=300),
    repeated=st.integers(1, 400),
    parts=st.integers(1, 5000),
    channels=st.integers(1, 3),
)
def test_it_does_not_matter_in_which_parts_the_sound_comes(
    samples: list[int], repeated: int, parts: int, channels: int
) -> None:
    """And the loudest peak is the loudest sample."""
    whole = samples * repeated
    waveform = drawn(whole, channels=channels)
    assert drawn(whole, channels=channels, parts=parts).peaks() == waveform.peaks()
    assert len(waveform.peaks()) <= MOST_PEAKS
    assert max(waveform.peaks(), default=0) == round(max(map(abs, whole), default=0) / 32_768, 4)
