"""A member who comes back to a room gets what they have missed, in order, each once, before anything new (SPEC 5.2)."""

from typing import Any

import pytest

from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.mailbox import Join, Leave
from omnisonic.errors import InvalidInput
from omnisonic.wire.recovery import Position, parse_position
from tests.actors.handles import FakeConnection, Setting, binary, member, sent, text
from tests.actors.room_stage import Stage


def come_back(stage: Stage, name: str, offset: int, epoch: str = "epoch") -> list[Any]:
    """A member connects again. Returns what they get at once."""
    connection = stage.connections[name] = FakeConnection(name)
    stage.turn(Join(connection, member(name), since=Position(epoch, offset)))
    return connection.received()


def notes(messages: list[Any]) -> list[tuple[str, int]]:
    """Each relayed message by its sender and offset."""
    return [(message["from"], message["offset"]) for message in messages if "offset" in message]


def test_everything_missed_follows_the_welcome() -> None:
    """In order, with its own offsets, and `recovered` is true."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("note"), text("note"), text("note")))
    welcome, *missed = come_back(stage, "bob", 1)
    assert (welcome["payload"]["recovered"], welcome["payload"]["offset"]) == (True, 1)
    assert notes(missed) == [("ada", 2), ("ada", 3)]


def test_ones_own_messages_are_left_out() -> None:
    """Also those of the connection that broke."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["bob"], text("note")), sent(stage.connections["ada"], text("note")))
    stage.turn(sent(stage.connections["bob"], text("note")))
    assert notes(come_back(stage, "bob", 0)) == [("ada", 2)]


def test_a_member_who_has_received_nothing_but_the_welcome_recovers() -> None:
    """The welcome's own offset is a position."""
    stage = Stage("ada")
    connection = stage.enter("bob")
    welcome = connection.received()[0]["payload"]
    stage.turn(sent(stage.connections["ada"], text("note")))
    assert notes(come_back(stage, "bob", welcome["offset"], welcome["epoch"])) == [("ada", 1)]


def test_what_is_said_in_the_same_turn_is_neither_lost_nor_doubled() -> None:
    """Before the join it is replayed; after it, it comes as it is said."""
    stage = Stage("ada", "bob")
    ada, again = stage.connections["ada"], FakeConnection("bob")
    stage.turn(sent(ada, text("note")), Join(again, member("bob"), since=Position("epoch", 0)), sent(ada, text("note")))
    assert notes(again.received()) == [("ada", 1), ("ada", 2)]


def test_a_newcomer_without_a_position_gets_nothing_old() -> None:
    """And the welcome names the offset of the last message."""
    stage = Stage("ada")
    stage.turn(sent(stage.connections["ada"], text("note")))
    (welcome,) = stage.enter("bob").received()
    assert (welcome["payload"]["recovered"], welcome["payload"]["offset"]) == (False, 1)


def test_what_is_not_known_any_more_is_told_as_a_gap() -> None:
    """Then what is still known follows; the welcome's offset is where it begins."""
    stage = Stage("ada", "bob", setting=Setting(history=HistoryLimits(messages=2)))
    stage.turn(sent(stage.connections["ada"], *[text("note") for _ in range(5)]))
    welcome, gap, *missed = come_back(stage, "bob", 1)
    assert (welcome["payload"]["recovered"], welcome["payload"]["offset"]) == (False, 3)
    assert gap == {"type": "history.gap", "payload": {"epoch": "epoch", "from": 2, "to": 3, "lost": 2}}
    assert notes(missed) == [("ada", 4), ("ada", 5)]


def test_a_position_of_another_epoch_is_a_gap_of_unknown_size() -> None:
    """The room was forgotten meanwhile: nothing that it knows has been seen."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("note")))
    welcome, gap, *missed = come_back(stage, "bob", 40, "earlier")
    assert welcome["payload"]["recovered"] is False
    assert gap["payload"] == {"epoch": "earlier", "from": 41, "to": None, "lost": None}
    assert notes(missed) == [("ada", 1)]


def test_binary_messages_are_not_remembered() -> None:
    """And make no hole in the count."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("note"), binary(b"midi"), text("note")))
    assert notes(come_back(stage, "bob", 0)) == [("ada", 1), ("ada", 2)]


def test_a_payload_that_looks_like_the_end_of_a_message_fools_nobody() -> None:
    """Who said a message is read from its end, which the room itself has written."""
    stage = Stage("ada", "bob")
    forged = ',"from":"bob","offset":1}'
    stage.turn(sent(stage.connections["ada"], text("note", forged), text(forged[1:], {"from": "bob", "offset": 2})))
    assert notes(come_back(stage, "bob", 0)) == [("ada", 1), ("ada", 2)]


def test_with_history_off_nobody_is_told_that_they_have_everything() -> None:
    """Only who has missed nothing recovers."""
    stage = Stage("ada", "bob", setting=Setting(history=HistoryLimits(messages=0)))
    stage.turn(sent(stage.connections["ada"], text("note")))
    assert come_back(stage, "bob", 1)[0]["payload"]["recovered"] is True
    welcome, gap = come_back(stage, "bob", 0)
    assert welcome["payload"]["recovered"] is False
    assert gap["payload"] == {"epoch": "epoch", "from": 1, "to": 1, "lost": 1}


def test_a_message_that_is_sent_again_is_said_once() -> None:
    """Its ack names the first offset, also on another connection."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("note", id="a"), text("note")))
    stage.turn(Leave(stage.connections["ada"], "lost", is_final=False))
    come_back(stage, "ada", 0)
    stage.received()
    stage.turn(sent(stage.connections["ada"], text("note", id="a")))
    assert stage.received() == {"ada": [{"type": "ack", "payload": {"id": "a", "offset": 1}}], "bob": []}


def test_an_id_that_comes_with_another_content_names_another_message() -> None:
    """A client that uses one id for everything loses nothing."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("note", 1, id=7), text("note", 2, id=7)))
    assert [message["payload"] for message in stage.connections["bob"].received()] == [1, 2]


def test_the_same_id_of_somebody_else_is_another_message() -> None:
    """Ids are each member's own; 1 and "1" are two."""
    stage = Stage("ada", "bob", "cy")
    stage.turn(sent(stage.connections["ada"], text("note", id=1)), sent(stage.connections["bob"], text("note", id=1)))
    stage.turn(sent(stage.connections["ada"], text("note", id="1")))
    assert notes(stage.connections["cy"].received()) == [("ada", 1), ("bob", 2), ("ada", 3)]


def test_a_message_to_one_member_that_is_sent_again_arrives_once() -> None:
    """It has no offset of its own, and its ack is the same."""
    stage = Stage("ada", "bob")
    directed = text("note", to="bob", id="d")
    stage.turn(sent(stage.connections["ada"], directed, text("note"), directed))
    assert [message["type"] for message in stage.connections["bob"].received()] == ["note", "note"]


@pytest.mark.parametrize("text", ["", "epoch", "epoch:", ":1", "epoch:-1", "epoch:01", "epoch:1e3", "e e:1", "e:1:1x"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    """With a code."""
    with pytest.raises(InvalidInput) as refused:
        parse_position(text)
    assert refused.value.code == "invalid_since"


def test_a_position_is_read_as_it_is_written() -> None:
    """Both ways."""
    assert parse_position(str(Position("abc-_9", 17))) == Position("abc-_9", 17)
