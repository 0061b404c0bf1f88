"""The transport: one position for everyone, by arithmetic on the server's clock (SPEC 5.2)."""

from math import isclose
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.mailbox import Join, Leave
from omnisonic.actors.rooms.transport import (
    CLOCKS_APART_MS,
    START_MS,
    change_transport,
    move_to_clock,
    resume_transport,
)
from omnisonic.errors import InvalidInput
from omnisonic.wire.transport import LAST_BEAT, Loop, Tempo, Transport, TransportSet
from tests.actors.handles import FakeConnection, member, sent, text
from tests.actors.room_stage import Stage

bounded = settings(max_examples=150)


def test_everyone_gets_one_start_that_lies_ahead() -> None:
    """The sender, too; the newcomer finds it in the welcome."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("transport.set", {"playing": True, "atBeat": 8})))
    received = stage.received()
    assert received["ada"] == received["bob"]
    (message,) = received["bob"]
    assert message == {
        "type": "transport.state",
        "payload": {
            "playing": True,
            "tempoBpm": 120.0,
            "beatsPerBar": 4,
            "anchorBeat": 8.0,
            "anchorTime": 17 + START_MS,
            "loop": None,
            "version": 1,
            "by": "ada",
        },
    }
    assert stage.enter("cy").received()[0]["payload"]["transport"] == message["payload"]


def test_a_change_of_tempo_keeps_the_position() -> None:
    """And the tempo counts from then on."""
    playing = change_transport(Transport(), TransportSet(playing=True), "ada", 0)
    assert playing.beat_at(START_MS + 1_000) == 2.0
    faster = change_transport(playing, TransportSet(tempo_bpm=240.0), "bob", START_MS + 1_000)
    assert faster.beat_at(START_MS + 1_000) == 2.0
    assert faster.beat_at(START_MS + 2_000) == 6.0


def test_another_tempo_of_the_session_keeps_the_second() -> None:
    """What sounds goes on: no start, no jump, also for what stands; what goes round in a loop stays in it."""
    playing = change_transport(Transport(), TransportSet(playing=True, at_beat=118.0), "ada", 0)
    assert playing.beat_at(START_MS + 1_000) == 120.0
    slower = change_transport(playing, TransportSet(tempo_bpm=100.0, beats_per_bar=3), None, START_MS + 1_000)
    assert (slower.anchor_beat, slower.anchor_time, slower.beats_per_bar) == (100.0, START_MS + 1_000, 3)
    assert slower.beat_at(START_MS + 1_600) == 101.0
    early = change_transport(playing, TransportSet(tempo_bpm=60.0), None, 10)
    assert (early.anchor_beat, early.anchor_time) == (59.0, START_MS)
    standing = change_transport(Transport(anchor_beat=8.0), TransportSet(tempo_bpm=60.0), None, 5)
    assert (standing.playing, standing.beat_at(1_000)) == (False, 4.0)
    last = change_transport(Transport(anchor_beat=LAST_BEAT), TransportSet(tempo_bpm=400.0), None, 5)
    assert last.anchor_beat == LAST_BEAT
    for beat, loop, wanted in [(7.0, Loop(4.0, 8.0), 6.0), (6.0, Loop(4.0, 16.0), 12.0), (9.0, Loop(4.0, 8.0), 18.0)]:
        round_ = Transport(True, 120.0, 4, beat, 0.0, loop)
        assert change_transport(round_, TransportSet(tempo_bpm=240.0), None, 0).anchor_beat == wanted
    assert change_transport(slower, TransportSet(tempo_bpm=50.0, at_beat=8.0), None, 0).anchor_beat == 8.0


def test_a_stop_keeps_where_it_was_and_a_start_goes_on_there() -> None:
    """150 ms later."""
    playing = change_transport(Transport(), TransportSet(playing=True), "ada", 0)
    stopped = change_transport(playing, TransportSet(playing=False), "ada", START_MS + 500)
    assert (stopped.beat_at(0), stopped.beat_at(1e6), stopped.anchor_time) == (1.0, 1.0, START_MS + 500)
    again = change_transport(stopped, TransportSet(playing=True), "ada", 10_000)
    assert (again.anchor_beat, again.anchor_time) == (1.0, 10_000 + START_MS)


def test_a_change_before_the_start_does_not_move_the_start() -> None:
    """Somebody sets the tempo in the 150 ms between."""
    playing = change_transport(Transport(), TransportSet(playing=True), "ada", 0)
    faster = change_transport(playing, TransportSet(tempo_bpm=60.0), "bob", 100)
    assert (faster.anchor_time, faster.anchor_beat) == (START_MS, 0.0)
    stopped = change_transport(playing, TransportSet(playing=False), "bob", 100)
    assert (stopped.playing, stopped.beat_at(10_000)) == (False, 0.0)


def test_a_loop_is_repeated_and_what_is_behind_it_is_not() -> None:
    """Who starts before its end goes round; who starts behind it goes on."""
    loop = Loop(4.0, 8.0)
    inside = Transport(True, 60.0, 4, 2.0, 0.0, loop)
    assert [inside.beat_at(seconds * 1000) for seconds in (1, 5, 6, 7, 10, 11)] == [3.0, 7.0, 4.0, 5.0, 4.0, 5.0]
    behind = Transport(True, 60.0, 4, 8.0, 0.0, loop)
    assert behind.beat_at(3_000) == 11.0


changes = st.fixed_dictionaries(
    {},
    optional={
        "playing": st.booleans(),
        "at_beat": st.floats(0, 64),
        "tempo_bpm": st.sampled_from([20.0, 60.0, 119.9, 400.0]),
        "loop": st.sampled_from([None, Loop(0.0, 4.0), Loop(3.5, 9.25)]),
    },
).filter(bool)


@bounded
@given(st.lists(st.tuples(changes, st.integers(0, 5_000)), min_size=1, max_size=12), st.integers(0, 10_000))
def test_a_position_equals_that_of_a_player_who_counts_every_millisecond(
    steps: list[tuple[dict[str, Any], int]], rest_ms: int
) -> None:
    """A model that plays on its own: it moves by tempo each millisecond, and jumps at a loop's end."""
    transport, now_ms = Transport(), 0
    for fields, wait_ms in [*steps, ({}, rest_ms)]:
        model, anchor = transport.anchor_beat, transport.anchor_time
        can_loop = transport.loop is not None and transport.anchor_beat < transport.loop.end_beat
        start = max(now_ms, int(anchor))
        model = transport.beat_at(start)
        for _ in range(start, now_ms + wait_ms if transport.playing else start):
            model += transport.tempo_bpm / 60_000
            if can_loop and transport.loop is not None and model >= transport.loop.end_beat - 1e-9:
                model -= transport.loop.end_beat - transport.loop.start_beat
        now_ms += wait_ms
        position = transport.beat_at(now_ms)
        length = transport.loop.end_beat - transport.loop.start_beat if transport.loop else 1e9
        apart = abs(position - model)
        assert isclose(apart, 0, abs_tol=1e-4) or isclose(apart, length, abs_tol=1e-4)
        if fields:
            changed = change_transport(transport, TransportSet(**fields), "ada", now_ms)
            if "at_beat" not in fields and changed.loop == transport.loop:
                assert isclose(changed.beat_at(now_ms), position, abs_tol=1e-6)
            assert changed.version == transport.version + 1
            transport = changed


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"tempoBpm": 19.9},
        {"tempoBpm": 401},
        {"beatsPerBar": 0},
        {"beatsPerBar": 33},
        {"atBeat": -1},
        {"atBeat": 1e300},
        {"loop": {"startBeat": 4, "endBeat": 4}},
        {"loop": {"startBeat": -4, "endBeat": 4}},
        {"loop": {"startBeat": 0, "endBeat": 1e9}},
    ],
)
def test_what_no_player_can_do_is_refused(payload: object) -> None:
    """With a code, and nothing changes."""
    stage = Stage("ada")
    stage.turn(sent(stage.connections["ada"], text("transport.set", payload)))
    (error,) = stage.connections["ada"].received()
    assert error["payload"]["code"] == "invalid_transport"
    assert stage.room.memory.transport == Transport()


