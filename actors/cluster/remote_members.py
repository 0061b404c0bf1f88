"""The members of a room who are connected to other gateways, as their owner sees them (SPEC 5.5, DESIGN 8).

To the room a remote member is one more connection. What a turn has for the members of one peer goes to it as one
message: the common stream once, and what differs for single connections.

Overload: nothing waits here; a link whose queue is full is reset, and then its members come back. Limits of single
members are kept by the gateway to which they are connected. Crash and shutdown: see `omnisonic.actors.cluster.owning`.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from omnisonic.actors.cluster.run_names import process_of
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import Batch, Edit
from omnisonic.actors.rooms.mailbox import Leave
from omnisonic.actors.rooms.seat import ConnectionHandle
from omnisonic.models import MemberId, RoomId
from omnisonic.wire.closing import Closing
from omnisonic.wire.peer_messages import ConnectionNumber, OwnerClose, OwnerPush, OwnerTurn, PeerMessage

Send: TypeAlias = Callable[[str, PeerMessage], None]
"""Sends a message to a peer, without waiting."""


class RemoteConnection:
    """A member's connection to another gateway. `is_welcomed`: the peer knows that it is in the room."""

    __slots__ = ("_group", "address", "is_open", "is_welcomed", "member_id", "number")

    def __init__(
        self, group: "PeerMembers", number: ConnectionNumber, member_id: MemberId, address: str | None
    ) -> None:
        self.number = number
        self.member_id = member_id
        self.address = address
        self.is_open = True
        self.is_welcomed = False
        self._group = group

    @property
    def group(self) -> "PeerMembers":
        """The members of the same room and peer."""
        return self._group

    def push(self, data: bytes) -> None:
        if self.is_open:
            self._group.send(OwnerPush(self._group.room_id, self.number, data))

    def push_replay(self, parts: Sequence[bytes]) -> None:
        self.push(b"".join(parts))

    def close(self, closing: Closing) -> None:
        if self.is_open:
            self._group.send(OwnerClose(self._group.room_id, self.number, closing.code, closing.reason))
            self.leave(closing.word, is_final=closing.is_final)

    def leave(self, reason: str, *, is_final: bool, wait_s: float = 0.0) -> None:
        """The connection has ended, or cannot be reached. Only the first call counts."""
        if self.is_open:
            self._group.discard(self)
            self._group.actor.tell(Leave(self, reason, is_final, wait_s))


class PeerMembers:
    """The members of one room at one peer. `taken` is the number of the last of their messages."""

    def __init__(self, actor: RoomActor, peer: str, send: Send) -> None:
        self.actor = actor
        self.peer = peer
        self.taken = 0
        self.told = 0
        """The `taken` that the peer knows."""
        self.connections: dict[ConnectionNumber, RemoteConnection] = {}
        self._send = send

    @property
    def room_id(self) -> RoomId:
        return self.actor.room_id

    def send(self, message: PeerMessage) -> None:
        """Send this to the peer."""
        self._send(self.peer, message)

    def discard(self, connection: RemoteConnection) -> None:
        """Forget a connection that has ended."""
        connection.is_open = False
        self.connections.pop(connection.number, None)


class _Turn:
    """What a turn has for the members at one peer."""

    __slots__ = ("dismissed", "edits", "opening")

    def __init__(self) -> None:
        self.edits: dict[ConnectionNumber, list[Edit]] = {}
        self.opening: dict[ConnectionNumber, tuple[bytes, list[bytes]]] = {}
        self.dismissed: list[tuple[ConnectionNumber, int, str]] = []


class RoomOfPeers:
    """All remote members of one room, by their peer."""

    def __init__(self, actor: RoomActor, send: Send) -> None:
        self.peers: dict[str, PeerMembers] = {}
        self._actor = actor
        self._send = send

    def group(self, peer: str) -> PeerMembers:
        """The members at this peer, who may be none yet."""
        group = self.peers.get(peer)
        if group is None:
            group = self.peers[peer] = PeerMembers(self._actor, peer, self._send)
        return group

    def connections_at(self, peer: str, member_id: MemberId) -> list[RemoteConnection]:
        """Those of this member at this peer, whatever its name was when they entered."""
        process = process_of(peer)
        groups = [group for group in self.peers.values() if process_of(group.peer) == process]
        return [each for group in groups for each in group.connections.values() if each.member_id == member_id]

    def send_turn(
        self, epoch: str, offset: int, batch: Batch, stream: bytes, connections: Collection[ConnectionHandle]
    ) -> Collection[ConnectionHandle]:
        turns = {peer: _Turn() for peer in self.peers}
        for connection, edits in batch.edits.items():
            if isinstance(connection, RemoteConnection) and (turn := turns.get(connection.group.peer)) is not None:
                turn.edits[connection.number] = edits
                if not connection.is_welcomed:
                    connection.is_welcomed = True
                    turn.opening[connection.number] = batch.opening.pop(connection, (b"", []))
        for connection, closing in batch.dismissed:
            if isinstance(connection, RemoteConnection):
                turn = turns.get(connection.group.peer)
                if turn is not None and connection.is_open:
                    turn.dismissed.append((connection.number, closing.code, closing.reason))
                connection.group.discard(connection)
        batch.dismissed = [each for each in batch.dismissed if not isinstance(each[0], RemoteConnection)]
        for peer, turn in turns.items():
            self._send_to(self.peers[peer], turn, epoch, offset, stream)
        if not self.peers:
            self._actor.remotes = None
        return [each for each in connections if not isinstance(each, RemoteConnection)]

    def _send_to(self, group: PeerMembers, turn: _Turn, epoch: str, offset: int, stream: bytes) -> None:
        if stream or turn.edits or turn.dismissed or group.taken != group.told:
            group.told = group.taken
            group.send(
                OwnerTurn(group.room_id, epoch, offset, stream, turn.edits, turn.opening, turn.dismissed, group.taken)
            )
        if not group.connections:
            del self.peers[group.peer]
