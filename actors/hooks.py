"""A room's hooks: what a subclass of `omnisonic.actors.room.Room` may define, to listen or to step in.

All are called in the room's turn, on the trio thread, and must not wait. Raising crashes the room: it is restarted, and
the letter that it was handling goes to the dead letters.
"""

from omnisonic.models import Member
from omnisonic.wire.messages import Envelope


class Hooks:
    """None of them does anything. `heard` costs only where it is defined."""

    def heard(self, member: Member, envelope: Envelope) -> bool:
        """Called before a client's message is relayed or delivered, in the room's order. False keeps it back.

        Not called for heartbeats, `presence.set`, binary messages, or messages that are refused. Raising crashes the
        room: it is restarted, and this message goes to the dead letters.
        """
        del member, envelope
        return True

    def told(self, envelope: Envelope) -> bool:
        """Called before a message from outside the room is relayed or delivered; otherwise as `heard`."""
        del envelope
        return True

    def came(self, member: Member) -> None:
        """Called when a member is here who was not before, once everybody is to be told. Raising: as `heard`."""

    def gone(self, member: Member, reason: str) -> None:
        """Called when a member is gone (`reason` as in `presence.leave`), once everybody is to be told."""

    def tick(self) -> None:
        """Called for each `Tick` in the mailbox."""
