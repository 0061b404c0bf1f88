"""An edge room: how the members of a large room enter at its owner."""

import pytest

from omnisonic.actors.cluster.edge_context import EdgeContext
from omnisonic.actors.cluster.edge_room import EdgeRoom
from omnisonic.actors.cluster.entry_window import ENTERING, STUCK_S, WINDOW_BYTES, EntryWindow
from omnisonic.actors.rooms.mailbox import DATA_FRAMES, ClientMessages, Control, Join, Leave
from omnisonic.models import Member
from omnisonic.wire.frames import TEXT
from omnisonic.wire.peer_messages import EdgeJoin, EdgeLeave, EdgeSaid, OwnerTurn, PeerMessage
from tests.actors.cluster.silent_connection import Silent
from tests.actors.handles import read_messages

MEMBERS = 30
SAID = (TEXT, b"{}")


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

    def turn(self, *, dismisses: bool = False, missed: bytes = b"") -> OwnerTurn:
        """A turn in which the first of those who enter is let in, or turned away. They have `missed` something."""
        number = self.entering.pop(0)
        self.offset += 1
        dismissed = [(number, 1008, "room_full")] if dismisses else []
        return OwnerTurn("jam", "epoch", self.offset, b"", {}, {number: (b"welcome", [missed])}, dismissed)

    def kinds(self) -> list[str]:
        """What was sent, in its order."""
        return [type(message).__name__ for message in self.sent]

    def of(self, kind: type[EdgeJoin | EdgeLeave | EdgeSaid]) -> list[str | int]:
        """Whose messages of this kind came, in their order."""
        names = {each.conn: each.member.member_id for each in self.sent if isinstance(each, EdgeJoin)}
        return [names[each.conn] for each in self.sent if isinstance(each, kind)]


class FullRoom:
    """A room that takes no messages."""

    room_id = "jam"

    def tell(self, mail: Control) -> None:
        pass

    def offer(self, messages: ClientMessages) -> bool:
        return False


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def edge(owner: Owner) -> EdgeRoom:
    return edge_room("jam", owner, EntryWindow())


def edge_room(room_id: str, owner: Owner, window: EntryWindow) -> EdgeRoom:
    """An edge room whose members enter by this window, whoever owns it."""
    return EdgeRoom(room_id, "owner", EdgeContext(owner.send, lambda _: window, lambda: 0))


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
    assert len(owner.entering) == 1  # it tells how much one gets
    while owner.entering:
        edge.take_turn(owner.turn(), 0.0)
    names = [f"member{number}" for number in range(MEMBERS)]
    assert owner.of(EdgeJoin) == owner.of(EdgeSaid) == names
    assert owner.most == ENTERING
    assert all(connection.pushed == [b"welcome", b""] for connection in band)


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


@pytest.mark.parametrize("goes_on", ["there", "elsewhere", "here"])
def test_what_waited_and_finds_no_place_is_not_lost_in_silence(owner: Owner, edge: EdgeRoom, goes_on: str) -> None:
    """The members have said as much as an owner is sent, and then as much as waits, when the room goes on."""
    ada = Silent("ada")
    edge.tell(Join(ada, Member("ada", "ada")))
    edge.take_turn(owner.turn(), 0.0)
    ada.pushed.clear()
    assert edge.offer(ClientMessages(ada, [(TEXT, b"{}")] * DATA_FRAMES, 2 * DATA_FRAMES))
    edge.is_paused = True
    assert edge.offer(ClientMessages(ada, [(TEXT, b'{"type":"note","id":"a"}')], 24))
    match goes_on:
        case "there":
            edge.resume()
        case "elsewhere":
            edge.untaken.confirm(0, is_last=True)
            edge.join_again("the next owner")
        case "here":
            edge.untaken.confirm(0, is_last=True)
            edge.move(FullRoom())
    answers = [message["payload"] for message in read_messages(b"".join(ada.pushed))]
    assert ("room_busy", "a") in [(answer["code"], answer.get("id")) for answer in answers]


class NextRoom(FullRoom):
    """A room that takes everything. `got` is what, in its order."""

    def __init__(self) -> None:
        self.got: list[str] = []

    def tell(self, mail: Control) -> None:
        self.got.append(type(mail).__name__)

    def offer(self, messages: ClientMessages) -> bool:
        self.got.append("said")
        return True


@pytest.mark.parametrize("goes_on", ["there", "elsewhere", "here"])
def test_what_somebody_says_last_while_the_owner_is_not_heard_is_said(
    owner: Owner, edge: EdgeRoom, goes_on: str
) -> None:
    """They have left before the owner is heard again, or another one is known."""
    ada, room = Silent("ada"), NextRoom()
    edge.tell(Join(ada, Member("ada", "ada")))
    edge.take_turn(owner.turn(), 0.0)
    owner.sent.clear()
    edge.is_paused = True
    assert edge.offer(ClientMessages(ada, [SAID], 2))
    edge.tell(Leave(ada, "left"))
    assert owner.sent == []
    match goes_on:
        case "there":
            edge.resume()
            assert owner.kinds() == ["EdgeSaid", "EdgeLeave"]
        case "elsewhere":
            edge.is_paused = False
            edge.join_again("the next owner")
            assert owner.kinds() == ["EdgeJoin", "EdgeSaid", "EdgeLeave"]
        case "here":
            edge.move(room)
            assert room.got == ["Join", "said", "Leave"]
    assert len(edge) == 0


