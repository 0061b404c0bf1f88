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

from omnisonic.actors.connections.owner import Host
from omnisonic.actors.connections.rate_limit import COST_BYTES
from omnisonic.actors.connections.send_buffer import Outbox
from omnisonic.actors.connections.slow_path import Detour
from omnisonic.actors.rooms.actor import RoomCell
from omnisonic.actors.rooms.mailbox import Join, Leave, Said
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
        "_cell", "_closing", "_detour", "_ended", "_full_at_s", "_has_asked", "_head", "_host", "_limited", "_outbox",
        "_recv", "_send", "_sock", "_splitter", "address", "fd", "heard_s", "login", "member", "opened_s", "person",
        "room_id",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: str, host: Host, now_s: float) -> None:
        self.fd = sock.fileno()
        self.address = address
        self.heard_s = now_s
        self.member: Member | None = None
        self.room_id: RoomId | None = None
        self.person: UserId | None = None
        self.login: LoginId | None = None
        self.opened_s = now_s
        self._host = host
        self._sock = sock
        self._send = sock.send
        self._recv = sock.recv
        self._splitter = Splitter()
        self._head: bytearray | None = bytearray()
        self._has_asked = False
        self._outbox: Outbox | None = None
        self._cell: RoomCell | None = None
        self._detour: Detour | None = None
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
    def farewell(self) -> tuple[int, str]:
        """The code and the word that this connection ended with; 1006 when it was just gone (RFC 6455 7.1.5)."""
        return (1006, LOST) if self._closing is None else (self._closing.code, self._closing.word)

    @property
    def queued_bytes(self) -> int:
        """How much waits for the kernel to take it."""
        return 0 if self._outbox is None else self._outbox.size

    @property
    def queued_since_s(self) -> float | None:
        """When the oldest byte came that waits for the kernel to take it; None when none does."""
        return None if self._outbox is None else self._outbox.since_s

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
        self.heard_s = self._host.clock.now_s
        try:
            if self._has_asked:
                handshake.check_early(self._head)
                self._host.is_unfinished(self, len(self._head), is_new=False)
                return
            end = handshake.end_of_head(self._head, len(data))
            if end is None:
                self._host.is_unfinished(self, len(self._head), is_new=False)
                return
            request = handshake.read_request(bytes(self._head[:end]))
            del self._head[:end]
            self._has_asked = True
            self._host.greet(self, request)
        except handshake.Refused as refused:
            self.answer(handshake.refusal_answer(refused))

    def _read_frames(self, data: bytes) -> None:
        splitter, host = self._splitter, self._host
        frames, controls, odd = splitter.feed(data)
        cell, now_s, rate = self._cell, host.clock.now_s, host.rate
        self.heard_s = now_s
        cost = len(frames) + len(controls) + len(data) // COST_BYTES
        if odd:
            cost += splitter.count_odd()  # a fragment is as much work as a message
        full_at_s = max(now_s, self._full_at_s)
        self._full_at_s = full_at_s = full_at_s + cost * rate.interval_s
        if cell is None:
            pass  # closing: only the client's own close still matters
        elif full_at_s - now_s > rate.burst_s:
            self._over_rate(full_at_s - now_s > 2 * rate.burst_s)
        elif frames:
            self._limited = False
            if not cell.hear(Said(self, frames, len(data))):
                self._refuse_busy()
        if odd and self._cell is not None:
            self._take_detour(odd)
        if controls:
            self._control(controls)
        if splitter.is_behind:
            self._is_behind(is_new=bool(frames or controls) and not splitter.on_detour)

    def _is_behind(self, *, is_new: bool) -> None:
        """Something was unfinished, and may be still."""
        size = self._splitter.unfinished_bytes
        self._splitter.is_behind = size > 0
        if not self._ended:
            self._host.is_unfinished(self, size, is_new=is_new)

    def _refuse_busy(self) -> None:
        self.push(messages.error_frame("room_busy", "This room has more to do than it can; say it again later."))

    def _over_rate(self, far: bool) -> None:
        if far:
            self.close(Closing(CloseCode.RATE_LIMIT, "sending faster than allowed"))
        elif not self._limited:
            self._limited = True
            self.push(messages.error_frame("rate_limited", "You send faster than allowed: this message was dropped."))

    def _control(self, controls: list[Frame]) -> None:
        for opcode, payload in controls:
            if opcode == PING:
                self.push(frame(PONG, payload))
            elif opcode == CLOSE:
                self._closed_by_client(payload)

    def _closed_by_client(self, body: bytes) -> None:
        if self._closing is None:
            if is_valid_close_body(body):
                self.leave("left")
                self._seal(frame(CLOSE, body[:2]), Closing(CloseCode.NORMAL))
            else:
                self.close(Closing(CloseCode.PROTOCOL_ERROR, "invalid close frame"))
        if self._outbox is None or self._outbox.size == 0:
            self.end(LOST)

    # The detour over trio-websocket

    def _take_detour(self, odd: bytes) -> None:
        if self._detour is None:
            self._detour = self._host.start_detour(self)
        self._detour.feed(odd)

    def arrived(self, opcode: int, payload: bytes) -> None:
        """A message came through on the detour."""
        if self._cell is not None and not self._cell.hear(Said(self, [(opcode, payload)], len(payload))):
            self._refuse_busy()
        self._splitter.arrived()
        self._is_behind(is_new=True)

    def closed_on_detour(self, close_frame: bytes, closing: Closing) -> None:
        """The detour ends the connection, with this frame: the client closed there, or broke the protocol."""
        if self._closing is None:
            self.leave(closing.word)
            self._seal(close_frame, closing)

    # Writing

    def push(self, data: bytes) -> None:
        """Send whole frames now; what the kernel refuses waits."""
        if self._outbox is not None:
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
            self._outbox = Outbox()
            self._outbox.add(data, sent, self._host.clock.now_s)
            self._host.set_writing(self, writing=True)
            self._check_queue()

    def _queue(self, data: bytes) -> None:
        if self._closing is None and not self._ended and self._outbox is not None:
            self._outbox.add(data, 0, self._host.clock.now_s)
            self._check_queue()

    def _check_queue(self) -> None:
        limit = self._host.queue_bytes
        if limit and self.queued_bytes > limit:
            self.close(Closing(CloseCode.TOO_SLOW, "you do not read what the room says"))

    def on_writable(self) -> None:
        """Send what waited."""
        if self._outbox is None or self._ended:
            return
        try:
            empty = self._outbox.flush(self._send)
        except OSError:
            self.end(LOST)
            return
        if not empty:
            return
        self._host.set_writing(self, writing=False)
        if self._closing is None:
            self._outbox = None
        else:
            self._finish_sending()

    # Entering and leaving

    def enter(
        self, cell: RoomCell, member: Member, answer: bytes, person: UserId | None = None, login: LoginId | None = None
    ) -> None:
        """Open the WebSocket with `answer` and take this member's seat in the room, as `person` by their `login`."""
        early = self._open(answer)
        if self._ended:
            return
        self.member, self.room_id = member, cell.room_id
        self.person, self.login = person, login
        self._cell = cell
        cell.tell(Join(self, member, person))
        if early:
            self._read_frames(early)

    def turn_away(self, answer: bytes, code: str, message: str) -> None:
        """Open the WebSocket only to say what is wrong, for a browser cannot read a refused handshake."""
        early = self._open(answer + messages.error_frame(code, message))
        self.close(Closing(CloseCode.POLICY, code))
        if early and not self._ended:
            self._read_frames(early)

    def _open(self, answer: bytes) -> bytes:
        """Open the WebSocket with `answer`; what the client sent without waiting for it."""
        early, self._head = self._head, None
        self._host.is_unfinished(self, 0, is_new=False)
        self.push(answer)
        return bytes(early or b"")

    def answer(self, data: bytes) -> None:
        """Send an HTTP answer instead of a WebSocket, and close."""
        self._seal(data, Closing(CloseCode.POLICY))

    def leave(self, reason: str) -> None:
        """Give up the seat, if there is one."""
        cell, self._cell = self._cell, None
        if cell is not None:
            cell.tell(Leave(self, reason))

    # Closing

    def close(self, closing: Closing) -> None:
        """Leave, send a close frame after what is queued, and wait a moment for the client's own.

        For a client that is too slow the frame takes the place of what is queued.
        """
        if self._closing is not None or self._ended:
            return
        if self._head is not None:  # no WebSocket yet
            self.answer(handshake.closing_answer(closing))
            return
        self.leave(closing.word)
        if closing.code is CloseCode.TOO_SLOW and self._outbox is not None:
            self._outbox.cut()
        self._seal(frame(CLOSE, closing.payload()), closing)

    def give_up(self, closing: Closing) -> None:
        """Close, and drop at once what the client has not finished; it is not heard any more."""
        if not self.is_open:
            self.end(LOST)
            return
        self._splitter.give_up()
        if self._detour is not None:
            self._detour.give_up()
        if self._head is not None:
            self._head.clear()
        self.close(closing)

    def _seal(self, last: bytes, closing: Closing) -> None:
        """Send `last`, and nothing after it."""
        self._closing = closing
        if self._outbox is None:
            self.push(last)
        else:
            self._outbox.add(last, 0, self._host.clock.now_s)
        if self._ended:
            return
        self._host.is_closing(self)
        if self._outbox is None:
            self._outbox = Outbox()
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
        self._host.has_ended(self)
        self._sock.close()
        if self._detour is not None:
            self._detour.feed(b"")
        self.leave(reason)

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """Give the socket away, with what was read after the request's head. This is no connection any more."""
        early, self._head = bytes(self._head or b""), None
        self._ended = True
        self._host.has_ended(self)
        return self._sock, early

    def on_crash(self, crash: Exception) -> None:
        """A handler raised: this client pays for it, and only this one."""
        self._host.has_crashed(self, crash)
        self.close(Closing(CloseCode.INTERNAL_ERROR, "the connection failed here"))
