"""What members of an edge room see of its shared state and transport: what a provisional room begins with. Pure.

Owned by the edge room, and read from what the owner sends to its members: a look at each stream, and more only when
something shared has changed. Overload: bounded as the shared state of a room. Crash and shutdown: nothing to do.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.shared_state import NULL, StateValue
from omnisonic.actors.rooms.transport import move_to_clock
from omnisonic.models import MemberId
from omnisonic.wire.client_frames import ServerSplitter
from omnisonic.wire.frames import TEXT
from omnisonic.wire.transport import Transport


class _Entry(msgspec.Struct):
    value: msgspec.Raw
    version: int
    by: MemberId | None


class _Changed(_Entry):
    key: str


class _Welcome(msgspec.Struct, rename="camel"):
    server_time: int
    state: dict[str, _Entry]
    transport: Transport


class _Message(msgspec.Struct):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"null")


_read: Final = msgspec.json.Decoder(_Message).decode
_read_welcome: Final = msgspec.json.Decoder(_Welcome).decode
_read_changed: Final = msgspec.json.Decoder(_Changed).decode
_read_transport: Final = msgspec.json.Decoder(Transport).decode


class SharedView:
    """The shared state and the transport of one room, as its members know them. `is_known`: it is up to date.

    `now_ms` is the clock of this gateway, which may be another one than the owner's.
    """

    __slots__ = ("_ahead_ms", "_now_ms", "_state", "_transport", "is_known")

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.is_known = False
        self._now_ms = now_ms
        self._ahead_ms = 0
        """How far this clock is ahead of the owner's, about."""
        self._state: dict[str, StateValue] = {}
        self._transport = Transport()

    def see(self, frames: bytes) -> None:
        """Note what is in these frames of the owner."""
        if self.is_known and b'"state.changed"' not in frames and b'"transport.state"' not in frames:
            return
        for opcode, payload in ServerSplitter().feed(frames):
            if opcode == TEXT:
                message = _read(payload)
                if message.type == "welcome":
                    self._begin(_read_welcome(message.payload))
                elif message.type == "state.changed":
                    self._change(_read_changed(message.payload))
                elif message.type == "transport.state":
                    self._transport = _read_transport(message.payload)

    def copy_to(self, memory: RoomMemory) -> None:
        """Begin a room with this."""
        memory.shared_state.restore(self._state, 0)
        memory.transport = move_to_clock(self._transport, self._ahead_ms)

    def _begin(self, welcome: _Welcome) -> None:
        self.is_known = True
        self._state = {key: StateValue(bytes(each.value), each.version, each.by) for key, each in welcome.state.items()}
        self._transport = welcome.transport
        self._ahead_ms = self._now_ms() - welcome.server_time

    def _change(self, changed: _Changed) -> None:
        if bytes(changed.value) == NULL:
            self._state.pop(changed.key, None)
        else:
            self._state[changed.key] = StateValue(bytes(changed.value), changed.version, changed.by)