def test_who_comes_back_while_the_owner_is_not_heard_comes_after_what_they_said(owner: Owner, edge: EdgeRoom) -> None:
    """Their earlier connection says its last in the room of the next owner, and then they have the new one."""
    before, again = Silent("ada"), Silent("ada")
    edge.tell(Join(before, Member("ada", "ada")))
    edge.take_turn(owner.turn(), 0.0)
    owner.sent.clear()
    edge.is_paused = True
    assert edge.offer(ClientMessages(before, [SAID], 2))
    edge.tell(Leave(before, "lost", is_final=False))
    edge.tell(Join(again, Member("ada", "ada")))
    edge.join_again("the next owner")
    edge.resume()
    edge.take_turn(owner.turn(), 0.0)
    assert owner.kinds() == ["EdgeJoin", "EdgeSaid", "EdgeLeave", "EdgeJoin"]


def test_who_has_said_nothing_leaves_at_once(owner: Owner, edge: EdgeRoom) -> None:
    """Though others have, who wait for the owner to be heard."""
    ada, bob = Silent("ada"), Silent("bob")
    for connection in (ada, bob):
        enter(edge, connection)
        edge.take_turn(owner.turn(), 0.0)
    owner.sent.clear()
    edge.is_paused = True
    assert edge.offer(ClientMessages(ada, [SAID], 2))
    edge.tell(Leave(bob, "left"))
    assert owner.kinds() == ["EdgeLeave"]


@pytest.mark.parametrize("goes_on", ["elsewhere", "here"])
def test_what_somebody_said_last_and_the_last_owner_did_not_take_is_said(
    owner: Owner, edge: EdgeRoom, goes_on: str
) -> None:
    """They left before the room was handed over; the owner says that it has not taken it."""
    ada, bob, room = Silent("ada"), Silent("bob"), NextRoom()
    for connection, name in ((ada, "ada"), (bob, "bob")):
        edge.tell(Join(connection, Member(name, name)))
        edge.take_turn(owner.turn(), 0.0)
    for connection in (bob, ada):
        assert edge.offer(ClientMessages(connection, [SAID], 2))
        edge.tell(Leave(connection, "left"))
    taken = next(message.number for message in owner.sent if isinstance(message, EdgeSaid))
    owner.sent.clear()
    edge.untaken.confirm(taken, is_last=True)
    if goes_on == "elsewhere":
        edge.join_again("the next owner")
        assert owner.kinds() == ["EdgeJoin", "EdgeSaid", "EdgeLeave"]
        assert owner.of(EdgeJoin) == ["ada"]
    else:
        edge.move(room)
        assert room.got == ["Join", "said", "Leave"]


def test_members_who_get_much_enter_one_after_another(owner: Owner, edge: EdgeRoom) -> None:
    """As many at once as get 4 MiB together, by what the last one got; and more again, when they get little."""
    band = [Silent(f"member{number}") for number in range(MEMBERS)]
    for connection in band:
        enter(edge, connection)
    edge.take_turn(owner.turn(missed=bytes(WINDOW_BYTES // 3)), 0.0)
    assert len(owner.entering) == 2
    edge.take_turn(owner.turn(missed=bytes(2 * WINDOW_BYTES)), 0.0)
    edge.take_turn(owner.turn(missed=bytes(2 * WINDOW_BYTES)), 0.0)
    assert len(owner.entering) == 1
    while owner.entering:
        edge.take_turn(owner.turn(), 0.0)
    assert owner.most == ENTERING
    assert len(owner.of(EdgeJoin)) == MEMBERS


def test_after_a_loss_nobody_knows_how_much_one_gets(owner: Owner, edge: EdgeRoom) -> None:
    """Those who entered had nothing of it, because it was too much. The next one enters alone."""
    for number in range(MEMBERS):
        enter(edge, Silent(f"member{number}"))
    edge.take_turn(owner.turn(), 0.0)
    assert len(owner.entering) == ENTERING
    owner.entering = []
    edge.join_again("owner")
    assert len(owner.entering) == 1


def test_rooms_wait_for_each_other_after_a_loss_and_not_for_good(owner: Owner) -> None:
    """Each enters in its turn. When nothing moves for a while, nobody waits for another room any more."""
    window, others = EntryWindow(), Owner()
    first, second = edge_room("first", owner, window), edge_room("second", others, window)
    window.narrow(0.0)
    for room in (first, second):
        for number in range(3):
            enter(room, Silent(f"member{number}"))
    assert (len(owner.entering), len(others.entering)) == (1, 0)
    window.tick(STUCK_S / 2)
    assert others.entering == []
    first.take_turn(owner.turn(missed=bytes(WINDOW_BYTES - 100)), 0.0)
    assert (len(owner.entering), len(others.entering)) == (1, 0)
    window.tick(STUCK_S)
    window.tick(STUCK_S + STUCK_S / 2)
    assert others.entering == []
    window.tick(2 * STUCK_S)
    assert len(others.entering) == 1
    while owner.entering or others.entering:
        if owner.entering:
            first.take_turn(owner.turn(), 0.0)
        if others.entering:
            second.take_turn(others.turn(), 0.0)
    assert len(owner.of(EdgeSaid)) == len(others.of(EdgeSaid)) == 3


def test_the_window_opens_when_nobody_waits_any_more(owner: Owner) -> None:
    """A room whose members have entered, or have left before, keeps no other one waiting."""
    window, others = EntryWindow(), Owner()
    first, second = edge_room("first", owner, window), edge_room("second", others, window)
    window.narrow(0.0)
    ada = Silent("ada")
    enter(first, ada)
    enter(second, Silent("bob"))
    assert others.entering == []
    first.tell(Leave(ada, "left"))
    assert len(others.entering) == 1
    assert not window.is_open
    second.take_turn(others.turn(), 0.0)
    assert window.is_open
