"""What a room class is given (`RoomContext`) and which hooks it may define (`Hooks`).

All hooks are called in the room's turn, on the trio thread, and must not wait. A hook that raises crashes the room: the
room restarts, and the message it was handling goes to the dead letters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mypy_extensions import mypyc_attr

from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.seat import Entry
from omnisonic.actors.rooms.standing import Standing
from omnisonic.models import Member, RoomId
from omnisonic.studio.messages import MessageToKeep
from omnisonic.wire.messages import Envelope


@dataclass(slots=True)
class Handoff:
    """What one incarnation of a room leaves to the next, any object. The actor keeps it and does not read it."""

    left: Any = None  # mypyc does not take `object` here


@dataclass(frozen=True, slots=True)
class RoomContext:
    """What a room is given: its name, its limits, the clocks, and what the incarnation before it left.

    `grace_s` is how long a member is waited for whose connection broke. `keep` takes a message to be written down, and
    returns False when there is no place for it; None: nothing is kept in this room.
    """

    room_id: RoomId
    memory: RoomMemory
    ttl_s: int
    max_members: int
    now_s: Callable[[], float]
    now_ms: Callable[[], int]
    relay_prefixes: RelayPrefixes
    grace_s: float = 0.0
    entries: tuple[Entry, ...] = ()
    handoff: Handoff = field(default_factory=Handoff)
    keep: Callable[[MessageToKeep], bool] | None = None
    standing: Standing = field(default_factory=Standing)


@mypyc_attr(allow_interpreted_subclasses=True)
class Hooks:
    """Hooks that do nothing. Messages cost nothing more where neither `on_message` nor `on_binary` is defined."""

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        """Called before a client's message is relayed or delivered, in the room's order. False drops it.

        Called for `state.set` and `transport.set`, too, before they change anything. Not called for heartbeats,
        `presence.set`, binary messages, messages that are refused, or those that were accepted before.
        `InvalidInput` refuses it. Raising anything else crashes the room: it is restarted, the message goes to the
        dead letters, and the sender is told.
        """
        del member, envelope
        return True

    def on_binary(self, member: Member, data: bytes) -> bytes | None:
        """Called before a binary message is relayed, where `on_message` or this one is defined. None drops it.

        What is returned is relayed. Raising: as `on_message`.
        """
        del member
        return data

    def on_presence(self, wanted: Member, before: Member | None) -> Member | None:
        """Called before a member is shown differently: `before` is how they are shown now, None for a newcomer.

        What is returned is shown. None, or `InvalidInput`, refuses: a newcomer is rejected, and a member who is here
        keeps their name. Raising: as `on_message`.
        """
        del before
        return wanted

    def on_external(self, envelope: Envelope) -> bool:
        """Called before a message from outside the room is relayed or delivered; otherwise as `on_message`."""
        del envelope
        return True

    def on_join(self, member: Member) -> None:
        """Called when a member has joined, after the `presence.join` is in the batch. Raising: as `on_message`."""

    def on_leave(self, member: Member, reason: str) -> None:
        """Called when a member has left (`reason` as in `presence.leave`), after the leave is in the batch."""

    def on_tick(self) -> None:
        """Called for each `Tick` in the mailbox."""
