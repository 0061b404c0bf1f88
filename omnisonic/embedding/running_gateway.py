"""`RunningGateway`: what a program does with the gateway that it has opened (SPEC 8).

Its methods send mail to rooms and return at once. Overload: control mail of rooms is never dropped. Crash and shutdown:
see `omnisonic.embedding.gateway`.
"""

from typing import Any

from omnisonic.actors.gateway import Gateway
from omnisonic.actors.hosting.hosted_room import Hosting, make_envelope
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import Dismiss, DropLease, ExternalMessage, Remove
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId
from omnisonic.settings.origins import WILDCARDS
from omnisonic.wire.closing import CloseCode, Closing


class RunningGateway:
    """A running gateway. Created by `open_gateway`.

    Call its methods on trio's thread. None of them waits, so hooks may call them, too. In a cluster they reach the
    rooms that are in this gateway: a room in another one is, to them, a room that is not there.

    Attributes:
        port: The port that it listens on.

    Example:
        async with omnisonic.open_gateway() as gateway:
            print(gateway.url)
            for room in gateway.rooms:
                gateway.say(room, "cue", {"bar": 17})
    """

    def __init__(self, gateway: Gateway, hosting: Hosting, host: str, port: int) -> None:
        self._gateway = gateway
        self._hosting = hosting
        self._host = host
        self.port: int = port

    @property
    def url(self) -> str:
        """The URL for clients on this machine, such as `ws://127.0.0.1:8080`."""
        name = self._host
        if name in WILDCARDS:
            name = "::1" if ":" in name else "127.0.0.1"
        return f"ws://[{name}]:{self.port}" if ":" in name else f"ws://{name}:{self.port}"

    @property
    def rooms(self) -> list[RoomId]:
        """The ids of all rooms with members, of those that are here."""
        return [actor.room_id for actor in self._gateway.registry if actor.entries]

    def members(self, room: RoomId) -> list[Member]:
        """The members of a room, in the order they came. Empty when there is no such room."""
        actor = self._gateway.room(room)
        return [] if actor is None else [entry.member for entry in actor.entries]

    def room(self, room: RoomId) -> Room[Any] | None:
        """The current object of your room class for this room, or None. After a crash it is another object."""
        return self._hosting.room(room)

    def dead_letters(self, room: RoomId) -> list[DeadLetter]:
        """The messages that crashed this room, oldest first. The gateway keeps the last 128 of all rooms."""
        return self._gateway.registry.dead_letters.of(room)

    def say(self, room: RoomId, type: str, payload: Any = None, *, to: MemberId | None = None) -> None:  # noqa: A002
        """Send a message into a room. It gets a place in the room's order, and its `from` is null.

        Args:
            room: The room's id.
            type: The type of the message, 1 to 128 characters.
            payload: Anything that msgspec can encode as JSON, up to 64 KiB.
            to: The only member who receives it. None: all members.

        Raises:
            InvalidInput: `room_empty` when nobody is there, `unknown_member` when `to` is not there,
                `invalid_message`, `reserved_type` or `too_large`.

        Example:
            gateway.say("jam", "cue", {"bar": 17})
        """
        envelope = make_envelope(type, payload, to)
        actor = self._gateway.room(room)
        reachable = _reachable(actor)
        if actor is None or not reachable:
            raise InvalidInput(f"Nobody is in the room {room!r}.", code="room_empty")
        if to is not None and to not in reachable:
            raise InvalidInput("The member it is for is not connected there.", code="unknown_member")
        actor.tell(ExternalMessage(envelope, _ignore))

    def kick(self, room: RoomId, member_id: MemberId, reason: str = "") -> bool:
        """Remove a member from a room (close code 4003). They may come back if `admit` lets them.

        Args:
            room: The room's id.
            member_id: The member's id.
            reason: Sent with the close code.

        Returns:
            False when the member was not in the room.
        """
        actor = self._gateway.room(room)
        entry = next((each for each in actor.entries if each.member.member_id == member_id), None) if actor else None
        if actor is None or entry is None:
            return False
        if entry.connection is not None:
            entry.connection.close(Closing(CloseCode.KICKED, reason))
        if entry.wait is not None:
            actor.tell(Remove(member_id, Closing(CloseCode.KICKED).word))
        actor.tell(DropLease(member_id, entry.person))
        return True

    def close_room(self, room: RoomId, reason: str = "") -> bool:
        """Remove all members from a room (close code 4004).

        Args:
            room: The room's id.
            reason: Sent with the close code.

        Returns:
            False when nobody was in the room.
        """
        actor = self._gateway.room(room)
        if actor is None or not actor.entries:
            return False
        actor.tell(Dismiss(Closing(CloseCode.ROOM_CLOSED, reason)))
        return True


def _reachable(actor: RoomActor | None) -> set[MemberId]:
    """The members who get what is sent to them: those with a connection, and those who are waited for."""
    entries = () if actor is None else actor.entries
    return {each.member.member_id for each in entries if each.connection is not None or each.wait is not None}


def _ignore(_reply: object) -> None:
    """The result is visible in the room."""