@pytest.mark.parametrize("payload", [[], {"playing": 1}, {"loop": 5}, {"tempoBpm": "fast"}])
def test_what_is_no_transport_is_refused(payload: object) -> None:
    """As a message that cannot be read."""
    stage = Stage("ada")
    stage.turn(sent(stage.connections["ada"], text("transport.set", payload)))
    assert stage.connections["ada"].received()[0]["payload"]["code"] == "invalid_message"


def test_numbers_that_are_none_are_refused() -> None:
    """JSON has no NaN, but a program may pass one."""
    with pytest.raises(InvalidInput):
        change_transport(Transport(), TransportSet(at_beat=float("nan")), None, 0)


def test_a_transport_that_played_on_past_its_end_stands_still() -> None:
    """A room that nobody has seen for days."""
    playing = Transport(True, 120.0, 4, 0.0, 0.0)
    assert resume_transport(playing, 60_000) is playing
    assert resume_transport(playing, LAST_BEAT * 60_000) == Transport(False, 120.0, 4, 0.0, LAST_BEAT * 60_000)


def test_it_begins_with_the_tempo_of_the_session() -> None:
    """When the first member enters, and again when the room was empty; not while it plays, and not for the second."""
    stage = Stage()
    ada, bob = FakeConnection("ada"), FakeConnection("bob")
    stage.turn(Join(ada, member("ada"), tempo=Tempo(90.0, 3)), Join(bob, member("bob"), tempo=Tempo(60.0, 5)))
    for connection in (ada, bob):
        transport = connection.received()[0]["payload"]["transport"]
        assert (transport["tempoBpm"], transport["beatsPerBar"], transport["version"]) == (90.0, 3, 0)
    stage.turn(sent(ada, text("transport.set", {"playing": True})))
    playing = stage.room.memory.transport
    stage.turn(Leave(ada, "left"), Leave(bob, "left"), Join(ada, member("ada"), tempo=Tempo(60.0, 5)))
    assert stage.room.memory.transport == playing
    stage.turn(sent(ada, text("transport.set", {"playing": False})), Leave(ada, "left"))
    stage.turn(Join(ada, member("ada"), tempo=Tempo(60.0, 5)))
    assert stage.room.memory.transport.tempo_bpm == 60.0


