"""The tail of a room's order, as an edge has heard it: what the next owner may lack after a crash. Pure (SPEC 5.5).

Owned by the edge room. Overload: at most `TAIL_BYTES`, and nothing older than `TAIL_S`; the record of the room has what
is older. A hole in the order ends the tail: what is before it is dropped.
"""

import re
from collections import deque
from typing import Final, NamedTuple

from omnisonic.wire.client_frames import ServerSplitter
from omnisonic.wire.frames import TEXT
from omnisonic.wire.recovery import Position

TAIL_BYTES: Final = 1_048_576
TAIL_S: Final = 5.0
_OFFSET: Final = re.compile(rb',"offset":([0-9]+)\}\Z')
"""How a message that was relayed to all ends; nothing else that all get ends so."""


class _Stream(NamedTuple):
    at_s: float
    data: bytes


class Tail:
    """The newest streams of one room in one epoch. `position` is what has been heard; None before anything was."""

    __slots__ = ("_size", "_streams", "position")

    def __init__(self) -> None:
        self.position: Position | None = None
        self._streams: deque[_Stream] = deque()
        self._size = 0

    def add(self, position: Position, stream: bytes, now_s: float) -> None:
        """Note what all members got in a turn, after which the room's order is at `position`."""
        if self.position is not None and self.position.epoch != position.epoch:
            self._streams.clear()
            self._size = 0
        is_said = self.position is None or position != self.position
        self.position = position
        if stream and is_said:
            self._streams.append(_Stream(now_s, stream))
            self._size += len(stream)
        while self._streams and (self._size > TAIL_BYTES or self._streams[0].at_s < now_s - TAIL_S):
            self._size -= len(self._streams.popleft().data)

    def messages_after(self, position: Position) -> list[bytes] | None:
        """The messages that were relayed after `position`, up to the tail's. None when some of them are not here."""
        if self.position is None or self.position.epoch != position.epoch:
            return None
        contents: list[bytes] = []
        expected = position.offset + 1
        for stream in self._streams:
            for opcode, payload in ServerSplitter().feed(stream.data):
                found = _OFFSET.search(payload) if opcode == TEXT else None
                if found is not None and int(found[1]) == expected:
                    contents.append(payload)
                    expected += 1
        return contents if expected > self.position.offset else None
