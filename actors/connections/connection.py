"""A connection: one client's socket from its first byte to its last (SPEC 5, DESIGN 2).

It greets (the opening handshake), is in one room, and closes; all of it as plain calls, mostly the poller's, without a
task. What a client sends before it is let in waits in `_head`, and is bounded like a request's head.
Whole frames go straight to the room's cell; what the splitter finds odd goes to trio-websocket on a detour (`detour`).
Writing is at once; what the kernel refuses waits in an outbox with a limit in bytes. What a client has begun and not
ended is told to the host, who has a limit for all of them together.

Overload: a client that sends too fast is told, then closed (4009); one that does not read is closed (4008). Crash: what
a handler raises closes this connection with 1011. Shutdown: the gateway closes it with 1001. However it ends, its room
is told once.
"""

import socket
from typing import Final

from omnisonic.actors.connections.owner import ConnectionOwner
from omnisonic.actors.connections.rate_limit import COST_BYTES
from omnisonic.actors.connections.send_buffer import SendBuffer
from omnisonic.actors.connections.slow_path import SlowPath
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import ClientMessages, Join, Leave
from omnisonic.models import LoginId, Member, RoomId, UserId
from omnisonic.wire import handshake, messages
from omnisonic.wire.closing import CloseCode, Closing, is_valid_close_body
from omnisonic.wire.frames import CLOSE, PING, PONG, Frame, Splitter, frame

READ_BYTES: Final = 65_536
LOST: Final = "lost"
"""Why somebody left whose connection ended without a close frame."""


