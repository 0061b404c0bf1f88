"""An edge room: how the members of a large room enter at its owner."""

from collections.abc import Sequence

import pytest

from omnisonic.actors.cluster.edge_room import ENTERING, Counter, EdgeRoom
from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.rooms.mailbox import ClientMessages, Join, Leave
from omnisonic.models import Member
from omnisonic.wire.closing import Closing
from omnisonic.wire.frames import TEXT
from omnisonic.wire.peer_messages import EdgeJoin, EdgeLeave, EdgeSaid, OwnerTurn, PeerMessage

MEMBERS = 30


class Silent(Connection):
    """A connection that nobody reads. `pushed` is what it was sent, `closed` how it was closed."""

    def __init__(self, name: str) -> None:
        self.address, self.member = "127.0.0.1", Member(name, name)
        self.person = self.login = self.since = self.tempo = self._actor = None
        self.is_listener = False
        self.pushed: list[bytes] = []
        self.closed: list[Closing] = []

    def push(self, data: bytes) -> None:
        self.pushed.append(data)

    def push_replay(self, parts: Sequence[bytes]) -> None:
        self.pushed += parts

    def close(self, closing: Closing) -> None:
        self.closed.append(closing)


class Owner:
    """The owner at the other end: who entered, who is in, and what was sent."""

    def __init__(self) -> None:
        self.sent: list[PeerMessage] = []
        self.entering: list[int] = []
        self.most = 0
        self.offset = 0

    def send(self, _peer: str, message: PeerMessage) -> None:
        self.sent.append(message)
        if isinstance(message, EdgeJoin):
            self.entering.append(message.conn)
            self.most = max(self.most, len(self.entering))

    def turn(self, *, dismisses: bool = False) -> OwnerTurn:
        """A turn in which the first of those who enter is let in, or turned away."""
        number = self.entering.pop(0)
        self.offset += 1
        dismissed = [(number, 1008, "room_full")] if dismisses else []
        return OwnerTurn("jam", "epoch", self.offset, b"", {}, {number: (b"welcome", [])}, dismissed)

    def of(self, kind: type[EdgeJoin | EdgeLeave | EdgeSaid]) -> list[str | int]:
        """Whose messages of this kind came, in their order."""
        names = {each.conn: each.member.member_id for each in self.sent if isinstance(each, EdgeJoin)}
        return [names[each.conn] for each in self.sent if isinstance(each, kind)]


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def edge(owner: Owner) -> EdgeRoom:
    return EdgeRoom("jam", "owner", owner.send, Counter())


def enter(edge: EdgeRoom, connection: Silent) -> None:
    """Enter, and say something at once."""
    assert connection.member is not None
    edge.tell(Join(connection, connection.member))
    assert edge.offer(ClientMessages(connection, [(TEXT, b"{}")], 2))


def test_members_enter_a_few_at_a_time(owner: Owner, edge: EdgeRoom) -> None:
    """In the order in which they came; and what each has said follows their own entering."""
    band = [Silent(f"member{number}") for number in range(MEMBERS)]
    for connection in band:
        enter(edge, connection)
    assert len(owner.entering) == ENTERING
    while owner.entering:
        edge.take_turn(owner.turn(), 0.0)
    names = [f"member{number}" for number in range(MEMBERS)]
    assert owner.of(EdgeJoin) == owner.of(EdgeSaid) == names
    assert owner.most == ENTERING
    assert all(connection.pushed == [b"welcome"] for connection in band)


def test_who_is_turned_away_or_leaves_keeps_nobody_waiting(owner: Owner, edge: EdgeRoom) -> None:
    """A full room refuses one after another; and one who waits to enter has left before."""
    band = [Silent(f"member{number}") for number in range(MEMBERS)]
    for connection in band:
        enter(edge, connection)
    edge.tell(Leave(band[-1], "left"))
    while owner.entering:
        edge.take_turn(owner.turn(dismisses=True), 0.0)
    assert len(owner.of(EdgeJoin)) == MEMBERS
    assert owner.of(EdgeLeave) == ["member29"]
    assert [len(connection.closed) for connection in band] == [1] * (MEMBERS - 1) + [0]
    assert len(edge) == 0


def test_all_enter_again_a_few_at_a_time(owner: Owner, edge: EdgeRoom) -> None:
    """At the next owner, some of them while they still waited for the last one."""
    band = [Silent(f"member{number}") for number in range(MEMBERS)]
    for connection in band:
        enter(edge, connection)
    for _ in range(MEMBERS // 2):
        edge.take_turn(owner.turn(), 0.0)
    owner.entering, owner.most, owner.sent = [], 0, []
    edge.join_again("the next owner")
    while owner.entering:
        edge.take_turn(owner.turn(), 0.0)
    assert owner.most == ENTERING
    assert sorted(owner.of(EdgeJoin)) == sorted(f"member{number}" for number in range(MEMBERS))
    assert len(edge) == MEMBERS
