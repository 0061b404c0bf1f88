"""Reading and sending: what one client sends goes to its room, and what its room sends goes out (SPEC 5, DESIGN 2).

Plain calls, mostly by the poller; a connection has no task. Whole frames go straight to the room's actor. Fragments,
long frames and broken frames take the slow path through trio-websocket (`omnisonic.actors.connections.slow_path`).
Data is sent at once; what the kernel does not take waits in a send buffer, bounded in bytes.

Overload: a client that sends too fast gets an error, then is closed (4009); one that does not read is closed (4008).
What a client has begun and not ended is reported to the owner, who limits it for all connections together. Crash and
shutdown: see `omnisonic.actors.connections.connection`.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from omnisonic.actors.connections.connection import LOST, Connection, ConnectionOwner
from omnisonic.actors.connections.send_buffer import SendBuffer
from omnisonic.actors.rooms.mailbox import ClientMessages, busy_frames
from omnisonic.wire.closing import CloseCode, Closing, is_valid_close_body
from omnisonic.wire.frames import CLOSE, PING, PONG, Frame, frame
from omnisonic.wire.refusals import drop_frames

READ_BYTES: Final = 65_536
GOING_AWAY_CODE: Final = CloseCode.GOING_AWAY.to_bytes(2, "big")
REPLAY_BLOCK_BYTES: Final = 65_536
"""What a member has missed is sent in blocks of about this size, each put together when it is its turn."""
REPLAY_S: Final = 10.0
"""For a member who comes back, to read what they have missed."""
COST_BYTES: Final = 4096
"""A message costs one, and one more for each of these bytes: a long message is more work for everyone."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How fast one connection may send: a generic cell rate algorithm (ITU-T I.371, leaky bucket as a meter).

    A message costs `interval_s`; a sender may be `burst_s` ahead. 0 is no limit. One number for each connection, no
    timer.
    """

    interval_s: float
    burst_s: float

    @classmethod
    def of(cls, per_s: float, burst: int) -> "RateLimit":
        """`per_s` messages a second, `burst` of them at once; no limit when `per_s` is 0."""
        return cls(0.0, 0.0) if per_s == 0 else cls(1 / per_s, burst / per_s)


class SocketConnection(Connection):
    """A connection on its socket."""

    __slots__ = ("_full_at_s", "_limited", "_recv", "_send")

    def __init__(self, sock: socket.socket, address: str, owner: ConnectionOwner, now_s: float) -> None:
        super().__init__(sock, address, owner, now_s)
        self._send = sock.send
        self._recv = sock.recv
        self._full_at_s = 0.0
        self._limited = False

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

    def _read_frames(self, data: bytes) -> None:
        splitter, owner = self._splitter, self._owner
        frames, controls, unparsed = splitter.feed(data)
        actor, now_s, rate = self._actor, owner.clock.now_s, owner.rate
        self.last_received_s = now_s
        cost = len(frames) + len(controls) + len(data) // COST_BYTES
        if unparsed:
            cost += splitter.count_unparsed()  # a fragment is as much work as a message
        full_at_s = max(now_s, self._full_at_s)
        self._full_at_s = full_at_s = full_at_s + cost * rate.interval_s
        if actor is None:
            pass  # closing: only the client's own close still matters
        elif full_at_s - now_s > rate.burst_s:
            self._refuse_over_rate(frames, full_at_s - now_s > 2 * rate.burst_s)
        elif frames:
            self._limited = False
            if not actor.offer(ClientMessages(self, frames, len(data))):
                self.push(busy_frames(frames))
        if unparsed and self._actor is not None:
            self._enter_slow_path(unparsed)
        if controls:
            self._handle_control(controls)
        if splitter.has_unfinished:
            self._note_unfinished(is_new=bool(frames or controls) and not splitter.on_slow_path)

    def _note_unfinished(self, *, is_new: bool) -> None:
        """Tell the owner how much is unfinished now."""
        size = self._splitter.unfinished_bytes
        self._splitter.has_unfinished = size > 0
        if not self._ended:
            self._owner.on_unfinished(self, size, is_new=is_new)

    def _refuse_over_rate(self, frames: list[Frame], far: bool) -> None:
        if far:
            self.close(Closing(CloseCode.RATE_LIMIT, "sending faster than allowed"))
            return
        sentence = "You send faster than allowed: this message was dropped."
        if errors := drop_frames("rate_limited", sentence, frames, is_told=self._limited):
            self.push(errors)
        self._limited = True

    def _handle_control(self, controls: list[Frame]) -> None:
        for opcode, payload in controls:
            if opcode == PING:
                self.push(frame(PONG, payload))
            elif opcode == CLOSE:
                self._handle_client_close(payload)

    def _handle_client_close(self, body: bytes) -> None:
        if self._closing is None:
            if is_valid_close_body(body):
                is_break = body[:2] == GOING_AWAY_CODE  # a page that is loaded again, or a network that changes
                self.leave(LOST if is_break else "left", is_final=not is_break)
                self._send_last(frame(CLOSE, body[:2]), Closing(CloseCode.NORMAL))
            else:
                self.close(Closing(CloseCode.PROTOCOL_ERROR, "invalid close frame"))
        if self._send_buffer is None or self._send_buffer.size == 0:
            self.end(LOST)

    # The slow path, through trio-websocket

    def _enter_slow_path(self, unparsed: bytes) -> None:
        if self._slow_path is None:
            self._slow_path = self._owner.start_slow_path(self)
        self._slow_path.feed(unparsed)

    def receive_message(self, opcode: int, payload: bytes) -> None:
        """Handle a message that came through the slow path."""
        frames = [(opcode, payload)]
        if self._actor is not None and not self._actor.offer(ClientMessages(self, frames, len(payload))):
            self.push(busy_frames(frames))
        self._splitter.complete_unparsed()
        self._note_unfinished(is_new=True)

    def close_on_slow_path(self, close_frame: bytes, closing: Closing) -> None:
        """The slow path ends the connection with this frame: the client closed, or broke the protocol."""
        if self._closing is None:
            self.leave(closing.word, is_final=closing.is_final)
            self._send_last(close_frame, closing)

    # Sending

    def push(self, data: bytes) -> None:
        """Send whole frames now; what the kernel does not take waits in the send buffer."""
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

    def push_replay(self, parts: Sequence[bytes]) -> None:
        """Send what a member has missed. It does not count against the limit of the send buffer for `REPLAY_S`."""
        if not self.is_open:
            return
        is_first = self._send_buffer is None
        buffer = self._send_buffer = self._send_buffer or SendBuffer()
        begin = size = 0
        for end, part in enumerate(parts, 1):
            size += len(part)
            if size >= REPLAY_BLOCK_BYTES or end == len(parts):
                buffer.add_block(tuple(parts[begin:end]), size, self._owner.clock.now_s)
                begin, size = end, 0
        buffer.exempt()
        if not is_first:
            return  # what is in front of it waits for the socket
        try:
            is_empty = buffer.flush(self._send)
        except OSError:
            self.end(LOST)
            return
        if is_empty:
            self._send_buffer = None
        else:
            self._owner.set_writing(self, writing=True)

    def _queue(self, data: bytes) -> None:
        if self._closing is None and not self._ended and self._send_buffer is not None:
            self._send_buffer.add(data, 0, self._owner.clock.now_s)
            self._check_queue()

    def _check_queue(self) -> None:
        limit, buffer = self._owner.queue_bytes, self._send_buffer
        if buffer is None or not limit or buffer.size <= limit:
            return
        is_late = self._owner.clock.now_s - (buffer.since_s or 0.0) > REPLAY_S
        if is_late or buffer.size - buffer.exempt_bytes > limit:
            self.close(Closing(CloseCode.TOO_SLOW, "you do not read what the room says"))

    def on_writable(self) -> None:
        """Send what is in the send buffer."""
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
