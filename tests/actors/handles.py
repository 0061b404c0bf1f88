"""Fakes for a room's tests: a connection that records what it gets, and messages from members."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage

from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import ClientMessages
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.models import Member
from omnisonic.studio.messages import MessageToKeep
from omnisonic.wire.closing import Closing
from omnisonic.wire.frames import BINARY, TEXT, Frame


class FakeConnection:
    """A connection that only records. Compared by identity, as connections are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_open = True
        self.closing: Closing | None = None
        self.pushes: list[bytes] = []

    def __repr__(self) -> str:
        return f"FakeConnection({self.name!r})"

    def push(self, data: bytes) -> None:
        if self.closing is None:
            self.pushes.append(data)

    def push_replay(self, parts: Sequence[bytes]) -> None:
        for part in parts:
            self.push(part)

    def close(self, closing: Closing) -> None:
        if self.closing is None:
            self.is_open, self.closing = False, closing

    def received(self) -> list[Any]:
        """All messages since the last look, as a client reads them: objects, or bytes when they are binary."""
        data, self.pushes = b"".join(self.pushes), []
        return read_messages(data)

    def types(self) -> list[str]:
        """The types of all messages since the last look."""
        return [message["type"] for message in self.received()]


def read_messages(data: bytes) -> list[Any]:
    """The messages in a stream of a server's frames."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    messages: list[Any] = []
    for event in client.events():
        assert isinstance(event, TextMessage | BytesMessage), event
        assert event.message_finished
        messages.append(json.loads(event.data) if isinstance(event, TextMessage) else bytes(event.data))
    return messages


def text(type_: str, payload: object = None, **fields: object) -> Frame:
    """A message as a client writes it."""
    return TEXT, json.dumps({"type": type_, "payload": payload, **fields}).encode()


def binary(payload: bytes) -> Frame:
    """A binary message."""
    return BINARY, payload


def sent(connection: FakeConnection, *frames: Frame) -> ClientMessages:
    """What one read of a member's socket brought."""
    return ClientMessages(connection, list(frames), sum(len(payload) for _, payload in frames))


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Setting:
    """What a room in a test is given."""

    clock: Clock = field(default_factory=Clock)
    history: HistoryLimits = field(default_factory=HistoryLimits)
    grace_s: float = 0.0
    keep: Callable[[MessageToKeep], bool] | None = None

    def context(
        self, room_id: str = "jam", *, max_members: int = 0, now_ms: Callable[[], int] = lambda: 17
    ) -> RoomContext:
        """The context of a room."""
        memory = RoomMemory("epoch", self.history)
        return RoomContext(
            room_id, memory, 60, max_members, self.clock, now_ms, RelayPrefixes(), self.grace_s, keep=self.keep
        )


def member(name: str) -> Member:
    """A member with this id."""
    return Member(name, name.title())
