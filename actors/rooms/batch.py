"""A batch: what one turn of a room sends, for all members at once (DESIGN 2, points 1 and 5). Pure.

All frames of a turn form one common stream, joined once. Most members get exactly these bytes. For the others the
batch keeps a short list of edits to the stream: a sender does not get their own messages, a newcomer gets a `welcome`
instead of what came before, a reply goes to one member only. So a turn costs one join, the edits, and one write for
each member, and all members get the messages in the same order.

`RelayPrefixes` holds the beginnings of relayed messages, made once for each message type.

Overload: the mailbox bounds what one turn handles. Crash: what the batch holds is still sent. Shutdown: nothing to do.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from omnisonic.actors.rooms.seat import ConnectionHandle
from omnisonic.errors import InvalidInput
from omnisonic.wire import messages
from omnisonic.wire.closing import Closing
from omnisonic.wire.message_types import HANDLED_TYPES, SERVER_TYPES, SIGNAL_PREFIX

Edit: TypeAlias = tuple[int, int, bytes]
"""Leave out the stream from one offset to another, and put these bytes there instead."""

END: Final = 1 << 62
KNOWN_TYPES: Final = 1024
"""Message types whose prefix is kept. A program has few; the bound is against clients that invent types."""


class RelayPrefixes(dict[str, bytes | None]):
    """The prefix of a relayed message by type, made once; None for the types that are not simply relayed.

    Errors: `InvalidInput` (`invalid_message`) for a type that is empty or too long.
    """

    def __missing__(self, type_: str) -> bytes | None:
        if not 0 < len(type_) <= messages.TYPE_LENGTH:
            raise InvalidInput(f"type must have 1 to {messages.TYPE_LENGTH} characters.", code="invalid_message")
        if type_ in HANDLED_TYPES or type_ in SERVER_TYPES or type_.startswith(SIGNAL_PREFIX):
            made = None
        else:
            made = messages.relay_prefix(type_)
        if len(self) < KNOWN_TYPES:
            self[type_] = made
        return made


class Batch:
    """The common stream of a turn, and its edits.

    The hot loop of the room appends to `pieces` in place; `size` is always the number of bytes in `pieces`.
    """

    __slots__ = (
        "_state_frames",
        "_superseded",
        "binaries",
        "dismissed",
        "edits",
        "opening",
        "pieces",
        "remembered",
        "roster_changed",
        "size",
        "state_changed",
    )

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.edits: dict[ConnectionHandle, list[Edit]] = {}
        self.dismissed: list[tuple[ConnectionHandle, Closing]] = []
        self.remembered: list[bytes] = []
        """The messages with an offset that were relayed to all, in order: what the history gets."""
        self.binaries = 0
        """How many binary messages were relayed to all."""
        self.opening: dict[ConnectionHandle, tuple[bytes, list[bytes]]] = {}
        """What newcomers get first: their `welcome`, and what they have missed."""
        self.roster_changed = False
        self.state_changed = False
        self._state_frames: dict[str, tuple[int, int]] = {}
        self._superseded: list[tuple[int, int]] = []

    def to_all(self, frame: bytes) -> None:
        """Everyone gets `frame`."""
        self.pieces.append(frame)
        self.size += len(frame)

    def to_others(self, connection: ConnectionHandle, frame: bytes) -> None:
        """Everyone but `connection` gets `frame`."""
        start = self.size
        self.to_all(frame)
        self.edit(connection, start, self.size)

    def to_one(self, connection: ConnectionHandle, frame: bytes) -> None:
        """Only `connection` gets `frame`."""
        self.edit(connection, self.size, self.size, frame)

    def begin(self, connection: ConnectionHandle, frame: bytes, replay: list[bytes] | None = None) -> None:
        """`connection` is new: it gets `frame` and what it has missed, and of the stream only what follows."""
        if replay:
            self.opening[connection] = frame, replay
            frame = b""
        else:
            self.opening.pop(connection, None)
        self.edits[connection] = [(0, self.size, frame)]

    def change_state(self, key: str, frame: bytes) -> None:
        """Everyone gets `frame`: a key of the shared state has changed. Only the last change of a key is sent."""
        if (earlier := self._state_frames.get(key)) is not None:
            self._superseded.append(earlier)
        self._state_frames[key] = self.size, self.size + len(frame)
        self.state_changed = True
        self.to_all(frame)

    def dismiss(self, connection: ConnectionHandle, closing: Closing) -> None:
        """`connection` gets nothing more but the close."""
        self.edit(connection, self.size, END)
        self.dismissed.append((connection, closing))

    def edit(self, connection: ConnectionHandle, start: int, stop: int, instead: bytes = b"") -> None:
        """Send `instead` to `connection` in place of the stream from `start` to `stop`. Call in rising order."""
        if start == stop and not instead:
            return
        edits = self.edits.get(connection)
        if edits is None:
            self.edits[connection] = [(start, stop, instead)]
        elif edits[-1][1] <= start:
            edits.append((start, stop, instead))

    def stream(self) -> bytes:
        """What everyone without edits gets. Nothing may be added to the batch after it."""
        stream = b"".join(self.pieces)
        return self._leave_out_superseded(stream) if self._superseded else stream

    def _leave_out_superseded(self, stream: bytes) -> bytes:
        """Leave out changes of a key that changed again, and move the edits to where the stream is now."""
        cuts = sorted(self._superseded)
        self._superseded = []

        def moved(position: int) -> int:
            return position - sum(min(stop, position) - start for start, stop in cuts if start < position)

        for connection, edits in self.edits.items():
            self.edits[connection] = [(moved(start), moved(stop), instead) for start, stop, instead in edits]
        parts, at = [], 0
        for start, stop in cuts:
            parts.append(stream[at:start])
            at = stop
        parts.append(stream[at:])
        return b"".join(parts)

    def stream_for(self, connection: ConnectionHandle, stream: bytes) -> bytes:
        """What `connection` gets, given the common `stream`."""
        edits = self.edits.get(connection)
        return stream if edits is None else apply_edits(edits, stream)


def apply_edits(edits: Sequence[Edit], stream: bytes) -> bytes:
    """The `stream` with these edits."""
    if len(edits) == 1 and edits[0][0] == 0 and edits[0][1] >= len(stream):
        return edits[0][2]  # the only sender
    parts: list[bytes] = []
    at = 0
    for start, stop, instead in edits:
        parts.append(stream[at:start])
        parts.append(instead)
        at = stop
    parts.append(stream[at:])
    return b"".join(parts)
