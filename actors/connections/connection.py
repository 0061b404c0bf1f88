"""A connection: one client from accept to close (SPEC 5.1, 5.3).

This is the part that runs when a connection begins and ends: the handshake, entering a room, leaving, closing. Reading
and sending are in `omnisonic.actors.connections.socket_connection`. What a client sends before it is admitted waits in
`_head`, and is bounded like the head of a request.

Overload: what is queued for a client that does not read is dropped when it is closed (4008). Crash: what a handler
raises closes this connection with 1011. Shutdown: the gateway closes it with 1001. However it ends, its room gets one
`Leave`.
"""

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from mypy_extensions import mypyc_attr

from omnisonic.actors.connections.send_buffer import SendBuffer
from omnisonic.actors.rooms.mailbox import ChangeRole, Join, Leave
from omnisonic.actors.rooms.port import RoomPort
from omnisonic.models import LoginId, Member, RoomId, UserId
from omnisonic.wire import handshake, messages
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import CLOSE, Splitter, frame
from omnisonic.wire.handshake import Entrance, Request
from omnisonic.wire.recovery import Position
from omnisonic.wire.transport import Tempo

if TYPE_CHECKING:
    from omnisonic.actors.connections.slow_path import SlowPath
    from omnisonic.actors.connections.socket_connection import RateLimit, SocketConnection

LOST: Final = "lost"
"""Reason of a leave when the connection ended without a close frame."""


class Clock(Protocol):
    """Has the time of the current tick, in monotonic seconds, as an attribute."""

    @property
    def now_s(self) -> float: ...


class ConnectionOwner(Protocol):
    """What a connection calls on its gateway. Nothing here waits."""

    rate: "RateLimit"
    queue_bytes: int

    @property
    def clock(self) -> Clock: ...

    def handle_handshake(self, connection: "Connection", request: Request) -> None: ...

    def set_writing(self, connection: "Connection", *, writing: bool) -> None: ...

    def start_slow_path(self, connection: "SocketConnection") -> "SlowPath": ...

    def on_unfinished(self, connection: "Connection", size: int, *, is_new: bool) -> None: ...

    def on_closing(self, connection: "Connection") -> None: ...

    def on_end(self, connection: "Connection") -> None: ...

    def on_crash(self, connection: "Connection", crash: Exception) -> None: ...


