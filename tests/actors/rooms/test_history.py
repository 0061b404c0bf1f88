"""What a room remembers, and what a member who comes back is told."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.history import MARKS, History, HistoryLimits, Recovery, plan_recovery
from omnisonic.wire.recovery import HistoryGap, Position

PARENTS: Final = (Position("parent", 7), Position("grandparent", 3))

bounded = settings(max_examples=300)


def contents(*offsets: int, size: int = 10) -> list[bytes]:
    """Messages, each with its offset in it."""
    return [b"%d" % offset + b"." * (size - len(str(offset))) for offset in offsets]


@bounded
@given(
    st.lists(st.lists(st.integers(1, 40), max_size=6), max_size=30),
    st.integers(0, 12),
    st.integers(0, 200),
    st.integers(0, 120),
)
def test_it_holds_the_newest_messages_within_its_limits(
    turns: list[list[int]], most: int, most_bytes: int, asked: int
) -> None:
    """A model: a list of everything, cut from the front until it fits."""
    history, everything = History(HistoryLimits(most, most_bytes)), list[bytes]()
    for turn in turns:
        said = [b"." * size for size in turn]
        everything += said
        history.add(said)
    model = everything[-most:] if most else []
    while sum(map(len, model)) > most_bytes:
        model.pop(0)
    assert history.last == len(everything)
    assert history.first == len(everything) - len(model) + 1
    assert history.size == sum(map(len, model))
    assert history.after(asked) == (model if asked < history.first else everything[asked:])


def test_a_message_is_forgotten_when_it_is_too_old() -> None:
    """Within a part of the age: what is younger stays."""
    history = History(HistoryLimits(age_s=64.0))
    history.add(contents(1, 2))
    history.expire(100.0)
    history.add(contents(3))
    history.expire(100.0 + 64.0 / MARKS)
    history.expire(163.9)
    assert history.first == 1
    history.expire(164.0)
    assert history.after(0) == contents(3)
    history.expire(165.0)
    assert (history.after(0), history.first, history.size) == ([], 4, 0)


def test_age_is_known_of_what_was_said_between_two_marks() -> None:
    """A message that came just after a mark gets the next one, and is not kept for ever."""
    history = History(HistoryLimits(age_s=64.0))
    history.add(contents(1))
    history.expire(100.0)
    history.add(contents(2))
    history.expire(100.1)
    for second in range(101, 170):
        history.expire(float(second))
    assert len(history) == 0


def test_a_full_history_costs_little_beside_its_bytes() -> None:
    """Its marks are few, however long it lasts."""
    history = History(HistoryLimits())
    for step in range(5_000):
        history.add(contents(step))
        history.expire(step * 0.25)
    assert len(history) == 512
    assert history._marks is not None
    assert len(history._marks) <= MARKS + 1


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (Position("epoch", 12), Recovery(True, 12)),
        (Position("epoch", 9), Recovery(True, 9)),
        (Position("epoch", 8), Recovery(False, 9, HistoryGap("epoch", 9, 9, 1))),
        (Position("epoch", 0), Recovery(False, 9, HistoryGap("epoch", 1, 9, 9))),
        (Position("epoch", 13), Recovery(False, 12, HistoryGap("epoch", 14, None, None))),
        (Position("parent", 5), Recovery(False, 9, HistoryGap("parent", 6, None, None))),
        (Position("stranger", 5), Recovery(False, 9, HistoryGap("stranger", 6, None, None))),
    ],
)
def test_who_comes_back_gets_what_is_known_and_is_told_what_is_not(since: Position, expected: Recovery) -> None:
    """Messages 10 to 12 are known; the parent epoch ended at 7, as far as this one knows."""
    assert plan_recovery(since, "epoch", PARENTS, 10, 12) == expected


@pytest.mark.parametrize(
    ("since", "after", "lost_from"),
    [
        (Position("parent", 5), 5, 8),
        (Position("parent", 7), 7, 8),
        (Position("parent", 9), 7, 10),
        (Position("grandparent", 2), 2, 4),
        (Position("grandparent", 6), 3, 7),
    ],
)
def test_after_an_unclean_end_what_was_not_copied_is_a_gap(since: Position, after: int, lost_from: int) -> None:
    """What the parent epoch said up to offset 7 is known, and what it said after that nobody knows."""
    gap = HistoryGap(since.epoch, lost_from, None, None)
    assert plan_recovery(since, "epoch", PARENTS, 1, 12) == Recovery(False, after, gap)
