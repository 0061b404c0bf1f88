"""Unfinished messages: nobody keeps one for long, and all of them together stay small."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.connections.keepalive import FREED_SHARE, UnfinishedMessages
from omnisonic.wire.closing import CloseCode, Closing

bounded = settings(max_examples=300)
BUDGET_BYTES = 100
WITHIN_S = 8.0


class Client(Connection):
    """Somebody who has begun a message."""

    def __init__(self, unfinished: UnfinishedMessages) -> None:
        self._unfinished = unfinished
        self._closing = None

    def give_up(self, closing: Closing) -> None:
        self._closing = closing
        self._unfinished.note(self, 0, 0.0, is_new=False)  # as a connection does that has dropped what it held


def test_the_largest_go_when_there_is_too_much() -> None:
    """Until a quarter is free; not those who asked last, and not those who sent a message of a usual size just now."""
    unfinished = UnfinishedMessages(WITHIN_S, BUDGET_BYTES)
    clients = [Client(unfinished) for _ in range(5)]
    for client, size in zip(clients, (10, 40, 10, 35, 6), strict=True):
        unfinished.note(client, size, 1.0, is_new=True)
    assert [client.closing for client in clients] == [
        None, Closing(CloseCode.TRY_AGAIN_LATER, "too many messages are unfinished here"), None, None, None
    ]  # fmt: skip
    assert unfinished.size == 61


def test_of_those_who_are_as_large_the_oldest_go() -> None:
    """Nobody holds a little of everything for long: what has waited for seconds weighs more than what is larger."""
    unfinished = UnfinishedMessages(WITHIN_S, BUDGET_BYTES)
    old = [Client(unfinished) for _ in range(4)]
    for client in old:
        unfinished.note(client, 20, 1.0, is_new=True)
    new = Client(unfinished)
    unfinished.note(new, 30, 3.5, is_new=True)
    assert new.closing is None
    assert [client.closing is None for client in old] == [False, False, True, True]
    assert unfinished.size == 70


def test_a_message_that_grows_is_as_old_as_its_first_byte() -> None:
    """However steadily it comes; the next one of the same client is new."""
    unfinished = UnfinishedMessages(WITHIN_S, BUDGET_BYTES)
    slow, quick = Client(unfinished), Client(unfinished)
    for second in range(9):
        unfinished.note(slow, second + 1, float(second), is_new=second == 0)
        unfinished.note(quick, 5, float(second), is_new=True)
        unfinished.close_overdue(second + 0.5)
        assert slow.closing is None or second == 8
    assert slow.closing == Closing(CloseCode.TRY_AGAIN_LATER, "a message was not finished in time")
    assert (quick.closing, unfinished.size) == (None, 5)


@bounded
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60), st.booleans()), max_size=40))
def test_the_sum_is_what_all_have_together_and_never_over_the_budget(script: list[tuple[int, int, bool]]) -> None:
    """Whoever begins, goes on, ends and begins again, in whatever order."""
    unfinished = UnfinishedMessages(WITHIN_S, BUDGET_BYTES)
    clients = [Client(unfinished) for _ in range(5)]
    model: dict[Client, int] = {}
    for number, size, is_new in script:
        client = clients[number]
        for each in clients:
            each._closing = None
        if is_new or not size:
            model.pop(client, None)
        if size:
            model[client] = size
        is_over = sum(model.values()) > BUDGET_BYTES
        unfinished.note(client, size, 0.0, is_new=is_new)
        model = {client: size for client, size in model.items() if client.closing is None}
        assert sum(model.values()) <= BUDGET_BYTES * (1 - FREED_SHARE if is_over else 1)
        assert (unfinished.size, len(unfinished)) == (sum(model.values()), len(model))


@pytest.mark.parametrize("size", [1, BUDGET_BYTES])
def test_a_client_that_is_gone_counts_no_more(size: int) -> None:
    """And one that is not known is no error."""
    unfinished = UnfinishedMessages(WITHIN_S, BUDGET_BYTES)
    client = Client(unfinished)
    unfinished.note(client, size, 0.0, is_new=True)
    unfinished.discard(client)
    unfinished.discard(client)
    unfinished.close_overdue(100.0)
    assert (unfinished.size, len(unfinished), client.closing) == (0, 0, None)
