"""A member whose connection broke keeps their seat for a while (SPEC 5.2, coming back)."""

from typing import Final

from omnisonic.actors.rooms.mailbox import DropLeasesOf, Expire, Join, Leave, Mail, PutLease, Remove
from omnisonic.actors.rooms.roster import NOTICE_S, WAITS, Roster
from omnisonic.actors.rooms.seat import PENDING_MESSAGES
from omnisonic.actors.rooms.state import RoomState
from omnisonic.models import Member
from tests.actors.handles import FakeConnection, Setting, member, sent, text
from tests.actors.room_stage import Stage

GRACE_S: Final = 15.0


def stage_of(*names: str, max_members: int = 0) -> Stage:
    """A room that waits for members whose connections break."""
    return Stage(*names, setting=Setting(grace_s=GRACE_S), max_members=max_members)


def break_connection(stage: Stage, name: str) -> None:
    """The connection of a member ends without a close."""
    stage.turn(Leave(stage.connections.pop(name), "lost", is_final=False))


def pass_time(stage: Stage, seconds: float, *mails: Mail) -> None:
    """Time passes, and the room looks at it."""
    stage.setting.clock.now_s += seconds
    stage.turn(Expire(), *mails)


def connect(stage: Stage, name: str) -> FakeConnection:
    """A member connects, again or for the first time."""
    connection = stage.connections[name] = FakeConnection(name)
    stage.turn(Join(connection, member(name)))
    return connection


def test_others_see_that_a_connection_broke_and_one_leave_at_the_end() -> None:
    """First `connected: false`, then after the grace one `presence.leave` with the reason."""
    stage = stage_of("ada", "bob")
    break_connection(stage, "ada")
    pass_time(stage, NOTICE_S)
    (update,) = stage.connections["bob"].received()
    assert (update["type"], update["payload"]["connected"]) == ("presence.update", False)
    pass_time(stage, GRACE_S - NOTICE_S - 0.1)
    assert stage.connections["bob"].received() == []
    pass_time(stage, 0.1)
    assert stage.connections["bob"].received() == [
        {"type": "presence.leave", "payload": {"memberId": "ada", "reason": "lost"}}
    ]
    assert stage.shown() == [member("bob")]


def test_who_is_back_in_time_never_left() -> None:
    """The others see one update, and no join."""
    stage = stage_of("ada", "bob")
    break_connection(stage, "ada")
    pass_time(stage, NOTICE_S)
    stage.received()
    welcome = connect(stage, "ada").received()[0]["payload"]
    assert {each["memberId"]: each["connected"] for each in welcome["members"]} == {"ada": True, "bob": True}
    (update,) = stage.connections["bob"].received()
    assert (update["type"], update["payload"]["connected"]) == ("presence.update", True)
    pass_time(stage, GRACE_S)
    assert stage.connections["bob"].received() == []


def test_a_connection_that_comes_and_goes_does_not_flood_the_room() -> None:
    """Who is back at once was not missed."""
    stage = stage_of("ada", "bob")
    for _ in range(50):
        break_connection(stage, "ada")
        pass_time(stage, NOTICE_S / 2)
        connect(stage, "ada")
    assert stage.connections["bob"].received() == []


def test_a_clean_leave_is_not_waited_for() -> None:
    """As before."""
    stage = stage_of("ada", "bob")
    stage.turn(Leave(stage.connections.pop("ada"), "left"))
    assert stage.connections["bob"].types() == ["presence.leave"]


def test_a_message_to_somebody_who_is_waited_for_is_there_on_their_return() -> None:
    """Behind the welcome, in order; the sender got an ack."""
    stage = stage_of("ada", "bob")
    break_connection(stage, "ada")
    stage.turn(sent(stage.connections["bob"], text("one", to="ada", id=1), text("two", to="ada", id=2)))
    assert stage.connections["bob"].types() == ["ack", "ack"]
    assert connect(stage, "ada").types() == ["welcome", "one", "two"]
    break_connection(stage, "ada")
    assert connect(stage, "ada").types() == ["welcome"]


