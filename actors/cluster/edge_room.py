"""An edge room: a room whose owner is another gateway, for the connections to this one (SPEC 5.5, DESIGN 8).

It passes on what members do and say, and writes to them what the owner says, as the owner does for its own members. It
knows how far they have heard the room's order, and goes on from there with another owner, or after a loss. While it is
**paused** the owner may not hear it: what members say waits. Members enter a few at a time
(`omnisonic.actors.cluster.entry_window`): a link has no place for what those of a whole room get.

Owned by `omnisonic.actors.cluster.edges`; plain calls, on the trio thread.

Overload: what waits, or is not taken by the owner yet, is bounded as the mailbox of a room; more is refused
(`room_busy`). A member who does not read is closed (4008) and slows nobody. Crash and shutdown: see its owner.
"""

from collections import deque
from dataclasses import dataclass

from omnisonic.actors.cluster.edge_context import EdgeContext
from omnisonic.actors.cluster.entry_window import entry_limit, entry_size
from omnisonic.actors.cluster.moving import join_mail, pass_on, transfer
from omnisonic.actors.cluster.shared_view import SharedView
from omnisonic.actors.cluster.tail import Tail
from omnisonic.actors.cluster.untaken import Untaken
from omnisonic.actors.connections.connection import LOST, Connection
from omnisonic.actors.rooms.batch import apply_edits
from omnisonic.actors.rooms.mailbox import (
    ChangeRole,
    ClientMessages,
    Control,
    Join,
    Leave,
    Mail,
    Mailbox,
)
from omnisonic.actors.rooms.port import RoomPort
from omnisonic.actors.rooms.seat import ConnectionHandle
from omnisonic.models import MemberId, RoomId
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.peer_messages import (
    ConnectionNumber,
    EdgeJoin,
    EdgeLeave,
    EdgeRole,
    EdgeSaid,
    OwnerClose,
    OwnerPush,
    OwnerTurn,
)
from omnisonic.wire.recovery import Position


@dataclass(slots=True, eq=False)
class EdgeMember:
    """A connection in the room. `is_in`: the owner has let it in."""

    connection: Connection
    number: ConnectionNumber
    is_in: bool = False