@pytest.mark.parametrize("playing", [True, False])
def test_what_everybody_had_left_takes_another_tempo_of_the_session(playing: bool) -> None:
    """As if the room had been told of it: the second stays, and what plays goes on. It is so for the first member."""
    stage = Stage()
    memory, now_ms = stage.room.memory, stage.room.context.now_ms()
    memory.transport = Transport(playing, 120.0, 4, 8.0, now_ms - 1_000, None, 7, "ada")
    memory.is_left = True
    ada, bob = FakeConnection("ada"), FakeConnection("bob")
    batch = stage.turn(Join(ada, member("ada"), tempo=Tempo(60.0, 3)), Join(bob, member("bob"), tempo=Tempo(90.0, 4)))
    beat = 5.0 if playing else 4.0
    assert memory.transport == Transport(playing, 60.0, 3, beat, now_ms, None, 8, None)
    assert batch.state_changed  # so it is written
    assert not memory.is_left


def test_a_tempo_that_no_transport_may_have_ends_no_room() -> None:
    """What a session has is not for the room to judge."""
    stage = Stage()
    stage.room.memory.transport = Transport(True, 120.0, 4, 8.0, 0, None, 7)
    stage.room.memory.is_left = True
    stage.turn(Join(FakeConnection("ada"), member("ada"), tempo=Tempo(500.0, 64)))
    assert stage.room.memory.transport.tempo_bpm == 500.0


@pytest.mark.parametrize("ahead_ms", [-60_000, 60_000])
def test_a_transport_goes_on_at_a_gateway_with_another_clock(ahead_ms: int) -> None:
    """Its position is the same at the same moment. A small difference is not known so exactly, and one that was never
    set has no time.
    """
    playing = Transport(playing=True, anchor_beat=4.0, anchor_time=100_000, version=3)
    moved = move_to_clock(playing, ahead_ms)
    assert moved.beat_at(107_000 + ahead_ms) == playing.beat_at(107_000) == 18.0
    assert move_to_clock(playing, CLOCKS_APART_MS) is playing
    assert move_to_clock(Transport(), ahead_ms) == Transport()
