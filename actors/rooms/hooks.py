"""What a room class is given (`RoomContext`) and which hooks it may define (`Hooks`).

All hooks are called in the room's turn, on the trio thread, and must not wait. A hook that raises crashes the room: the
room restarts, and the message it was handling goes to the dead letters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.roster import Entry
from omnisonic.models import Member, RoomId
from omnisonic.wire.messages import Envelope


@dataclass(slots=True)
class Handoff:
    """What a room leaves to the one that is started after it: whatever it wants to. Its cell keeps it, unlooked at."""

    left: object = None


@dataclass(frozen=True, slots=True)
class RoomContext:
    """What a room is given: its name, its limits, the clocks, and what the room before it left behind."""

    room_id: RoomId
    epoch: str
    ttl_s: int
    max_members: int
    now_s: Callable[[], float]
    now_ms: Callable[[], int]
    relay_prefixes: RelayPrefixes
    offset: int = 0
    entries: tuple[Entry, ...] = ()
    handoff: Handoff = field(default_factory=Handoff)


class Hooks:
    """None of them does anything. Messages cost nothing more where neither `on_message` nor `on_binary` is defined."""

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        """Called before a client's message is relayed or delivered, in the room's order. False keeps it back.

        Not called for heartbeats, `presence.set`, binary messages, or messages that are refused. `InvalidInput` refuses
        it. Raising anything else crashes the room: it is restarted, the message goes to the dead letters, and the
        sender is told.
        """
        del member, envelope
        return True

    def on_binary(self, member: Member, data: bytes) -> bytes | None:
        """Called before a binary message is relayed, where `on_message` or this one is defined. None keeps it back.

        What is returned goes on. Raising: as `on_message`.
        """
        del member
        return data

    def on_presence(self, wanted: Member, before: Member | None) -> Member | None:
        """Called before others see a member in another way: `before` is how they do now, None for a newcomer.

        What is returned is shown. None, or `InvalidInput`, refuses: a newcomer is turned away, and the name of who is
        there stays. Raising: as `on_message`.
        """
        del before
        return wanted

    def on_external(self, envelope: Envelope) -> bool:
        """Called before a message from outside the room is relayed or delivered; otherwise as `on_message`."""
        del envelope
        return True

    def on_join(self, member: Member) -> None:
        """Called when a member is here who was not before, once everybody is to be told. Raising: as `on_message`."""

    def on_leave(self, member: Member, reason: str) -> None:
        """Called when a member is gone (`reason` as in `presence.leave`), once everybody is to be told."""

    def on_tick(self) -> None:
        """Called for each `Tick` in the mailbox."""
