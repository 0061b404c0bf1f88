"""The rate limit of one connection: how much is free, what is told, and when it is closed (SPEC 5.3)."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.connections.socket_connection import COST_BYTES, RateLimit
from omnisonic.wire.closing import CloseCode
from omnisonic.wire.frames import TEXT
from tests.actors.connection_stage import Stage
from tests.wire.client_frames import FIN, ClientFrame

bounded = settings(max_examples=200)
NOTE = ClientFrame(FIN | TEXT, b'{"type":"note"}').encode()
PER_S, BURST = 10.0, 5


def named(id_: str) -> bytes:
    """A message with this id, as a client sends it."""
    return ClientFrame(FIN | TEXT, b'{"type":"note","id":"%b"}' % id_.encode()).encode()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Ten messages a second, five at once."""
    stage = Stage(RateLimit.of(PER_S, BURST))
    yield stage
    stage.close()


def test_a_burst_is_free_and_more_is_told_once(stage: Stage) -> None:
    """Messages over the limit are dropped, and the sender hears of it with the first of them."""
    stage.send(NOTE, BURST)
    assert (stage.taken, stage.errors()) == (BURST, [])
    stage.send(NOTE, 3)
    assert (stage.taken, stage.errors()) == (BURST, ["rate_limited"])
    assert stage.connection.is_open


def test_the_sender_hears_of_each_dropped_message_that_has_an_id(stage: Stage) -> None:
    """Somebody waits for its answer. One error without an id is for all others, and comes once."""
    stage.send(NOTE, BURST)
    stage.send(named("a") + NOTE + NOTE)
    assert stage.answers() == [("rate_limited", "a"), ("rate_limited", None)]
    stage.send(NOTE + named("b"))
    assert stage.answers() == [("rate_limited", "b")]
    assert stage.taken == BURST


def test_who_waits_for_all_answers_gets_no_other_error(stage: Stage) -> None:
    """What is told by its id is told."""
    stage.send(NOTE, BURST)
    stage.send(named("a") + named("b"))
    assert stage.answers() == [("rate_limited", "a"), ("rate_limited", "b")]


def test_what_is_dropped_need_not_be_utf_8(stage: Stage) -> None:
    """Nobody has looked. It is told as any other message, and the connection stays."""
    stage.send(NOTE, BURST)
    stage.send(ClientFrame(FIN | TEXT, b'{"type":"\xff"}').encode() + named("a"))
    assert stage.answers() == [("rate_limited", "a"), ("rate_limited", None)]
    assert (stage.connection.is_open, stage.owner.crashes) == (True, [])


def test_who_slows_down_is_heard_again(stage: Stage) -> None:
    """And told again if it happens again."""
    stage.send(NOTE, BURST + 1)
    stage.owner.clock.now_s += 3 / PER_S
    stage.send(NOTE, 2)
    assert stage.taken == BURST + 2
    stage.send(NOTE, 2)
    assert stage.errors() == ["rate_limited", "rate_limited"]


def test_who_goes_on_regardless_is_closed(stage: Stage) -> None:
    """At twice the burst: 4009, and the seat is given up."""
    stage.send(NOTE, 2 * BURST + 1)
    assert stage.connection.closing is not None
    assert stage.connection.closing.code is CloseCode.RATE_LIMIT
    assert stage.reported().endswith(b"\x0f\xa9sending faster than allowed")
    assert stage.taken == BURST
    stage.send(NOTE)
    assert stage.taken == BURST


def test_pings_cost_as_much_as_messages(stage: Stage) -> None:
    """A flood of them is closed like any other."""
    stage.send(ClientFrame(FIN | 0x9).encode(), 2 * BURST + 1)
    assert stage.connection.closing is not None
    assert stage.connection.closing.code is CloseCode.RATE_LIMIT


def test_fragments_cost_as_much_as_messages(stage: Stage) -> None:
    """They are more work to put together than a message is to relay."""
    stage.send(ClientFrame(TEXT, b"-").encode() + ClientFrame(0).encode() * 2 * BURST)
    assert stage.connection.closing is not None
    assert stage.connection.closing.code is CloseCode.RATE_LIMIT


def test_long_messages_cost_more(stage: Stage) -> None:
    """One more for each 4 KiB: it is work for everyone in the room."""
    long = ClientFrame(FIN | TEXT, b"-" * 3 * COST_BYTES).encode()
    stage.send(long)
    assert stage.taken == 1
    stage.send(NOTE)
    assert stage.taken == 2
    stage.send(NOTE)
    assert (stage.taken, stage.errors()) == (2, ["rate_limited"])


def test_a_rate_of_nothing_is_no_limit() -> None:
    """0 switches it off, as every limit."""
    assert RateLimit.of(0, 5) == RateLimit(0.0, 0.0)
    stage = Stage(RateLimit.of(0, 5))
    try:
        stage.send(NOTE, 200)
        assert (stage.taken, stage.errors()) == (200, [])
    finally:
        stage.close()


@bounded
@given(st.lists(st.tuples(st.sampled_from((0.0, 0.0, 0.05, 0.1, 0.3)), st.integers(1, 3)), max_size=25))
def test_never_more_than_the_rate_and_a_burst_is_taken(script: list[tuple[float, int]]) -> None:
    """However the sender spreads it; and a sender who keeps to the rate loses nothing."""
    stage = Stage(RateLimit.of(PER_S, BURST))
    try:
        begun_s, sent, polite = stage.owner.clock.now_s, 0, True
        for pause_s, count in script:
            stage.owner.clock.now_s += pause_s
            sent += count
            stage.send(NOTE * count)
            allowed = PER_S * (stage.owner.clock.now_s - begun_s) + BURST
            assert stage.taken <= allowed + 1e-6
            polite = polite and count <= PER_S * pause_s
        assert not polite or stage.taken == sent
    finally:
        stage.close()
