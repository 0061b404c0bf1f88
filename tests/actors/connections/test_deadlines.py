"""Deadlines: everything falls due once, when it should, and in order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.connections.keepalive import PRECISION_S, Deadlines

bounded = settings(max_examples=200)
seconds = st.integers(0, 400).map(lambda tenths: tenths / 8)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 5), seconds),
        st.tuples(st.just("discard"), st.integers(0, 5), st.just(0.0)),
        st.tuples(st.just("wait"), st.just(0), seconds.map(lambda s: s / 8)),
    )
)


@bounded
@given(steps)
def test_deadlines_are_a_dictionary_that_is_searched(script: list[tuple[str, int, float]]) -> None:
    """What a search from end to end finds overdue is due, nothing is before its time, and each thing is due once."""
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, float] = {}
    now_s = 0.0
    for action, number, value_s in script:
        if action == "set":
            deadlines.set(number, now_s + value_s)
            model[number] = now_s + value_s
        elif action == "discard":
            deadlines.discard(number)
            model.pop(number, None)
        else:
            now_s += value_s
            due = deadlines.take_due(now_s)
            assert {number for number, due_s in model.items() if due_s + PRECISION_S <= now_s} <= set(due)
            assert all(model.pop(number) <= now_s for number in due)
        assert len(deadlines) == len(model)


def test_things_are_due_in_the_order_of_their_deadlines() -> None:
    """Not in the order they were set; a deadline that is set again is the only one."""
    deadlines: Deadlines[str] = Deadlines()
    for name, due_s in (("ada", 1.0), ("cy", 3.0), ("bo", 2.0), ("ada", 4.0)):
        deadlines.set(name, due_s)
    assert deadlines.take_due(3.5) == ["bo", "cy"]
    assert deadlines.take_due(4.0 + PRECISION_S) == ["ada"]
    assert deadlines.take_due(100.0) == []
