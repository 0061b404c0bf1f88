"""The owner's side of the cluster: rooms of this gateway with members at other gateways (SPEC 5.5, DESIGN 8).

What peers send becomes mail of the room. A peer that asks a gateway that does not own the room gets `NotOwner`, and
claims the room then, or finds out who has it.

Overload: messages for a room whose mailbox is full are refused, as those of members who are here (`room_busy`). A link
that was reset, a peer that went: its members are waited for, `MOVED_S` at least. A room that becomes provisional has no
remote members any more. Crash: with the gateway. Shutdown: `hand_over`.
"""

from typing import Protocol

from omnisonic.actors.cluster.links import PeerLinks
from omnisonic.actors.cluster.remote_members import PeerMembers, RemoteConnection, RoomOfPeers
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import ChangeRole, ClientMessages, Join, busy_frames
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.sync.room_seats import LOST, MOVED_S
from omnisonic.models import RoomId
from omnisonic.wire.peer_messages import EdgeJoin, EdgeLeave, EdgeRole, EdgeSaid, Moving, NotOwner


class RoomPlaces(Protocol):
    """Where rooms are, as far as this gateway knows."""

    def may_own(self, room_id: RoomId) -> bool:
        """Whether the room is here, or may be made and claimed here."""
        ...


class OwnedRooms:
    """What this gateway does for the members of its rooms who are elsewhere."""

    def __init__(self, registry: Registry, places: RoomPlaces, links: PeerLinks) -> None:
        self._registry = registry
        self._places = places
        self._links = links
        self._send = links.send
        self._rooms: dict[str, dict[RoomId, RoomOfPeers]] = {}
        """The rooms with members at a peer, by the peer."""
        self._moving: dict[RoomId, list[PeerMembers]] = {}
        """Rooms that are being released, and who has to know it then."""

    def __len__(self) -> int:
        """How many members are elsewhere. On any thread."""
        rooms = {id(room): room for of_peer in list(self._rooms.values()) for room in list(of_peer.values())}
        return sum(len(group.connections) for room in rooms.values() for group in list(room.peers.values()))

    def sweep(self) -> None:
        """Forget which rooms had members at a peer, and rooms that are not here any more."""
        for peer, rooms in list(self._rooms.items()):
            for room_id, room in list(rooms.items()):
                if peer not in room.peers or self._registry.get(room_id) is not room.peers[peer].actor:
                    del rooms[room_id]
            if not rooms:
                del self._rooms[peer]
                self._links.unwatch(peer)

    def peers_of(self, actor: RoomActor) -> list[str]:
        """The peers with members in this room."""
        return list(actor.remotes.peers) if isinstance(actor.remotes, RoomOfPeers) else []

    # Called for messages of peers

    def join(self, peer: str, message: EdgeJoin) -> None:
        """A connection of the peer enters. When the peer says so, the room may be ours though it is not here yet."""
        if not self._places.may_own(message.room):
            self._send(peer, NotOwner(message.room))
            return
        actor = self._registry.get_or_make(message.room)
        room = actor.remotes
        if not isinstance(room, RoomOfPeers):
            room = actor.remotes = RoomOfPeers(actor, self._send)
        if peer not in self._rooms:
            self._rooms[peer] = {}
            self._links.watch(peer)
        self._rooms[peer][message.room] = room
        group = room.group(peer)
        member_id = message.member.member_id
        if message.is_rejoin:  # the peer has given the old one up
            for old in room.connections_at(peer, member_id):
                old.leave(LOST, is_final=False, wait_s=MOVED_S)
        connection = RemoteConnection(group, message.conn, member_id, message.address)
        group.connections[message.conn] = connection
        is_listener, is_rejoin = message.is_listener, message.is_rejoin
        actor.tell(
            Join(connection, message.member, message.person, message.since, message.tempo, is_listener, is_rejoin)
        )

    def leave(self, peer: str, message: EdgeLeave) -> None:
        """A connection of the peer has ended."""
        connection = self._find(peer, message.room, message.conn)
        if connection is not None:
            connection.leave(message.reason, is_final=message.is_final)

    def change_role(self, peer: str, message: EdgeRole) -> None:
        """What a connection of the peer may do has changed."""
        connection = self._find(peer, message.room, message.conn)
        if connection is not None:
            connection.group.actor.tell(ChangeRole(connection, message.is_listener))

    def take(self, peer: str, message: EdgeSaid) -> None:
        """A connection of the peer has said something."""
        group = self._group(peer, message.room)
        if group is None:
            if message.room not in self._moving:
                self._send(peer, NotOwner(message.room))
            return
        group.taken = message.number
        connection = group.connections.get(message.conn)
        if connection is None:
            return  # it was closed here, and the peer does not know it yet
        size = sum(len(payload) for _, payload in message.frames)
        if not group.actor.offer(ClientMessages(connection, message.frames, size)):
            connection.push(busy_frames(message.frames))

    def drop_peer(self, peer: str) -> None:
        """The link with the peer was reset: its members come back, or are gone."""
        rooms = self._rooms.pop(peer, None)
        if rooms is None:
            return
        self._links.unwatch(peer)
        for room in rooms.values():
            _drop_group(room.peers.get(peer))

    def give_up(self, peer: str) -> None:
        """The peer was not heard for long. If it lives, its members have to enter again."""
        for room_id, room in self._rooms.get(peer, {}).items():
            if peer in room.peers:
                self._send(peer, NotOwner(room_id))
        self.drop_peer(peer)

    # Called for rooms that are not owned here any more

    def reject(self, actor: RoomActor) -> None:
        """The room is not ours now: its remote members have to find its owner."""
        room = actor.remotes
        if isinstance(room, RoomOfPeers):
            for group in list(room.peers.values()):
                self._send(group.peer, NotOwner(group.room_id))
                _drop_group(group)
                self._rooms.get(group.peer, {}).pop(group.room_id, None)

    def begin_move(self, actor: RoomActor) -> None:
        """The room is handled no more, and will be released: note who has to know it then."""
        room, actor.remotes = actor.remotes, None
        if isinstance(room, RoomOfPeers):
            self._moving[actor.room_id] = list(room.peers.values())
            for group in room.peers.values():
                for connection in list(group.connections.values()):
                    group.discard(connection)
                self._rooms.get(group.peer, {}).pop(group.room_id, None)

    def end_move(self, room_id: RoomId) -> None:
        """The room is released: its next owner may begin."""
        for group in self._moving.pop(room_id, []):
            self._send(group.peer, Moving(room_id, group.taken))

    def end_moves(self) -> None:
        """Rooms that could not be released are not here either: who has members in them has to find their owner."""
        for room_id in list(self._moving):
            for group in self._moving.pop(room_id):
                self._send(group.peer, NotOwner(room_id))

    def _group(self, peer: str, room_id: RoomId) -> PeerMembers | None:
        room = self._rooms.get(peer, {}).get(room_id)
        group = None if room is None else room.peers.get(peer)
        return None if group is None or group.actor.is_withdrawn else group

    def _find(self, peer: str, room_id: RoomId, number: int) -> RemoteConnection | None:
        group = self._group(peer, room_id)
        return None if group is None else group.connections.get(number)


def _drop_group(group: PeerMembers | None) -> None:
    """Nothing reaches these members from here any more; they are waited for."""
    if group is not None:
        for connection in list(group.connections.values()):
            connection.leave(LOST, is_final=False, wait_s=MOVED_S)
