"""Timeouts: everything falls due once, when it should, and oldest first."""

from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.timeouts import Timeouts

bounded = settings(max_examples=200)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5)),
        st.tuples(st.just("discard"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(0, 7)),
    )
)


@bounded
@given(steps)
def test_timeouts_are_a_dictionary_of_deadlines(script: list[tuple[str, int]]) -> None:
    """The same things fall due as in a plain dictionary that is searched from end to end."""
    timeouts: Timeouts[int] = Timeouts(10.0)
    model: dict[int, float] = {}
    now_s = 0.0
    for action, number in script:
        if action == "add":
            timeouts.add(number, now_s)
            model.pop(number, None)
            model[number] = now_s + 10.0
        elif action == "discard":
            timeouts.discard(number)
            model.pop(number, None)
        else:
            now_s += number
            due = [thing for thing, due_s in model.items() if due_s <= now_s]
            assert timeouts.take_due(now_s) == due
            model = {thing: due_s for thing, due_s in model.items() if due_s > now_s}
        assert list(timeouts) == list(model)
        assert len(timeouts) == len(model)


def test_beginning_again_moves_a_timeout_to_the_end() -> None:
    """A ping that is answered puts the next one off."""
    timeouts: Timeouts[str] = Timeouts(5.0)
    timeouts.add("ada", 0.0)
    timeouts.add("bob", 1.0)
    timeouts.add("ada", 2.0)
    assert timeouts.take_due(6.0) == ["bob"]
    assert timeouts.take_due(7.0) == ["ada"]
    assert timeouts.take_due(100.0) == []