def test_only_so_much_waits_for_one_member() -> None:
    """One more is refused, and its sender knows."""
    stage = stage_of("ada", "bob")
    break_connection(stage, "ada")
    stage.turn(sent(stage.connections["bob"], *[text("note", to="ada") for _ in range(PENDING_MESSAGES + 1)]))
    (error,) = stage.connections["bob"].received()
    assert error["payload"]["code"] == "member_away"
    stage.turn(sent(stage.connections["bob"], text("note", "." * 60_000, to="ada")))
    assert stage.connections["bob"].types() == ["error"]
    assert len(connect(stage, "ada").received()) == 1 + PENDING_MESSAGES


def test_a_lease_holds_the_seat_without_waiting() -> None:
    """A member reported over REST is present, whatever their connection does."""
    stage = stage_of("ada", "bob")
    break_connection(stage, "ada")
    pass_time(stage, NOTICE_S)
    stage.received()
    stage.turn(PutLease(member("ada"), stage.setting.clock() + 100))
    assert stage.connections["bob"].received()[0]["payload"]["connected"] is True
    pass_time(stage, GRACE_S)
    assert stage.connections["bob"].received() == []


def test_a_full_room_prefers_who_is_there_to_who_may_come_back() -> None:
    """The member whose connection broke first has left."""
    stage = stage_of("ada", "bob", "cy", max_members=3)
    break_connection(stage, "ada")
    break_connection(stage, "bob")
    assert connect(stage, "dan").types() == ["welcome"]
    assert [each.member_id for each in stage.shown()] == ["bob", "cy", "dan"]
    connect(stage, "eve")
    assert connect(stage, "fay").types() == ["error"]


def test_who_is_refused_takes_nobodys_place() -> None:
    """The room is full, but for one who may come back. A name that it does not let in costs them nothing."""

    class Choosy(RoomState):
        def on_presence(self, wanted: Member, before: Member | None) -> Member | None:
            return None if wanted.member_id == "eve" else wanted

    stage = Stage("ada", "bob", room_class=Choosy, setting=Setting(grace_s=GRACE_S), max_members=2)
    break_connection(stage, "ada")
    (error,) = connect(stage, "eve").received()
    assert error["payload"]["code"] == "name_refused"
    assert connect(stage, "ada").types() == ["welcome"]
    assert [each.member_id for each in stage.shown()] == ["ada", "bob"]


def test_an_operator_removes_who_is_waited_for() -> None:
    """They are gone at once."""
    stage = stage_of("ada", "bob")
    break_connection(stage, "ada")
    stage.turn(Remove("ada", "kicked"))
    assert stage.connections["bob"].received()[-1]["payload"] == {"memberId": "ada", "reason": "kicked"}
    stage.turn(Remove("bob", "kicked"), Remove("nobody", "kicked"))
    assert [each.member_id for each in stage.shown()] == ["bob"]


def test_who_has_lost_their_role_is_not_waited_for() -> None:
    """A seat that is waited for goes with the role, as a lease does."""
    stage = stage_of("bob")
    connection = FakeConnection("ada")
    stage.turn(Join(connection, member("ada"), "user-1"))
    stage.turn(Leave(connection, "lost", is_final=False))
    stage.turn(DropLeasesOf("user-2"))
    assert len(stage.shown()) == 2
    stage.turn(DropLeasesOf("user-1"))
    assert [each.member_id for each in stage.shown()] == ["bob"]


def test_a_crash_forgets_nobody_who_is_waited_for() -> None:
    """The entries of the roster carry the wait, and what waits for the member."""
    stage = stage_of("ada", "bob")
    break_connection(stage, "ada")
    stage.turn(sent(stage.connections["bob"], text("note", to="ada")))
    entries = stage.room.roster.entries()
    again = stage_of()
    again.room.roster = Roster(entries)
    again.setting.clock.now_s = stage.setting.clock.now_s
    assert connect(again, "ada").types() == ["welcome", "note"]


def test_only_so_many_are_waited_for() -> None:
    """Somebody who connects under ever new names holds a bounded number of seats."""
    stage = stage_of()
    for number in range(WAITS + 10):
        connection = FakeConnection(str(number))
        stage.turn(Join(connection, member(str(number))), Leave(connection, "lost", is_final=False))
    assert len(stage.shown()) == WAITS
    assert stage.shown()[0].member_id == "10"