@mypyc_attr(allow_interpreted_subclasses=True)
class Connection:
    """One client. `last_received_s` is when its last byte came.

    `since` is what it has seen of its room, as far as is known: what it said when it came, until the room moves.
    """

    __slots__ = (
        "_actor",
        "_closing",
        "_ended",
        "_has_request",
        "_head",
        "_owner",
        "_send_buffer",
        "_slow_path",
        "_sock",
        "_splitter",
        "address",
        "fd",
        "is_listener",
        "last_received_s",
        "login",
        "member",
        "opened_s",
        "person",
        "room_id",
        "since",
        "tempo",
    )

    def __init__(self, sock: socket.socket, address: str, owner: ConnectionOwner, now_s: float) -> None:
        self.fd = sock.fileno()
        self.address = address
        self.last_received_s = now_s
        self.member: Member | None = None
        self.room_id: RoomId | None = None
        self.person: UserId | None = None
        self.login: LoginId | None = None
        self.is_listener = False
        self.since: Position | None = None
        self.tempo: Tempo | None = None
        self.opened_s = now_s
        self._owner = owner
        self._sock = sock
        self._splitter = Splitter()
        self._head: bytearray | None = bytearray()
        self._has_request = False
        self._send_buffer: SendBuffer | None = None
        self._actor: RoomPort | None = None
        self._slow_path: SlowPath | None = None
        self._closing: Closing | None = None
        self._ended = False

    @property
    def is_open(self) -> bool:
        return self._closing is None and not self._ended

    @property
    def closing(self) -> Closing | None:
        """Why this end closed the connection; None while it has not."""
        return self._closing

    @property
    def close_info(self) -> tuple[int, str]:
        """The code and the word that the connection ended with; 1006 without a close frame (RFC 6455 7.1.5)."""
        return (1006, LOST) if self._closing is None else (self._closing.code, self._closing.word)

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait in the send buffer."""
        return 0 if self._send_buffer is None else self._send_buffer.size

    @property
    def queued_since_s(self) -> float | None:
        """Since when the oldest byte waits in the send buffer; None when it is empty."""
        return None if self._send_buffer is None else self._send_buffer.since_s

    def push(self, data: bytes) -> None:
        """Send whole frames now; the send buffer keeps what the kernel does not take."""
        raise NotImplementedError

    def push_replay(self, parts: Sequence[bytes]) -> None:
        """Send what a member has missed."""
        raise NotImplementedError

    def _read_frames(self, data: bytes) -> None:
        """Handle what the client sent."""
        raise NotImplementedError

    # Entering and leaving

    def on_received(self, data: bytes) -> None:
        """Handle what another process has read from the socket, a whole request head at least."""
        try:
            self._read_head(data)
        except Exception as crash:  # noqa: BLE001 - a fault of one connection must not end the others
            self.on_crash(crash)

    def _read_head(self, data: bytes) -> None:
        if self._closing is not None:
            return  # refused: what it still sends is ignored
        assert self._head is not None
        self._head += data
        self.last_received_s = self._owner.clock.now_s
        try:
            if self._has_request:
                handshake.check_early_bytes(self._head)
                self._owner.on_unfinished(self, len(self._head), is_new=False)
                return
            end = handshake.find_head_end(self._head, len(data))
            if end is None:
                self._owner.on_unfinished(self, len(self._head), is_new=False)
                return
            request = handshake.read_request(bytes(self._head[:end]))
            del self._head[:end]
            self._has_request = True
            self._owner.handle_handshake(self, request)
        except handshake.Refused as refused:
            self.send_http_answer(handshake.refusal_response(refused))

    def enter(
        self,
        actor: RoomPort,
        entrance: Entrance,
        answer: bytes,
        person: UserId | None = None,
        login: LoginId | None = None,
    ) -> None:
        """Open the WebSocket with `answer` and enter the room, as user `person` by their `login`."""
        early = self._open_websocket(answer)
        if self._ended:
            return
        self.member, self.room_id = entrance.member, actor.room_id
        self.person, self.login, self.is_listener = person, login, entrance.is_listener
        self.since, self.tempo = entrance.since, entrance.tempo
        self._actor = actor
        actor.tell(Join(self, entrance.member, person, entrance.since, entrance.tempo, entrance.is_listener))
        if early:
            self._read_frames(early)

    def move(self, room: RoomPort) -> None:
        """Go on in `room`, which is the same room in another place. Its caller says what the room is told."""
        if self._actor is not None:
            self._actor = room

    def change_role(self, *, is_listener: bool) -> None:
        """The user's role has changed: from now on the connection may change what is in the room, or may not."""
        if self._actor is not None and is_listener != self.is_listener:
            self.is_listener = is_listener
            self._actor.tell(ChangeRole(self, is_listener))

    def reject(self, answer: bytes, code: str, message: str) -> None:
        """Open the WebSocket only to send an error, because a browser cannot read a refused handshake."""
        early = self._open_websocket(answer + messages.error_frame(code, message))
        self.close(Closing(CloseCode.POLICY, code))
        if early and not self._ended:
            self._read_frames(early)

    def _open_websocket(self, answer: bytes) -> bytes:
        """Open the WebSocket with `answer`. Returns what the client has sent without waiting for it."""
        early, self._head = self._head, None
        self._owner.on_unfinished(self, 0, is_new=False)
        self.push(answer)
        return bytes(early or b"")

    def send_http_answer(self, data: bytes) -> None:
        """Send an HTTP answer instead of a WebSocket, and close."""
        self._send_last(data, Closing(CloseCode.POLICY))

    def leave(self, reason: str, *, is_final: bool) -> None:
        """Leave the room, if it is in one; unless it `is_final`, the member is waited for."""
        actor, self._actor = self._actor, None
        if actor is not None:
            actor.tell(Leave(self, reason, is_final))

    # Closing

    def close(self, closing: Closing) -> None:
        """Leave, send a close frame after what is queued, and wait a moment for the client's own.

        For a client that is too slow the frame replaces what is queued.
        """
        if self._closing is not None or self._ended:
            return
        if self._head is not None:  # no WebSocket yet
            self.send_http_answer(handshake.closing_response(closing))
            return
        self.leave(closing.word, is_final=closing.is_final)
        if closing.code is CloseCode.TOO_SLOW and self._send_buffer is not None:
            self._send_buffer.drop_unsent()
        self._send_last(frame(CLOSE, closing.payload()), closing)

    def give_up(self, closing: Closing) -> None:
        """Close, and drop at once what the client has not finished; nothing more is read from it."""
        if not self.is_open:
            self.end(LOST)
            return
        self._splitter.stop_parsing()
        if self._slow_path is not None:
            self._slow_path.give_up()
        if self._head is not None:
            self._head.clear()
        self.close(closing)

    def _send_last(self, last: bytes, closing: Closing) -> None:
        """Send `last`, and nothing after it."""
        self._closing = closing
        if self._send_buffer is None:
            self.push(last)
        else:
            self._send_buffer.add(last, 0, self._owner.clock.now_s)
        if self._ended:
            return
        self._owner.on_closing(self)
        if self._send_buffer is None:
            self._send_buffer = SendBuffer()
            self._finish_sending()

    def _finish_sending(self) -> None:
        """All is sent: end the stream, and wait for the client to do the same."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.end(LOST)

    def end(self, reason: str) -> None:
        """Close the socket, in any state. Only the first call counts."""
        if self._ended:
            return
        self._ended = True
        self._owner.on_end(self)
        self._sock.close()
        if self._slow_path is not None:
            self._slow_path.feed(b"")
        self.leave(reason, is_final=False)

    def detach_socket(self) -> tuple[socket.socket, bytes]:
        """Give the socket away, with what was read after the request's head. This connection has ended then."""
        early, self._head = bytes(self._head or b""), None
        self._ended = True
        self._owner.on_end(self)
        return self._sock, early

    def on_crash(self, crash: Exception) -> None:
        """A handler raised: close this connection, and only this one."""
        self._owner.on_crash(self, crash)
        self.close(Closing(CloseCode.INTERNAL_ERROR, "the connection failed here"))
