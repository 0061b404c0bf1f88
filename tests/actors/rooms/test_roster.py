"""The roster against the simplest thing that could be one: no ghosts, one entry a member, every change told."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omnisonic.actors.rooms.roster import EXPIRED, REMOVED, Joined, Left, Replaced, Roster, Updated
from omnisonic.actors.rooms.seat import Entry
from omnisonic.models import Member
from tests.actors.handles import FakeConnection, member

members = st.builds(
    Member, st.sampled_from("abcd"), st.sampled_from(("Ada", "Bob")), st.sampled_from(("active", "away"))
)
member_ids = st.sampled_from("abcd")


@dataclass
class Line:
    """What the model knows of one member."""

    member: Member
    connection: FakeConnection | None = None
    until_s: float | None = None


class RosterAndModel(RuleBasedStateMachine):
    """Does the same to a roster and to a dictionary of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster()
        self.lines: dict[str, Line] = {}
        self.gone: list[FakeConnection] = []
        self.now_s = 0.0

    @rule(who=members)
    def join(self, who: Member) -> None:
        """A connection enters; another one of the same member is replaced by it."""
        connection, line = FakeConnection(who.member_id), self.lines.get(who.member_id)
        event = self.roster.join(who, connection)
        if line is None:
            self.lines[who.member_id] = Line(who, connection)
            assert isinstance(event, Joined)
        else:
            assert isinstance(event, Replaced)
            assert (event.old, event.changed) == (line.connection, line.member != who)
            if line.connection is not None:
                self.gone.append(line.connection)
            line.connection, line.member = connection, who
        assert event.seat is self.roster.seat_of(connection)

    @precondition(lambda self: any(line.connection for line in self.lines.values()))
    @rule(number=st.integers(0, 3))
    def leave(self, number: int) -> None:
        """A connection that holds a seat is gone; a lease that has not run out keeps the seat."""
        held = [(line, line.connection) for line in self.lines.values() if line.connection]
        line, connection = held[number % len(held)]
        event = self.roster.leave(connection, "left", self.now_s)
        self.gone.append(connection)
        line.connection = None
        if line.until_s is not None and line.until_s > self.now_s:
            assert event is None
        else:
            assert event == Left(line.member.member_id, "left")
            del self.lines[line.member.member_id]

    @precondition(lambda self: self.gone)
    @rule()
    def leave_twice(self) -> None:
        """A connection that was replaced, or left before, takes nobody with it."""
        assert self.roster.leave(self.gone[-1], "left", self.now_s) is None

    @rule(who=members)
    def update(self, who: Member) -> None:
        """Somebody is shown differently, if they are there and it is different."""
        line = self.lines.get(who.member_id)
        event = self.roster.update(who)
        assert isinstance(event, Updated) == (line is not None and line.member != who)
        if line is not None:
            line.member = who

    @rule(who=members, ttl_s=st.integers(1, 5))
    def put_lease(self, who: Member, ttl_s: int) -> None:
        """Somebody is there without a connection, or besides one."""
        line = self.lines.get(who.member_id)
        event = self.roster.put_lease(who, self.now_s + ttl_s)
        if line is None:
            self.lines[who.member_id] = Line(who, until_s=self.now_s + ttl_s)
            assert isinstance(event, Joined)
        else:
            assert isinstance(event, Updated) == (line.member != who)
            line.member, line.until_s = who, self.now_s + ttl_s

    @rule(member_id=member_ids)
    def drop_lease(self, member_id: str) -> None:
        """A lease is taken back; a connection keeps the seat."""
        line = self.lines.get(member_id)
        event = self.roster.drop_lease(member_id)
        if line is None or line.until_s is None:
            assert event is None
        elif line.connection is not None:
            assert event is None
            line.until_s = None
        else:
            assert event == Left(member_id, REMOVED)
            del self.lines[member_id]

    @rule(passed_s=st.integers(0, 4))
    def expire(self, passed_s: int) -> None:
        """Time passes, and leases with it."""
        self.now_s += passed_s
        over = [line for line in self.lines.values() if line.until_s is not None and line.until_s <= self.now_s]
        expected = [Left(line.member.member_id, EXPIRED) for line in over if line.connection is None]
        assert self.roster.expire(self.now_s) == expected
        for line in over:
            line.until_s = None
            if line.connection is None:
                del self.lines[line.member.member_id]

    @rule(passed_s=st.integers(1, 4))
    def wait(self, passed_s: int) -> None:
        """Time passes and nobody looks: a lease that ran out does not hold a seat that its connection gives up."""
        self.now_s += passed_s

    @rule()
    def restart(self) -> None:
        """The room crashed: what it left makes the same roster again."""
        self.roster = Roster(self.roster.entries())

    @invariant()
    def is_the_same(self) -> None:
        """One entry a member, in the order they came; each held by something, each connection in one seat."""
        entries = self.roster.entries()
        assert list(entries) == [Entry(line.member, line.connection, line.until_s) for line in self.lines.values()]
        assert all(entry.connection is not None or entry.lease_until_s is not None for entry in entries)
        assert set(self.roster.connections) == {line.connection for line in self.lines.values() if line.connection}
        assert len(self.roster) == len(self.lines)
        assert not any(self.roster.seat_of(connection) for connection in self.gone)
        for member_id, line in self.lines.items():
            seat = self.roster.seat_named(member_id)
            assert seat is not None
            assert member_id in self.roster
            assert line.connection is None or self.roster.seat_of(line.connection) is seat

    @invariant()
    def knows_when_to_look_again(self) -> None:
        """The next expiry is the earliest lease's."""
        leases = [line.until_s for line in self.lines.values() if line.until_s is not None]
        assert self.roster.next_expiry_s() == min(leases, default=None)


TestRosterAndModel = RosterAndModel.TestCase
TestRosterAndModel.settings = settings(max_examples=100, stateful_step_count=30)


def test_a_seat_says_its_member_in_every_message_of_theirs() -> None:
    """The ready-made parts follow the member's id; the line follows what is shown."""
    roster = Roster()
    ada = FakeConnection("ada")
    event = roster.join(member("ada"), ada)
    seat = event.seat
    assert seat.relay_suffix == b',"from":"ada","offset":'
    assert seat.directed_suffix == b',"from":"ada"}'
    assert seat.binary_head == b"\x03ada"
    roster.update(Member("ada", "Ada L.", "away"))
    assert seat.line == b'{"memberId":"ada","displayName":"Ada L.","status":"away","connected":true}'


def test_a_member_named_by_two_entries_has_one_seat() -> None:
    """A restart from whatever was left makes no twins."""
    roster = Roster([Entry(member("ada"), None, 1.0), Entry(member("ada"), None, 2.0)])
    assert [entry.lease_until_s for entry in roster.entries()] == [2.0]
