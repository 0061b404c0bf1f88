"""Whether this gateway owns a room now, and the acknowledgements that wait until it does. Pure (SPEC 5.5).

A gateway alone owns its rooms, always. In a cluster a room can be **provisional**: its members hear each other, but
another gateway may own the room, and what is said here may not count. Then nothing is acknowledged.

Overload: beyond `HELD_ACKS` of one connection, and `HELD_IN_ALL`, acknowledgements are dropped; those who wait for one
say their message again. Crash of the room: kept by its actor. Shutdown: dropped.
"""

from typing import Final

from omnisonic.actors.rooms.seat import ConnectionHandle

HELD_ACKS: Final = 512
"""Acknowledgements of one connection: one that says much leaves place for the others."""
HELD_IN_ALL: Final = 16_384
"""As many as messages that may wait in a room."""


class Standing:
    """The standing of one room. `is_owned`: what is said in it counts."""

    __slots__ = ("_count", "_held", "is_owned")

    def __init__(self) -> None:
        self.is_owned = True
        self._held: dict[ConnectionHandle, list[bytes]] = {}
        self._count = 0

    def hold_ack(self, connection: ConnectionHandle, frame_: bytes) -> bool:
        """Keep an acknowledgement back. False when the room is owned: it may go out."""
        if self.is_owned:
            return False
        if self._count < HELD_IN_ALL:
            frames = self._held.setdefault(connection, [])
            if len(frames) < HELD_ACKS:
                frames.append(frame_)
                self._count += 1
        return True

    def take_held(self) -> list[tuple[ConnectionHandle, bytes]]:
        """Take out the acknowledgements that were kept back, those of each connection in order."""
        held, self._held, self._count = self._held, {}, 0
        return [(connection, frame_) for connection, frames in held.items() for frame_ in frames]
