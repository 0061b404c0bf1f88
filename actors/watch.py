"""The watch over time: handshakes and closes that take too long, and clients that have gone silent (SPEC 5.3).

Owned by the gateway and looked at a few times a second. It costs a dictionary entry a connection and no task. Overload:
each look handles what is due, and no more. Crash: the gateway's task that looks is restarted. Shutdown: nothing to do.
"""

from dataclasses import dataclass
from typing import Final

from omnisonic.actors.connection import LOST, Connection
from omnisonic.actors.timeouts import Timeouts
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import PING, frame

PING_FRAME: Final = frame(PING, b"")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the gateway waits for what, in seconds."""

    greeting_s: float = 8.0
    """For a handshake: it is cut within 10 s, the watch's own pace included (RELIABILITY 19)."""
    closing_s: float = 3.0
    """For a client's answer to a close."""
    ping_s: float = 20.0
    """For a silent client, before it is pinged."""
    pong_s: float = 15.0
    """For a sign of life after a ping."""


class Watch:
    """Which connection is due for what, and when."""

    def __init__(self, patience: Patience) -> None:
        self._greeting: Timeouts[Connection] = Timeouts(patience.greeting_s)
        self._closing: Timeouts[Connection] = Timeouts(patience.closing_s)
        self._quiet: Timeouts[Connection] = Timeouts(patience.ping_s)
        self._pinged: Timeouts[Connection] = Timeouts(patience.pong_s)

    def greets(self, connection: Connection, now_s: float) -> None:
        """It is new: its handshake must come soon."""
        self._greeting.add(connection, now_s)

    def is_in(self, connection: Connection, now_s: float) -> None:
        """Its handshake is done: it must not fall silent."""
        self._greeting.discard(connection)
        self._quiet.add(connection, now_s)

    def closes(self, connection: Connection, now_s: float) -> None:
        """It is being closed: the client must answer soon."""
        self.ended(connection)
        self._closing.add(connection, now_s)

    def ended(self, connection: Connection) -> None:
        """It is gone, and due for nothing more."""
        for timeouts in (self._greeting, self._closing, self._quiet, self._pinged):
            timeouts.discard(connection)

    def look(self, now_s: float) -> None:
        """Do what is due at `now_s`."""
        for connection in self._greeting.take_due(now_s) + self._closing.take_due(now_s):
            connection.end(LOST)
        for connection in self._pinged.take_due(now_s):
            if connection.heard:
                self._quiet.add(connection, now_s)
            else:
                connection.close(Closing(CloseCode.NO_PONG, "no answer to a ping"))
        for connection in self._quiet.take_due(now_s):
            if connection.heard:
                self._quiet.add(connection, now_s)
            else:
                self._pinged.add(connection, now_s)
                connection.push(PING_FRAME)
            connection.heard = False