class Connection:
    """One client. `heard_s` is when the last byte came from it."""

    __slots__ = (
        "_actor",
        "_closing",
        "_ended",
        "_full_at_s",
        "_has_request",
        "_head",
        "_limited",
        "_owner",
        "_recv",
        "_send",
        "_send_buffer",
        "_slow_path",
        "_sock",
        "_splitter",
        "address",
        "fd",
        "last_received_s",
        "login",
        "member",
        "opened_s",
        "person",
        "room_id",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: str, owner: ConnectionOwner, now_s: float) -> None:
        self.fd = sock.fileno()
        self.address = address
        self.last_received_s = now_s
        self.member: Member | None = None
        self.room_id: RoomId | None = None
        self.person: UserId | None = None
        self.login: LoginId | None = None
        self.opened_s = now_s
        self._owner = owner
        self._sock = sock
        self._send = sock.send
        self._recv = sock.recv
        self._splitter = Splitter()
        self._head: bytearray | None = bytearray()
        self._has_request = False
        self._send_buffer: SendBuffer | None = None
        self._actor: RoomActor | None = None
        self._slow_path: SlowPath | None = None
        self._closing: Closing | None = None
        self._ended = False
        self._full_at_s = 0.0
        self._limited = False

    @property
    def is_open(self) -> bool:
        return self._closing is None and not self._ended

    @property
    def closing(self) -> Closing | None:
        """Why this end closed the connection, once it did."""
        return self._closing

    @property
    def close_info(self) -> tuple[int, str]:
        """The code and the word that this connection ended with; 1006 when it was just gone (RFC 6455 7.1.5)."""
        return (1006, LOST) if self._closing is None else (self._closing.code, self._closing.word)

    @property
    def queued_bytes(self) -> int:
        """How much waits for the kernel to take it."""
        return 0 if self._send_buffer is None else self._send_buffer.size

    @property
    def queued_since_s(self) -> float | None:
        """When the oldest byte came that waits for the kernel to take it; None when none does."""
        return None if self._send_buffer is None else self._send_buffer.since_s

    # Reading

    def on_readable(self) -> None:
        """Read once."""
        try:
            data = self._recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.end(LOST)
            return
        if self._head is not None:
            self._read_head(data)
        else:
            self._read_frames(data)

    def _read_head(self, data: bytes) -> None:
        if self._closing is not None:
            return  # refused: whatever it still says, nobody listens
        assert self._head is not None
        self._head += data
        self.last_received_s = self._owner.clock.now_s
        try:
            if self._has_request:
                handshake.check_early(self._head)
                self._owner.on_unfinished(self, len(self._head), is_new=False)
                return
            end = handshake.end_of_head(self._head, len(data))
            if end is None:
                self._owner.on_unfinished(self, len(self._head), is_new=False)
                return
            request = handshake.read_request(bytes(self._head[:end]))
            del self._head[:end]
            self._has_request = True
            self._owner.handle_handshake(self, request)
        except handshake.Refused as refused:
            self.send_http_answer(handshake.refusal_answer(refused))

    def _read_frames(self, data: bytes) -> None:
        splitter, owner = self._splitter, self._owner
        frames, controls, odd = splitter.feed(data)
        actor, now_s, rate = self._actor, owner.clock.now_s, owner.rate
        self.last_received_s = now_s
        cost = len(frames) + len(controls) + len(data) // COST_BYTES
        if odd:
            cost += splitter.count_unparsed()  # a fragment is as much work as a message
        full_at_s = max(now_s, self._full_at_s)
        self._full_at_s = full_at_s = full_at_s + cost * rate.interval_s
        if actor is None:
            pass  # closing: only the client's own close still matters
        elif full_at_s - now_s > rate.burst_s:
            self._refuse_over_rate(full_at_s - now_s > 2 * rate.burst_s)
        elif frames:
            self._limited = False
            if not actor.offer(ClientMessages(self, frames, len(data))):
                self._refuse_busy()
        if odd and self._actor is not None:
            self._enter_slow_path(odd)
        if controls:
            self._handle_control(controls)
        if splitter.is_behind:
            self._note_unfinished(is_new=bool(frames or controls) and not splitter.on_slow_path)

    def _note_unfinished(self, *, is_new: bool) -> None:
        """Something was unfinished, and may be still."""
        size = self._splitter.unfinished_bytes
        self._splitter.is_behind = size > 0
        if not self._ended:
            self._owner.on_unfinished(self, size, is_new=is_new)

    def _refuse_busy(self) -> None:
        self.push(messages.error_frame("room_busy", "This room has more to do than it can; say it again later."))

    def _refuse_over_rate(self, far: bool) -> None:
        if far:
            self.close(Closing(CloseCode.RATE_LIMIT, "sending faster than allowed"))
        elif not self._limited:
            self._limited = True
            self.push(messages.error_frame("rate_limited", "You send faster than allowed: this message was dropped."))

    def _handle_control(self, controls: list[Frame]) -> None:
        for opcode, payload in controls:
            if opcode == PING:
                self.push(frame(PONG, payload))
            elif opcode == CLOSE:
                self._handle_client_close(payload)

    def _handle_client_close(self, body: bytes) -> None:
        if self._closing is None:
            if is_valid_close_body(body):
                self.leave("left")
                self._send_last(frame(CLOSE, body[:2]), Closing(CloseCode.NORMAL))
            else:
                self.close(Closing(CloseCode.PROTOCOL_ERROR, "invalid close frame"))
        if self._send_buffer is None or self._send_buffer.size == 0:
            self.end(LOST)

    # The detour over trio-websocket

    def _enter_slow_path(self, odd: bytes) -> None:
        if self._slow_path is None:
            self._slow_path = self._owner.start_slow_path(self)
        self._slow_path.feed(odd)

    def receive_message(self, opcode: int, payload: bytes) -> None:
        """A message came through on the detour."""
        if self._actor is not None and not self._actor.offer(ClientMessages(self, [(opcode, payload)], len(payload))):
            self._refuse_busy()
        self._splitter.arrived()
        self._note_unfinished(is_new=True)

    def close_on_slow_path(self, close_frame: bytes, closing: Closing) -> None:
        """The detour ends the connection, with this frame: the client closed there, or broke the protocol."""
        if self._closing is None:
            self.leave(closing.word)
            self._send_last(close_frame, closing)

    # Writing

    def push(self, data: bytes) -> None:
        """Send whole frames now; what the kernel refuses waits."""
        if self._send_buffer is not None:
            self._queue(data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.end(LOST)
            return
        if sent != len(data):
            self._send_buffer = SendBuffer()
            self._send_buffer.add(data, sent, self._owner.clock.now_s)
            self._owner.set_writing(self, writing=True)
            self._check_queue()

    def _queue(self, data: bytes) -> None:
        if self._closing is None and not self._ended and self._send_buffer is not None:
            self._send_buffer.add(data, 0, self._owner.clock.now_s)
            self._check_queue()

    def _check_queue(self) -> None:
        limit = self._owner.queue_bytes
        if limit and self.queued_bytes > limit:
            self.close(Closing(CloseCode.TOO_SLOW, "you do not read what the room says"))

    def on_writable(self) -> None:
        """Send what waited."""
        if self._send_buffer is None or self._ended:
            return
        try:
            empty = self._send_buffer.flush(self._send)
        except OSError:
            self.end(LOST)
            return
        if not empty:
            return
        self._owner.set_writing(self, writing=False)
        if self._closing is None:
            self._send_buffer = None
        else:
            self._finish_sending()

    # Entering and leaving

    def enter(
        self,
        actor: RoomActor,
        member: Member,
        answer: bytes,
        person: UserId | None = None,
        login: LoginId | None = None,
    ) -> None:
        """Open the WebSocket with `answer` and take this member's seat in the room, as `person` by their `login`."""
        early = self._open_websocket(answer)
        if self._ended:
            return
        self.member, self.room_id = member, actor.room_id
        self.person, self.login = person, login
        self._actor = actor
        actor.tell(Join(self, member, person))
        if early:
            self._read_frames(early)

    def reject(self, answer: bytes, code: str, message: str) -> None:
        """Open the WebSocket only to say what is wrong, for a browser cannot read a refused handshake."""
        early = self._open_websocket(answer + messages.error_frame(code, message))
        self.close(Closing(CloseCode.POLICY, code))
        if early and not self._ended:
            self._read_frames(early)

    def _open_websocket(self, answer: bytes) -> bytes:
        """Open the WebSocket with `answer`; what the client sent without waiting for it."""
        early, self._head = self._head, None
        self._owner.on_unfinished(self, 0, is_new=False)
        self.push(answer)
        return bytes(early or b"")

    def send_http_answer(self, data: bytes) -> None:
        """Send an HTTP answer instead of a WebSocket, and close."""
        self._send_last(data, Closing(CloseCode.POLICY))

    def leave(self, reason: str) -> None:
        """Give up the seat, if there is one."""
        actor, self._actor = self._actor, None
        if actor is not None:
            actor.tell(Leave(self, reason))

    # Closing

    def close(self, closing: Closing) -> None:
        """Leave, send a close frame after what is queued, and wait a moment for the client's own.

        For a client that is too slow the frame takes the place of what is queued.
        """
        if self._closing is not None or self._ended:
            return
        if self._head is not None:  # no WebSocket yet
            self.send_http_answer(handshake.closing_answer(closing))
            return
        self.leave(closing.word)
        if closing.code is CloseCode.TOO_SLOW and self._send_buffer is not None:
            self._send_buffer.drop_unsent()
        self._send_last(frame(CLOSE, closing.payload()), closing)

    def give_up(self, closing: Closing) -> None:
        """Close, and drop at once what the client has not finished; it is not heard any more."""
        if not self.is_open:
            self.end(LOST)
            return
        self._splitter.give_up()
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
        """All is sent: let the client see the end, and wait for its own."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.end(LOST)

    def end(self, reason: str) -> None:
        """Let go of the socket, whatever state it is in. Only the first call counts."""
        if self._ended:
            return
        self._ended = True
        self._owner.on_end(self)
        self._sock.close()
        if self._slow_path is not None:
            self._slow_path.feed(b"")
        self.leave(reason)

    def detach_socket(self) -> tuple[socket.socket, bytes]:
        """Give the socket away, with what was read after the request's head. This is no connection any more."""
        early, self._head = bytes(self._head or b""), None
        self._ended = True
        self._owner.on_end(self)
        return self._sock, early

    def on_crash(self, crash: Exception) -> None:
        """A handler raised: this client pays for it, and only this one."""
        self._owner.on_crash(self, crash)
        self.close(Closing(CloseCode.INTERNAL_ERROR, "the connection failed here"))
