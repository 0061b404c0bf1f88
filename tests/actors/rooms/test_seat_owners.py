"""Whose seat it is, where people are known: nobody takes a member's place, in person or by a lease (SPEC 5.1)."""

from omnisonic.actors.rooms.mailbox import DropLease, DropLeasesOf, Expire, Join, Leave, PutLease, SyncLeases
from omnisonic.actors.rooms.roster import Roster
from omnisonic.actors.rooms.seat import Entry
from omnisonic.models import Member
from omnisonic.wire.closing import CloseCode
from tests.actors.handles import FakeConnection, member
from tests.actors.room_stage import Stage


def enter(stage: Stage, name: str, person: str | None, what: str = "") -> FakeConnection:
    """A connection enters as the member `name`, in a turn of its own."""
    connection = FakeConnection(what or name)
    stage.turn(Join(connection, member(name), person))
    return connection


def is_taken(connection: FakeConnection) -> bool:
    """Whether somebody was told that the seat is another's, and was closed for good."""
    (error,) = connection.received()
    assert error["type"] == "error"
    assert connection.closing is not None
    assert (connection.closing.code, connection.closing.reason) == (CloseCode.POLICY, error["payload"]["code"])
    return bool(error["payload"]["code"] == "member_taken")


def test_another_person_is_not_given_the_seat_and_nobody_hears_of_it() -> None:
    """Neither somebody else nor somebody unknown; who has the seat stays as they are."""
    stage = Stage("bob")
    ada = enter(stage, "ada", "one")
    ada.received()
    stage.received()
    for person in ("two", None):
        thief = enter(stage, "ada", person, "thief")
        assert is_taken(thief)
        stage.turn(Leave(thief, "policy"))
    assert (ada.is_open, ada.received(), stage.types()) == (True, [], {"bob": []})
    assert stage.shown() == [member("bob"), member("ada")]


def test_the_same_person_replaces_their_connection() -> None:
    """As ever: 4001 for the old one."""
    stage = Stage()
    old = enter(stage, "ada", "one")
    new = enter(stage, "ada", "one", "new")
    assert old.closing is not None
    assert old.closing.code is CloseCode.REPLACED
    assert new.types() == ["welcome"]


def test_a_seat_of_nobody_known_is_anybodys_and_then_belongs_to_whoever_took_it() -> None:
    """Open access: the first one known by name keeps it."""
    stage = Stage("ada")
    known = enter(stage, "ada", "one")
    assert known.types() == ["welcome"]
    assert is_taken(enter(stage, "ada", "two"))


def test_a_seat_is_free_when_it_is_left() -> None:
    """A name belongs to nobody longer than they are here."""
    stage = Stage()
    ada = enter(stage, "ada", "one")
    stage.turn(Leave(ada, "left"))
    assert enter(stage, "ada", "two").types() == ["welcome"]


def test_the_owner_of_a_seat_survives_a_crash() -> None:
    """The restarted room knows as much as the one before."""
    roster = Roster()
    roster.join(member("ada"), FakeConnection("ada"), "one")
    roster.put_lease(member("bob"), 9.0, "two")
    again = Roster(roster.entries())
    assert [again.belongs_to_other(name, "one") for name in ("ada", "bob", "cy")] == [False, True, False]
    assert [again.belongs_to_other(name, None) for name in ("ada", "bob", "cy")] == [True, True, False]


def test_a_lease_for_a_seat_of_another_person_changes_nothing() -> None:
    """It is neither put, nor shown, nor taken back; also when the store tells it with all the others."""
    stage = Stage("bob")
    ada = enter(stage, "ada", "one")
    ada.received()
    stage.received()
    mallory = Member("ada", "Mallory")
    stage.turn(PutLease(mallory, 1e9, "two"), PutLease(mallory, 1e9), SyncLeases((Entry(mallory, None, 1e9, "two"),)))
    assert (ada.received(), stage.types()) == ([], {"bob": []})
    stage.turn(Leave(ada, "left"))
    assert stage.types() == {"bob": ["presence.leave"]}


def test_a_lease_is_its_owners_and_holds_the_seat_for_them() -> None:
    """Nobody else drops it or enters by it; its owner does both, and somebody else once it has run out."""
    stage = Stage("bob")
    until_s = stage.setting.clock.now_s + 5
    stage.turn(PutLease(member("ada"), until_s, "one"), DropLease("ada", "two"), DropLease("ada"))
    assert stage.types() == {"bob": ["presence.join"]}
    assert is_taken(enter(stage, "ada", "two"))
    stage.setting.clock.now_s += 5
    assert enter(stage, "ada", "two").types() == ["welcome"]
    assert stage.types() == {"bob": ["presence.leave", "presence.join"]}
    stage.turn(PutLease(member("eve"), 1e9, "one"), DropLease("eve", "one"), Expire())
    assert stage.types() == {"bob": ["presence.join", "presence.leave"]}


def test_somebody_elses_lease_is_taken_as_soon_as_the_one_before_has_run_out() -> None:
    """Though nobody has looked since: the store let them have it."""
    stage = Stage("bob")
    stage.turn(PutLease(member("ada"), stage.setting.clock.now_s + 5, "one"))
    stage.setting.clock.now_s += 5
    stage.turn(PutLease(member("ada"), stage.setting.clock.now_s + 5, "two"))
    assert stage.types() == {"bob": ["presence.join", "presence.leave", "presence.join"]}
    assert stage.room.roster.belongs_to_other("ada", "one")


def test_all_leases_of_a_person_end_with_their_role() -> None:
    """Theirs, and nobody else's; what they hold by a connection is the gateway's to close."""
    stage = Stage("bob")
    ada = enter(stage, "ada", "one")
    stage.turn(
        PutLease(member("ada"), 1e9, "one"), PutLease(member("eve"), 1e9, "one"), PutLease(member("cy"), 1e9, "two")
    )
    ada.received()
    stage.received()
    stage.turn(DropLeasesOf("one"))
    assert [left["payload"]["memberId"] for left in stage.received()["bob"]] == ["eve"]
    stage.turn(Leave(ada, "kicked"))
    assert stage.shown() == [member("bob"), member("cy")]
