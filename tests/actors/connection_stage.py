"""A connection in a room, worked by hand: both ends of its socket are in the test, and nobody runs the room."""

import socket
from dataclasses import dataclass
from typing import Any

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.connections.slow_path import SlowPath
from omnisonic.actors.connections.socket_connection import RateLimit, SocketConnection
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.runtime.telemetry import TurnTracer
from omnisonic.wire.closing import Closing
from omnisonic.wire.handshake import Entrance, Request
from tests.actors.handles import Setting, member, read_messages


@dataclass
class HandClock:
    """Time that passes when a test says so."""

    now_s: float = 100.0


class FakeOwner:
    """The gateway's part. `ended` are the connections that have let go of their sockets."""

    def __init__(self, rate: RateLimit) -> None:
        self.rate = rate
        self.queue_bytes = 0
        self.clock = HandClock()
        self.crashes: list[Exception] = []
        self.ended: list[Connection] = []

    def handle_handshake(self, connection: Connection, request: Request) -> None:
        raise AssertionError("nobody greets here")

    def start_slow_path(self, connection: SocketConnection) -> SlowPath:
        return SlowPath(connection)  # which nobody runs

    def set_writing(self, connection: Connection, *, writing: bool) -> None:
        pass

    def on_unfinished(self, connection: Connection, size: int, *, is_new: bool) -> None:
        pass

    def on_closing(self, connection: Connection) -> None:
        pass

    def on_end(self, connection: Connection) -> None:
        self.ended.append(connection)

    def on_crash(self, connection: Connection, crash: Exception) -> None:
        self.crashes.append(crash)


class NoEvents:
    """Nobody runs the room: its mail is counted in the mailbox."""

    def schedule(self, actor: RoomActor) -> None:
        pass

    def on_roster_change(self, actor: RoomActor) -> None:
        pass

    def on_memory_change(self, actor: RoomActor) -> None:
        pass

    def drop(self, actor: RoomActor, closing: Closing) -> None:
        pass

    def on_crash(self, actor: RoomActor, crash: Exception, letter: DeadLetter) -> None:
        raise crash


class Stage:
    """A connection in a room, and the client's end of its socket."""

    def __init__(self, rate: RateLimit) -> None:
        near, self.client = socket.socketpair()
        near.setblocking(False)
        self.client.setblocking(False)
        self.owner = FakeOwner(rate)
        self.actor = RoomActor(Setting().context(), RoomState, NoEvents(), TurnTracer())
        self.connection = SocketConnection(near, "127.0.0.1", self.owner, self.owner.clock.now_s)
        self.connection.enter(self.actor, Entrance("jam", member("ada")), b"")

    def send(self, data: bytes, times: int = 1) -> None:
        """The client writes, in reads of its own."""
        for _ in range(times):
            self.client.send(data)
            self.connection.on_readable()

    @property
    def taken(self) -> int:
        """How many messages the room was given."""
        return self.actor.mailbox.frames

    def reported(self) -> bytes:
        """What the client was sent since the last look."""
        try:
            return self.client.recv(65_536)
        except BlockingIOError:
            return b""

    def rest(self) -> bytes:
        """All that the client is still sent, until the server ends the stream, which it must."""
        reported = bytearray()
        while True:
            try:
                data = self.client.recv(65_536)
            except BlockingIOError:
                assert self.connection.queued_bytes, "the server has nothing more to say, and does not say so"
                self.connection.on_writable()
                continue
            if not data:
                return bytes(reported)
            reported += data

    def answers(self) -> list[tuple[Any, Any]]:
        """The codes of the errors the client was sent since the last look, each with its `id`."""
        payloads = [message["payload"] for message in read_messages(self.reported())]
        return [(payload["code"], payload.get("id")) for payload in payloads]

    def errors(self) -> list[Any]:
        """The codes of the errors the client was sent since the last look."""
        return [code for code, _ in self.answers()]

    def close(self) -> None:
        self.connection.end("left")
        self.client.close()
