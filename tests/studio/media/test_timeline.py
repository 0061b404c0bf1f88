"""Where frames lie in time, by what a file says of them, true or not."""

import random
from typing import Final

import pytest

from omnisonic.studio.media.timeline import GAP_S, MOST_PRIMING_S, Place, Timeline

RATE: Final = 1_000
FRAME: Final = 100
LONGEST_S: Final = 3_600.0
NOTHING: Final = Place(0, 0)


def timeline(lead_s: float = 0.0, starts_at_s: float | None = None, longest_gap_s: float = LONGEST_S) -> Timeline:
    """One at whose beginning a file begins."""
    made = Timeline(LONGEST_S)
    made.begin(lead_s, starts_at_s, longest_gap_s)
    return made


def place_frames(made: Timeline, *at_s: float | None) -> list[Place]:
    """Where frames of a tenth of a second come that begin then."""
    return [made.place(at, FRAME, RATE) for at in at_s]


def test_frames_that_follow_each_other_are_left_alone() -> None:
    """From whatever time their clock counts."""
    made = timeline()
    assert place_frames(made, 7.0, 7.1, 7.2) == [NOTHING] * 3
    assert made.end_s == pytest.approx(0.3)


def test_a_pause_is_silent() -> None:
    """As long as it was."""
    made = timeline()
    assert place_frames(made, 0.0, 0.1, 2.2, 2.3) == [NOTHING, NOTHING, Place(2_000, 0), NOTHING]
    assert made.end_s == pytest.approx(2.4)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_rounding_is_left_alone_and_does_not_add_up(sign: int) -> None:
    """The same few milliseconds too early or too late again and again; a pause after them is where it is."""
    made = timeline()
    error_s = sign * GAP_S * 0.9
    assert place_frames(made, 0.0, 0.1 + error_s, 0.2, 0.3 + error_s, 0.4) == [NOTHING] * 5
    assert place_frames(made, 1.0) == [Place(500, 0)]


def test_small_gaps_that_add_up_are_a_pause() -> None:
    """Each is too short to be one; nothing is later than it should be by more than that."""
    made = timeline()
    for number in range(100):
        place_frames(made, number * 0.110)
        assert abs(made.end_s - FRAME / RATE - number * 0.110) <= GAP_S


def test_the_sound_of_a_film_begins_as_much_later_as_it_does() -> None:
    """To the sample; its clock begins where it begins."""
    made = timeline(lead_s=0.345, starts_at_s=1.345)
    assert place_frames(made, 1.345, 1.445) == [Place(345, 0), NOTHING]


def test_what_was_lost_at_the_beginning_is_silent() -> None:
    """The stream begins at 0, and the first frame that could be decoded is of later."""
    assert place_frames(timeline(starts_at_s=0.0), 0.5, 0.6) == [Place(500, 0), NOTHING]


def test_priming_is_taken_away() -> None:
    """A beginning before the beginning, over the end of a frame; what follows is in its place."""
    made = timeline(lead_s=-0.15, starts_at_s=-0.15)
    assert place_frames(made, -0.15, -0.05, 0.05, 1.15) == [Place(0, 100), Place(0, 50), NOTHING, Place(1_000, 0)]
    assert made.end_s == pytest.approx(1.25)


def test_not_more_is_taken_away_than_can_be_priming() -> None:
    """Ten seconds before the beginning are sound."""
    made = timeline(lead_s=-10.0, starts_at_s=-10.0)
    for number in range(100):
        place_frames(made, -10 + number / 10)
    assert made.end_s >= 10 - MOST_PRIMING_S - 0.001


def test_without_times_frames_follow_each_other() -> None:
    """And those that have times again go on from there."""
    made = timeline()
    assert place_frames(made, 0.0, None, None, 0.3, 1.4) == [NOTHING, NOTHING, NOTHING, NOTHING, Place(1_000, 0)]


def test_times_that_go_back_are_the_beginning_of_another_clock() -> None:
    """Nothing is thrown away, and pauses by the new clock are pauses."""
    made = timeline()
    assert place_frames(made, 100.0, 100.1, 0.0, 0.1, 1.2) == [NOTHING, NOTHING, NOTHING, NOTHING, Place(1_000, 0)]


@pytest.mark.parametrize("at_s", [1e6, 1e300, float("inf"), -1e300, float("-inf"), float("nan"), LONGEST_S + 1])
def test_what_can_be_no_time_makes_no_silence(at_s: float) -> None:
    """It comes where the sound has got to, and what follows is not led astray."""
    made = timeline()
    assert place_frames(made, 0.0, at_s, at_s, 0.3, 0.4) == [NOTHING] * 5
    assert made.end_s == pytest.approx(0.5)


def test_a_pause_of_a_broadcast_is_short() -> None:
    """Otherwise it is another clock."""
    made = timeline(longest_gap_s=10.0)
    assert place_frames(made, 0.0, 9.1, 50_000.0, 50_000.1) == [NOTHING, Place(9_000, 0), NOTHING, NOTHING]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_times_come_all_is_no_longer_than_the_longest_and_the_sound(seed: int) -> None:
    """At random, far and near, with links between."""
    chance = random.Random(seed)
    made = timeline()
    sound_s = 0.0
    for _ in range(2_000):
        if chance.random() < 0.01:
            made.begin(chance.uniform(-5, 5_000), chance.choice([None, 0.0, 1e9]), LONGEST_S)
        at_s = chance.choice([chance.uniform(-1e4, 1e4), made.end_s + 5, float("nan"), None])
        silence, skipped = made.place(at_s, FRAME, chance.choice([8_000, 48_000]))
        assert silence >= 0
        assert 0 <= skipped <= FRAME
        sound_s += FRAME / 8_000
    assert made.end_s <= LONGEST_S + sound_s


def test_the_rate_may_change() -> None:
    """Time goes on."""
    made = timeline()
    assert place_frames(made, 0.0) == [NOTHING]
    assert made.place(0.1, FRAME, 2 * RATE) == NOTHING
    assert made.place(0.65, FRAME, RATE) == Place(500, 0)
    assert made.end_s == pytest.approx(0.75)
