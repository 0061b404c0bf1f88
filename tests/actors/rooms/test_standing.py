"""A room that is provisional, and one that has moved: what its members are told."""

import dataclasses

from omnisonic.actors.rooms.mailbox import ChangeStanding, Join, Mailbox
from omnisonic.actors.rooms.standing import HELD_ACKS, HELD_IN_ALL, Standing
from omnisonic.wire.recovery import Position
from tests.actors.handles import FakeConnection, member, sent, text
from tests.actors.room_stage import Stage


def test_acknowledgements_wait_until_the_room_is_owned() -> None:
    """Members hear each other meanwhile; who comes is told; in the end the acknowledgements come in order."""
    stage = Stage("ada", "bob")
    ada, standing = stage.connections["ada"], stage.room.context.standing
    standing.is_owned = False
    stage.turn(ChangeStanding(), sent(ada, text("note", 1, id=1), text("note", 2, id=2)))
    assert stage.types() == {"ada": ["room.degraded"], "bob": ["room.degraded", "note", "note"]}
    eve = stage.enter("eve")
    assert eve.types() == ["welcome", "room.degraded"]
    standing.is_owned = True
    stage.turn(ChangeStanding(), sent(ada, text("note", 3, id=3)))
    heard = [(each["type"], each["payload"]) for each in ada.received() if each["type"] != "presence.join"]
    assert heard == [
        ("room.restored", None),
        ("ack", {"id": 1, "offset": 1}),
        ("ack", {"id": 2, "offset": 2}),
        ("ack", {"id": 3, "offset": 3}),
    ]


def test_what_waits_is_heard_after_it_is_told_what_it_counts() -> None:
    """A gateway that stood still handles what was said meanwhile when its rooms are not its own any more."""
    stage, mailbox = Stage("ada", "bob"), Mailbox()
    mailbox.offer(sent(stage.connections["ada"], text("note", 1, id=1)))
    stage.room.context.standing.is_owned = False
    mailbox.tell(ChangeStanding())
    stage.turn(mailbox.take(), mailbox.take())
    assert stage.types() == {"ada": ["room.degraded"], "bob": ["room.degraded", "note"]}


def test_who_comes_back_is_told_before_what_they_missed() -> None:
    """What is in the history of a room that is not owned may not count either."""
    stage = Stage("ada", "bob")
    epoch = stage.room.memory.epoch
    stage.turn(sent(stage.connections["ada"], text("note", 1)))
    stage.room.context.standing.is_owned = False
    stage.turn(ChangeStanding(), sent(stage.connections["ada"], text("note", 2)))
    again = FakeConnection("eve")
    stage.turn(Join(again, member("eve"), since=Position(epoch, 0)))
    assert again.types() == ["welcome", "room.degraded", "note", "note"]


def test_only_so_many_acknowledgements_wait() -> None:
    """The others are dropped: those who wait for one say their message again."""
    standing, connection = Standing(), FakeConnection("ada")
    standing.is_owned = False
    assert all(standing.hold_ack(connection, b"ack") for _ in range(HELD_ACKS + 1))
    assert len(standing.take_held()) == HELD_ACKS
    assert standing.take_held() == []


def test_who_says_much_takes_the_acknowledgements_of_nobody() -> None:
    """While the room is not owned. What waits in all is bounded, too."""
    standing = Standing()
    standing.is_owned = False
    loud, quiet = FakeConnection("loud"), FakeConnection("quiet")
    for _ in range(20 * HELD_ACKS):
        standing.hold_ack(loud, b"loud")
    standing.hold_ack(quiet, b"quiet")
    assert (quiet, b"quiet") in standing.take_held()
    for number in range(200):
        connection = FakeConnection(str(number))
        for _ in range(HELD_ACKS):
            assert standing.hold_ack(connection, b"ack")
    assert len(standing.take_held()) == HELD_IN_ALL


def test_who_was_here_before_comes_back_as_they_were_shown() -> None:
    """Their name and status are those that they had last; but a newer connection of theirs stays."""
    stage = Stage("ada", "bob")
    bob = stage.connections["bob"]
    stage.turn(sent(bob, text("presence.set", {"displayName": "Bobby"})))
    again = FakeConnection("bob")
    stage.turn(Join(again, member("bob"), is_rejoin=True))
    assert again.closing is not None
    assert again.closing.code == 4001
    assert bob.is_open
    bob.is_open = False
    stage.turn(Join(again := FakeConnection("bob"), member("bob"), is_rejoin=True))
    assert again.closing is None
    assert [each.display_name for each in stage.shown()] == ["Ada", "Bobby"]


def test_nothing_is_missing_until_somebody_has_seen_more() -> None:
    """Members of an epoch that ended with its gateway are told of a gap when one of them knows of it."""
    stage = Stage("ada")
    memory = stage.room.memory
    memory.parents = (Position("before", 4),)
    memory.presumed = memory.parents[0]
    memory.history.restore([], 4)
    stage.room.offset = 4
    bob, eve = FakeConnection("bob"), FakeConnection("eve")
    stage.turn(Join(bob, member("bob"), since=Position("before", 4)))
    assert [each["payload"].get("recovered") for each in bob.received()] == [True]
    stage.turn(Join(eve, member("eve"), since=Position("before", 6)))
    assert "history.gap" in eve.types()
    gaps = [each["payload"] for each in bob.received() if each["type"] == "history.gap"]
    assert gaps == [{"epoch": "before", "from": 5, "to": None, "lost": None}]
    stage.turn(Join(FakeConnection("joe"), member("joe"), since=Position("before", 6)))
    assert "history.gap" not in bob.types()


def test_the_standing_outlives_a_crash() -> None:
    """The next incarnation of the room has the same."""
    context = Stage().room.context
    assert dataclasses.replace(context, entries=()).standing is context.standing
