"""Time limits of connections: handshakes, silent clients, unfinished messages and closes (SPEC 5.3, 5.4).

A handshake, a close and an unfinished message have a time limit. A client that sends nothing is pinged, and closed when
it does not answer. Owned by the gateway, which calls `close_overdue` several times a second. A connection costs one
dictionary entry and no task.

`UnfinishedMessages` counts the bytes that clients have begun to send and not ended, wherever they are; it holds none.

Overload: each check handles what is due, and no more. Over the budget of unfinished bytes connections are closed until
a quarter of it is free again, beginning with the largest and oldest messages. After a standstill of the whole process
one check is skipped: what clients have sent meanwhile is read first. Crash: the gateway's timer task restarts.
Shutdown: nothing to do.
"""

import math
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from omnisonic.actors.connections.connection import LOST, Connection
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import PING, frame

PING_FRAME: Final = frame(PING, b"")
STANDSTILL_S: Final = 1.0
"""When the last check is longer ago than this, the process has stood still."""
PRECISION_S: Final = 0.1
UNFINISHED_BYTES: Final = 8_388_608
"""Budget for all unfinished messages together. On the slow path text takes up to four times its bytes."""
FREED_SHARE: Final = 0.25
"""The share of the budget that is freed when it is used up."""
WEIGHT_DOUBLES_S: Final = 2.0
"""After this time an unfinished message weighs twice its bytes, after twice the time three times, and so on."""

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Things with one deadline each. A thing is due up to `PRECISION_S` after its deadline, never before. Pure.

    Things due at about the same time are kept together, so every call costs the same however many things there are.
    """

    def __init__(self) -> None:
        self._slots: dict[int, dict[T, None]] = {}
        self._slot_of: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    def set(self, thing: T, due_s: float) -> None:
        """`thing` is due at `due_s`, whenever it was due before."""
        self.discard(thing)
        self._slot_of[thing] = slot = math.ceil(due_s / PRECISION_S)
        self._slots.setdefault(slot, {})[thing] = None

    def discard(self, thing: T) -> None:
        """Forget `thing`, if it is known."""
        slot = self._slot_of.pop(thing, None)
        if slot is not None:
            things = self._slots[slot]
            del things[thing]
            if not things:
                del self._slots[slot]

    def take_due(self, now_s: float) -> list[T]:
        """Remove and return everything that is due, in the order of the deadlines."""
        due: list[T] = []
        for slot in sorted(slot for slot in self._slots if slot * PRECISION_S <= now_s):
            due += self._slots.pop(slot)
        for thing in due:
            del self._slot_of[thing]
        return due


class UnfinishedMessages:
    """Which connection has begun a message or handshake, when, and how many bytes of it are here. `size` is the sum."""

    def __init__(self, within_s: float, budget_bytes: int = UNFINISHED_BYTES) -> None:
        self.size = 0
        self._within_s = within_s
        self._budget_bytes = budget_bytes
        self._begun: dict[Connection, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._begun)

    def note(self, sender: Connection, size: int, now_s: float, *, is_new: bool) -> None:
        """Record that `size` bytes of an unfinished message are here; 0 when it is whole. `is_new`: it just began."""
        begun_s, before = self._begun.get(sender, (now_s, 0))
        if size == 0 or is_new:
            self.discard(sender)
            begun_s, before = now_s, 0
        if size:
            self._begun[sender] = begun_s, size
            self.size += size - before
        if self.size > self._budget_bytes:
            self._free_budget(now_s)

    def discard(self, sender: Connection) -> None:
        """Forget it, if it is known."""
        self.size -= self._begun.pop(sender, (0.0, 0))[1]

    def close_overdue(self, now_s: float) -> None:
        """Close connections whose message was not finished in time."""
        while self._begun:
            oldest, (begun_s, _) = next(iter(self._begun.items()))
            if begun_s + self._within_s > now_s:
                return
            self._give_up(oldest, "a message was not finished in time")

    def _free_budget(self, now_s: float) -> None:
        def weight(sender: Connection) -> float:
            begun_s, size = self._begun[sender]
            return size * (1 + (now_s - begun_s) / WEIGHT_DOUBLES_S)

        for sender in sorted(self._begun, key=weight, reverse=True):
            if self.size <= self._budget_bytes * (1 - FREED_SHARE):
                return
            self._give_up(sender, "too many messages are unfinished here")

    def _give_up(self, sender: Connection, why: str) -> None:
        self.discard(sender)
        sender.give_up(Closing(CloseCode.TRY_AGAIN_LATER, why))


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the gateway waits, in seconds."""

    handshake_s: float = 8.0
    """For a handshake. It ends within 10 s, the interval of the checks included (RELIABILITY 19)."""
    message_s: float = 8.0
    """For the end of a message, from its first byte."""
    closing_s: float = 3.0
    """For a client's answer to a close."""
    ping_s: float = 20.0
    """For a silent client, from its last byte, before it is pinged."""
    pong_s: float = 15.0
    """For anything from the client after a ping."""


class Keepalive:
    """The deadlines of all connections. Times are on the loop's clock."""

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
        """It is new: its handshake must be done in time."""
        self._handshakes.set(connection, now_s + self._timeouts.handshake_s)

    def watch_silence(self, connection: Connection) -> None:
        """Its handshake is done: it is pinged when it is silent."""
        self._handshakes.discard(connection)
        self._silent.set(connection, connection.last_received_s + self._timeouts.ping_s)

    def note_unfinished(self, connection: Connection, size: int, now_s: float, *, is_new: bool) -> None:
        """It has `size` bytes of an unfinished message or handshake; 0 when it is whole."""
        self._unfinished.note(connection, size, now_s, is_new=is_new)

    def watch_closing(self, connection: Connection, now_s: float) -> None:
        """It is being closed: the client must answer in time."""
        self._forget(connection)
        self._closing.set(connection, now_s + self._timeouts.closing_s)

    def discard(self, connection: Connection) -> None:
        """It has ended: forget its deadlines."""
        self._forget(connection)
        self._closing.discard(connection)
        self._unfinished.discard(connection)

    def close_overdue(self, now_s: float) -> None:
        """Close or ping every connection that is due at `now_s`."""
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
