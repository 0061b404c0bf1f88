"""Who comes and goes in a room, and what the others hear of it (SPEC 5.1, 5.2)."""

import msgspec

from omnisonic.actors.rooms.mailbox import Dismiss, DropLease, Expire, Join, Leave, PutLease, SyncLeases
from omnisonic.actors.rooms.seat import Entry
from omnisonic.models import Member
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.transport import Transport
from tests.actors.handles import FakeConnection, member, sent, text
from tests.actors.room_stage import Stage

ADA = {"memberId": "ada", "displayName": "Ada", "status": "active", "connected": True}
BOB = {"memberId": "bob", "displayName": "Bob", "status": "active", "connected": True}


def test_a_newcomer_is_welcomed_first_and_the_others_see_them_join() -> None:
    """The welcome tells where the room is and who is there, the newcomer included."""
    stage = Stage("ada")
    stage.turn(sent(stage.connections["ada"], text("note")))
    bob = stage.enter("bob")
    assert bob.received() == [
        {
            "type": "welcome",
            "payload": {
                "roomId": "jam",
                "memberId": "bob",
                "ttl": 60,
                "epoch": "epoch",
                "offset": 1,
                "serverTime": 17,
                "recovered": False,
                "members": [ADA, BOB],
                "state": {},
                "transport": msgspec.to_builtins(Transport()),
            },
        }
    ]
    assert stage.connections["ada"].received() == [{"type": "presence.join", "payload": BOB}]


def test_a_newcomer_hears_what_is_said_after_the_welcome_and_nothing_before() -> None:
    """In one turn: words, a join, words. The welcome's offset is where the newcomer's hearing begins."""
    stage = Stage("ada")
    ada, bob = stage.connections["ada"], FakeConnection("bob")
    stage.turn(
        sent(ada, text("before")),
        Join(bob, member("bob")),
        sent(ada, text("after")),
        sent(bob, text("hi")),
    )
    welcome, after = bob.received()
    assert (welcome["payload"]["offset"], after["type"], after["offset"]) == (1, "after", 2)
    assert ada.types() == ["presence.join", "hi"]


def test_the_same_member_again_replaces_the_first_connection() -> None:
    """Closed with 4001; the others see neither a leave nor a second join, and the roster has one entry."""
    stage = Stage("ada", "bob")
    old, new = stage.connections["ada"], FakeConnection("ada again")
    stage.turn(Join(new, member("ada")))
    assert old.closing is not None
    assert old.closing.code is CloseCode.REPLACED
    assert new.types() == ["welcome"]
    assert stage.types() == {"ada": [], "bob": []}
    stage.turn(Leave(old, "replaced"))
    assert stage.received()["bob"] == []
    assert stage.shown() == [member("ada"), member("bob")]


def test_a_join_that_was_given_up_replaces_nobody() -> None:
    """It waited elsewhere, and its client has come by another connection meanwhile. Where nobody is, it is a join."""
    stage = Stage("ada", "bob")
    given_up, ada = FakeConnection("ada before"), stage.connections["ada"]
    given_up.is_open = False
    stage.turn(Join(given_up, member("ada")), sent(given_up, text("late")), Leave(given_up, "lost", is_final=False))
    assert (ada.closing, stage.types()) == (None, {"ada": [], "bob": []})
    assert stage.shown() == [member("ada"), member("bob")]
    newcomer = FakeConnection("cyd")
    newcomer.is_open = False
    stage.turn(Join(newcomer, member("cyd")), sent(newcomer, text("hi")), Leave(newcomer, "left"))
    assert stage.types()["bob"] == ["presence.join", "hi", "presence.leave"]


def test_a_replacement_under_another_name_is_an_update() -> None:
    """For the others; the newcomer reads it in the welcome."""
    stage = Stage("ada", "bob")
    new = FakeConnection("ada again")
    stage.turn(Join(new, Member("ada", "Countess")))
    assert new.types() == ["welcome"]
    (update,) = stage.connections["bob"].received()
    assert (update["type"], update["payload"]["displayName"]) == ("presence.update", "Countess")


