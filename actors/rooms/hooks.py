"""A room's hooks: what a subclass of `omnisonic.actors.rooms.state.Room` may define, to listen or to step in.

All are called in the room's turn, on the trio thread, and must not wait. Raising crashes the room: it is restarted, and
the letter that it was handling goes to the dead letters.
"""

from omnisonic.models import Member
from omnisonic.wire.messages import Envelope


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
