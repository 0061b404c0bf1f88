"""The watch over time: what takes too long, and clients that have gone silent (SPEC 5.3, 5.4).

Handshakes, closes and unfinished messages take too long at some time; a client that says nothing is pinged, and closed
when it does not answer. Owned by the gateway and looked at a few times a second. It costs a dictionary entry a
connection and no task. Overload: each look handles what is due, and no more. After a standstill of the whole process
one look is left out: what clients have sent meanwhile has to be read first. Crash: the gateway's task that looks is
restarted. Shutdown: nothing to do.
"""

from dataclasses import dataclass
from typing import Final

from omnisonic.actors.connections.connection import LOST, Connection
from omnisonic.actors.connections.unfinished_messages import UnfinishedMessages
from omnisonic.actors.runtime.deadlines import Deadlines
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import PING, frame

PING_FRAME: Final = frame(PING, b"")
STANDSTILL_S: Final = 1.0
"""When the last look is longer ago, the process has stood still."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the gateway waits for what, in seconds."""

    handshake_s: float = 8.0
    """For a handshake: it is cut within 10 s, the watch's own pace included (RELIABILITY 19)."""
    message_s: float = 8.0
    """For the end of a message, from its first byte: within 10 s, as the handshake."""
    closing_s: float = 3.0
    """For a client's answer to a close."""
    ping_s: float = 20.0
    """For a silent client, from its last byte, before it is pinged."""
    pong_s: float = 15.0
    """For a sign of life after a ping."""


class Keepalive:
    """Which connection is due for what, and when. Times are on the loop's clock."""

    def __init__(self, timeouts: Timeouts, unfinished: UnfinishedMessages) -> None:
        self._timeouts = timeouts
        self._unfinished = unfinished
        self._handshakes: Deadlines[Connection] = Deadlines()
        self._closing: Deadlines[Connection] = Deadlines()
        self._silent: Deadlines[Connection] = Deadlines()
        self._pinged: Deadlines[Connection] = Deadlines()
        self._pinged_s: dict[Connection, float] = {}
        self._last_check_s: float | None = None

    def watch_handshake(self, connection: Connection, now_s: float) -> None:
        """It is new: its handshake must come soon."""
        self._handshakes.set(connection, now_s + self._timeouts.handshake_s)

    def watch_silence(self, connection: Connection) -> None:
        """Its handshake is done: it must not fall silent."""
        self._handshakes.discard(connection)
        self._silent.set(connection, connection.last_received_s + self._timeouts.ping_s)

    def note_unfinished(self, connection: Connection, size: int, now_s: float, *, is_new: bool) -> None:
        """It has begun something of which `size` bytes have come, or none when it has ended it."""
        self._unfinished.note(connection, size, now_s, is_new=is_new)

    def watch_closing(self, connection: Connection, now_s: float) -> None:
        """It is being closed: the client must answer soon."""
        self._forget(connection)
        self._closing.set(connection, now_s + self._timeouts.closing_s)

    def discard(self, connection: Connection) -> None:
        """It is gone, and due for nothing more."""
        self._forget(connection)
        self._closing.discard(connection)
        self._unfinished.discard(connection)

    def close_overdue(self, now_s: float) -> None:
        """Do what is due at `now_s`."""
        stood_still = self._last_check_s is not None and now_s - self._last_check_s > STANDSTILL_S
        self._last_check_s = None if stood_still else now_s
        if stood_still:
            return
        for connection in self._handshakes.take_due(now_s) + self._closing.take_due(now_s):
            connection.end(LOST)
        self._unfinished.close_overdue(now_s)
        for connection in self._pinged.take_due(now_s):
            if connection.last_received_s < self._pinged_s.pop(connection):
                connection.close(Closing(CloseCode.NO_PONG, "no answer to a ping"))
            else:
                self._silent.set(connection, connection.last_received_s + self._timeouts.ping_s)
        for connection in self._silent.take_due(now_s):
            due_s = connection.last_received_s + self._timeouts.ping_s
            if due_s > now_s:
                self._silent.set(connection, due_s)
            else:
                self._pinged_s[connection] = now_s
                self._pinged.set(connection, now_s + self._timeouts.pong_s)
                connection.push(PING_FRAME)

    def _forget(self, connection: Connection) -> None:
        for deadlines in (self._handshakes, self._silent, self._pinged):
            deadlines.discard(connection)
        self._pinged_s.pop(connection, None)