def test_fifty_connections_of_one_member_in_a_turn_leave_the_newest() -> None:
    """One join for the others, one roster entry, and every older connection closed."""
    stage = Stage("bob")
    connections = [FakeConnection(str(number)) for number in range(50)]
    stage.turn(*(Join(connection, member("ada")) for connection in connections))
    assert [connection.closing.code if connection.closing else None for connection in connections] == [
        CloseCode.REPLACED
    ] * 49 + [None]
    assert connections[-1].types() == ["welcome"]
    assert stage.types() == {"bob": ["presence.join"]}
    assert stage.shown() == [member("bob"), member("ada")]


def test_a_leave_is_told_once_with_its_reason() -> None:
    """A second leave of the same connection is no news."""
    stage = Stage("ada", "bob")
    ada = stage.connections["ada"]
    batch = stage.turn(Leave(ada, "left"), Leave(ada, "lost"))
    assert batch.roster_changed
    assert stage.connections["bob"].received() == [
        {"type": "presence.leave", "payload": {"memberId": "ada", "reason": "left"}}
    ]


def test_a_full_room_takes_nobody_else_in() -> None:
    """An error and close 1008; a member who is there already may come again."""
    stage = Stage("ada", "bob", max_members=2)
    cyd = stage.enter("cyd")
    (error,) = cyd.received()
    assert error["payload"]["code"] == "room_full"
    assert cyd.closing is not None
    assert cyd.closing.code is CloseCode.POLICY
    assert stage.received() == {"ada": [], "bob": []}
    assert stage.enter("ada").types() == ["welcome"]


def test_a_lease_is_seen_coming_and_going() -> None:
    """Somebody present without a connection joins, is updated, and leaves when the lease runs out."""
    stage = Stage("ada")
    now_s = stage.setting.clock.now_s
    stage.turn(PutLease(member("eve"), now_s + 5))
    stage.turn(PutLease(Member("eve", "Eve", "away"), now_s + 9))
    stage.setting.clock.now_s += 8
    stage.turn(Expire())
    assert stage.types() == {"ada": ["presence.join", "presence.update"]}
    stage.setting.clock.now_s += 1
    stage.turn(Expire())
    (leave,) = stage.connections["ada"].received()
    assert leave["payload"] == {"memberId": "eve", "reason": "expired"}


def test_a_lease_that_is_taken_back_ends_at_once() -> None:
    """The reason is `removed`; taking it back again is no news."""
    stage = Stage("ada")
    stage.turn(PutLease(member("eve"), 1e9))
    stage.turn(DropLease("eve"), DropLease("eve"))
    assert [message["payload"].get("reason") for message in stage.connections["ada"].received()] == [None, "removed"]


def test_a_member_with_a_lease_stays_when_the_connection_is_gone() -> None:
    """And is not seen joining when another connection comes."""
    stage = Stage("ada", "bob")
    stage.turn(PutLease(member("ada"), 1e9))
    stage.turn(Leave(stage.connections["ada"], "lost"))
    stage.enter("ada")
    assert stage.types()["bob"] == []


def test_the_stores_leases_replace_those_the_room_knew() -> None:
    """New ones join, changed ones are updated, others leave; connections are not touched."""
    stage = Stage("ada")
    stage.turn(PutLease(member("old"), 1e9), PutLease(member("eve"), 1e9), PutLease(member("ada"), 1e9))
    stage.received()
    stage.turn(SyncLeases((Entry(Member("eve", "Eva"), None, 2e9), Entry(member("new"), None, 2e9))))
    reported = [(message["type"], message["payload"]["memberId"]) for message in stage.connections["ada"].received()]
    assert reported == [("presence.leave", "old"), ("presence.update", "eve"), ("presence.join", "new")]
    assert [entry.lease_until_s for entry in stage.room.roster.entries()] == [None, 2e9, 2e9]


def test_a_room_that_is_closed_closes_every_connection() -> None:
    """With the code it was told, and it leaves no lease behind."""
    stage = Stage("ada", "bob")
    stage.turn(PutLease(member("eve"), 1e9))
    stage.received()
    stage.turn(Dismiss(Closing(CloseCode.ROOM_CLOSED)))
    assert [connection.closing and connection.closing.code for connection in stage.connections.values()] == [
        CloseCode.ROOM_CLOSED
    ] * 2
    assert stage.types() == {"ada": [], "bob": []}
    assert stage.shown() == []
