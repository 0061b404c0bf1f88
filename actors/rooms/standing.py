"""Whether this gateway owns a room now, and the acknowledgements that wait until it does. Pure (SPEC 5.5).

A gateway alone owns its rooms, always. In a cluster a room can be **provisional**: its members hear each other, but
another gateway may own the room, and what is said here may not count. Then nothing is acknowledged.

Overload: beyond `HELD_ACKS` acknowledgements are dropped; those who wait for one say their message again. Crash of the
room: kept by its actor. Shutdown: dropped.
"""

from typing import Final

from omnisonic.actors.rooms.seat import ConnectionHandle

HELD_ACKS: Final = 4_096


class Standing:
    """The standing of one room. `is_owned`: what is said in it counts."""

    __slots__ = ("_held", "is_owned")

    def __init__(self) -> None:
        self.is_owned = True
        self._held: list[tuple[ConnectionHandle, bytes]] = []

    def hold_ack(self, connection: ConnectionHandle, frame_: bytes) -> bool:
        """Keep an acknowledgement back. False when the room is owned: it may go out."""
        if self.is_owned:
            return False
        if len(self._held) < HELD_ACKS:
            self._held.append((connection, frame_))
        return True

    def take_held(self) -> list[tuple[ConnectionHandle, bytes]]:
        """Take out the acknowledgements that were kept back, in order."""
        held, self._held = self._held, []
        return held