class EdgeRoom:
    """A room at another gateway, `owner`."""

    def __init__(self, room_id: RoomId, owner: str, context: EdgeContext) -> None:
        self._room_id = room_id
        self.owner = owner
        self.is_paused = False
        self.tail = Tail()
        self.view = SharedView(context.now_ms)
        self._context = context
        self._send = context.send
        self._numbers = context.numbers
        self._members: dict[ConnectionNumber, EdgeMember] = {}
        self._by_connection: dict[Connection, EdgeMember] = {}
        self._entering = 0
        """How many members are not in yet."""
        self._window = context.window_of(owner)
        self._expected: int | None = None
        """What the one got who entered last, in bytes; None when that is not known."""
        self._waiting = Mailbox()
        self._waited_for: set[ConnectionHandle] = set()
        """The connections of which messages wait."""
        self.untaken = Untaken()

    def __len__(self) -> int:
        """How many connections are in it, or about to be."""
        return len(self._members) + len(self._waiting)

    @property
    def room_id(self) -> RoomId:
        return self._room_id

    @property
    def connections(self) -> list[Connection]:
        """The connections that were passed on to the owner."""
        return list(self._by_connection)

    @property
    def waiting_frames(self) -> int:
        """How many messages of members wait here, or were not taken by the owner yet."""
        return self._waiting.frames + self.untaken.frames

    # Called by connections

    def tell(self, mail: Control) -> None:
        match mail:
            case Join(connection=Connection() as connection):
                if not self._enters(mail, connection):
                    self._waiting.tell(mail)
            case ChangeRole(connection=Connection() as connection) | Leave(connection=Connection() as connection):
                member = self._by_connection.get(connection)
                if member is None:
                    if self._waiting:  # perhaps its join waits
                        self._waiting.tell(mail)
                elif isinstance(mail, ChangeRole):
                    self._send(self.owner, EdgeRole(self._room_id, member.number, mail.is_listener))
                elif self.is_paused and connection in self._waited_for:
                    self._waiting.tell(mail)  # after what they have said last
                else:
                    self._end(member, mail)
            case _:
                raise AssertionError(f"{type(mail).__name__} is not for an edge room")

    def offer(self, messages: ClientMessages) -> bool:
        member = self._by_connection.get(messages.connection)  # type: ignore[call-overload]
        if self.is_paused or (member is None and self._waiting):  # perhaps its join waits
            self._waited_for.add(messages.connection)
            return self._waiting.offer(messages)
        return member is None or self._pass_on(member, messages)

    def _enters(self, join: Join, connection: Connection) -> bool:
        """Let this member enter, unless they have to wait."""
        if self.is_paused or self._entering >= entry_limit(self._expected):
            return False
        if not self._window.take(connection, self._expected, self):
            return False
        member = EdgeMember(connection, self._numbers.next())
        self._members[member.number] = self._by_connection[connection] = member
        self._entering += 1
        self._send(
            self.owner,
            EdgeJoin(
                self._room_id,
                member.number,
                join.member,
                join.person,
                join.since,
                join.tempo,
                join.is_listener,
                connection.address,
                join.is_rejoin,
            ),
        )
        return True

    def _end(self, member: EdgeMember, leave: Leave) -> None:
        self._forget(member)
        self.untaken.add_leave(leave)
        self._send(self.owner, EdgeLeave(self._room_id, member.number, leave.reason, leave.is_final))
        if not member.is_in:
            self._let_others_in()

    def _pass_on(self, member: EdgeMember, messages: ClientMessages) -> bool:
        if not self.untaken.has_place_for(messages):
            return False
        number = self._numbers.next()
        self.untaken.add(number, messages)
        self._send(self.owner, EdgeSaid(self._room_id, member.number, messages.frames, number))
        return True

    # Called for messages of the owner

    def take_turn(self, turn: OwnerTurn, now_s: float) -> None:
        """Write to every member what a turn of the room has for them."""
        self.untaken.confirm(turn.taken)
        self.tail.add(Position(turn.epoch, turn.offset), turn.stream, now_s)
        opening, edits, stream = turn.opening, turn.edits, turn.stream
        self._see(turn)
        for number, (frame, replay) in opening.items():
            member = self._members.get(number)
            if member is not None:
                if not member.is_in:
                    self._end_entering(member)
                    self._expected = entry_size(frame, replay, edits.get(number, ()))
                member.is_in = True
                if frame:
                    member.connection.push(frame)
                if replay:
                    member.connection.push_replay(replay)
        for number, member in list(self._members.items()):
            if member.is_in:
                data = apply_edits(edits[number], stream) if number in edits else stream
                if data:
                    member.connection.push(data)
        for number, code, reason in turn.dismissed:
            member = self._members.get(number)
            if member is not None:
                if not member.is_in and number in edits and (data := apply_edits(edits[number], stream)):
                    member.connection.push(data)
                self._close(member, code, reason)
        self._let_others_in()

    def _see(self, turn: OwnerTurn) -> None:
        if self.view.is_known:
            self.view.see(turn.stream)
        for number, (frame, _) in turn.opening.items():
            if not self.view.is_known:
                self.view.see(frame or apply_edits(turn.edits.get(number, ()), turn.stream))

    def push(self, message: OwnerPush) -> None:
        """Write to one member."""
        member = self._members.get(message.conn)
        if member is not None:
            member.connection.push(message.data)

    def close(self, message: OwnerClose) -> None:
        """Close one member's connection."""
        member = self._members.get(message.conn)
        if member is not None:
            self._close(member, message.code, message.reason)
            self._let_others_in()

    def _close(self, member: EdgeMember, code: int, reason: str) -> None:
        self._forget(member)
        member.connection.close(Closing(CloseCode(code), reason))

    def _forget(self, member: EdgeMember) -> None:
        if not member.is_in:
            self._end_entering(member)
        del self._members[member.number]
        del self._by_connection[member.connection]

    def _end_entering(self, member: EdgeMember) -> None:
        self._entering -= 1
        self._window.give_back(member.connection)

    def _let_others_in(self) -> None:
        """Let those enter, here and in other rooms, who wait for others to be in."""
        self.let_in()
        self._window.call_waiting()

    def let_in(self) -> None:
        """Let those enter who wait for others to be in."""
        if self._waiting and not self.is_paused and self._entering <= entry_limit(self._expected) // 2:
            self.resume()

    # Going on elsewhere

    def resume(self) -> None:
        """The owner hears us: send what waits."""
        self.is_paused = False
        transfer(self._take_waiting(), self)

    def join_again(self, owner: str) -> None:
        """Enter again with all members, at this owner."""
        self.view.is_known = False
        if self._entering and owner == self.owner:
            self._expected = None  # what they got was lost: it may be more than a link has place for
        joins, untaken = self._take_out()
        self.owner, self._window = owner, self._context.window_of(owner)
        waiting = self._take_waiting()
        leaving = {_member_of(mail.connection) for mail in waiting.queue if isinstance(mail, Leave)}
        later: deque[Mail] = deque()
        for mail in waiting.queue:
            if isinstance(mail, Join) and mail.member.member_id not in leaving:
                joins.append(mail)
            else:
                later.append(mail)
        waiting.queue = later
        self.is_paused, is_paused = False, self.is_paused
        for join in joins:
            self.tell(join)
        self.is_paused = is_paused and bool(self._members)  # nobody would tell that it is heard again
        for said in untaken:
            pass_on(said, self)
        transfer(waiting, self)

    def say_goodbye(self) -> None:
        """Tell the owner, if it is still there, that members go on elsewhere."""
        for number in self._members:
            self._send(self.owner, EdgeLeave(self._room_id, number, LOST, is_final=False))

    def move(self, room: RoomPort) -> None:
        """Go on in a room that is here now: its members enter, and it gets what waits."""
        joins, untaken = self._take_out()
        for mail in (*joins, *untaken):
            pass_on(mail, room)
        transfer(self._take_waiting(), room)

    def _take_waiting(self) -> Mailbox:
        waiting, self._waiting = self._waiting, Mailbox()
        self._waited_for.clear()
        return waiting

    def _take_out(self) -> tuple[list[Join], list[ClientMessages | Leave]]:
        """Take out all members, as they enter again, and what has to be said again.

        Those who were in have heard all up to here. Who has left, and has said something last, enters again, too.
        """
        members = [(member.connection, member.is_in) for member in self._members.values()]
        for member in list(self._members.values()):
            self._forget(member)
        self._window.stop_waiting(self)
        untaken, position = self.untaken.take_all(), self.tail.position
        left = [mail.connection for mail in untaken if isinstance(mail, Leave)]
        members += [(connection, True) for connection in left if isinstance(connection, Connection)]
        joins: list[Join] = []
        for connection, is_in in members:
            if is_in and position is not None:
                connection.since = position
            if connection.member is not None:
                joins.append(join_mail(connection, is_rejoin=is_in))
        return joins, untaken


def _member_of(connection: ConnectionHandle) -> MemberId | None:
    member = connection.member if isinstance(connection, Connection) else None
    return None if member is None else member.member_id
