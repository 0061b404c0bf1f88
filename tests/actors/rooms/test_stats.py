"""The statistics of a room: rates, percentiles, stalls and ended runs, in bounded memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.stats import TURNS, Meter, RoomStats
from omnisonic.actors.runtime.supervisor import ENDED_RUNS

bounded = settings(max_examples=200)


def test_a_steady_rate_is_told_exactly() -> None:
    """From the second second on, and for ever."""
    meter = Meter(0.0)
    for second in range(1, 60):
        meter.mark(second, 50 * second, 150 * second)
        assert meter.per_s(second, 50 * second, 150 * second) == (50.0, 150.0)


def test_a_rate_falls_to_nothing_within_ten_seconds() -> None:
    """And rises again when something is said again."""
    meter = Meter(0.0)
    meter.mark(1.0, 100, 300)
    rates = []
    for second in range(2, 14):
        meter.mark(second, 100, 300)
        rates.append(meter.per_s(second, 100, 300)[0])
    assert rates[0] == 50.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0.0
    meter.mark(14.0, 110, 330)
    assert meter.per_s(14.0, 110, 330) == (10.0, 30.0)


def test_what_happened_since_the_last_mark_counts() -> None:
    """A room that is a moment old has a rate."""
    assert Meter(5.0).per_s(5.5, 10, 20) == (10.0, 20.0)


@bounded
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40))
def test_a_rate_is_what_was_said_in_the_last_ten_seconds(said: list[int]) -> None:
    """Whatever was said in which second."""
    meter, total = Meter(0.0), 0
    for second, count in enumerate(said, 1):
        total += count
        meter.mark(second, total, total)
    looked_back = said[-10:]
    expected = sum(looked_back) / len(looked_back)
    assert meter.per_s(len(said), total, total)[0] <= max(looked_back) + 1e-9
    if all(looked_back):
        assert meter.per_s(len(said), total, total)[0] == pytest.approx(expected)


@bounded
@given(st.lists(st.integers(1_000, 10_000_000), min_size=1, max_size=3 * TURNS))
def test_percentiles_are_of_the_last_turns(took_ns: list[int]) -> None:
    """By the nearest rank, as precise as four bytes are."""
    stats = RoomStats(0.0)
    for each in took_ns:
        stats.record_turn(each, 17)
    assert stats.last_stall is None
    last = sorted(took_ns[-TURNS:])
    p50_ms, p99_ms = stats.handler_ms()
    assert p50_ms == pytest.approx(last[(len(last) - 1) // 2] / 1e6, rel=1e-6)
    assert p99_ms == pytest.approx(last[(len(last) - 1) * 99 // 100] / 1e6, rel=1e-6)


def test_a_room_without_a_turn_took_no_time() -> None:
    """Nothing is divided by nothing."""
    assert RoomStats(0.0).handler_ms() == (0.0, 0.0)


def test_a_turn_of_a_quarter_of_a_second_is_a_hog() -> None:
    """It is remembered until another one is."""
    stats = RoomStats(0.0)
    stats.record_turn(250_000_000, 10_000)
    assert stats.last_stall is None
    stats.record_turn(2_000_000_000, 20_000)
    stats.record_turn(1_000, 20_010)
    stats.record_stall(1.9, 20_050)  # the watchdog has seen the same
    assert stats.last_stall == (20_000, 2.0)
    stats.record_stall(0.5, 30_000)
    assert stats.last_stall == (30_000, 0.5)


def test_only_the_last_lives_are_remembered() -> None:
    """A room that crashes for years takes up no more memory than one that crashed a few times."""
    stats = RoomStats(0.0)
    for number in range(100):
        stats.record_end(str(number), number)
    assert [life.at_ms for life in stats.ended_runs] == list(range(100 - ENDED_RUNS, 100))
