"""A room's mailbox: one queue in order of arrival, with two rules for what it takes (DESIGN 3).

Control mail (joins, leaves, leases, what the web side sends) is never refused: there is little of it, and the roster
would be wrong without it. Client messages are refused at the limits, and their sender gets an error. Both are in one
queue, so that a member's last message is handled before their leave. `trace` is the trace of what happened outside; it
continues in the room's turn.

Overload: client messages are refused. Crash: the mailbox survives the room's state; the message that crashed it is
taken out, the rest is put back in front. Shutdown: what is left is dropped with the room.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import length_hint
from typing import Final, NamedTuple, TypeAlias

from omnisonic.actors.rooms.seat import ConnectionHandle, Entry
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, UserId
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.bus.events import Reply
from omnisonic.studio.messages import Kept
from omnisonic.wire.closing import Closing
from omnisonic.wire.frames import Frame
from omnisonic.wire.messages import Envelope
from omnisonic.wire.recovery import Position
from omnisonic.wire.refusals import drop_frames
from omnisonic.wire.transport import Tempo

DATA_FRAMES: Final = 16_384
"""Frames that may wait in one room: far more than one turn handles."""
DATA_BYTES: Final = 16_777_216
"""Bytes that may wait in one room."""


@dataclass(frozen=True, slots=True)
class Join:
    """A connection enters as this member, who has seen everything up to `since`.

    `person` is the user, if known; `tempo` that of the room's session, if it has one. `is_listener`: they change
    nothing here. `is_rejoin`: the connection was in the room before, which has moved, or was cut off from here.
    """

    connection: ConnectionHandle
    member: Member
    person: UserId | None = None
    since: Position | None = None
    tempo: Tempo | None = None
    is_listener: bool = False
    is_rejoin: bool = False


@dataclass(frozen=True, slots=True)
class ChangeStanding:
    """Whether this gateway owns the room has changed: see `omnisonic.actors.rooms.standing`."""


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """Whether a connection is a listener's from now on."""

    connection: ConnectionHandle
    is_listener: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """A connection has ended. `reason` is a word of the close table; `is_final`: the member is not waited for.

    Otherwise they are waited for at least `wait_s`, even in a room that waits for nobody.
    """

    connection: ConnectionHandle
    reason: str
    is_final: bool = True
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PutLease:
    """A member is present without a connection until `until_s` (the room's clock)."""

    member: Member
    until_s: float
    person: UserId | None = None
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class DropLease:
    """A member's lease ends; `person` ended it."""

    member_id: MemberId
    person: UserId | None = None
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class DropLeasesOf:
    """A user has no role here any more: all their leases end, and none of their members is waited for."""

    person: UserId
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class SyncLeases:
    """All leases that the presence store has for this room: any other lease has ended."""

    leases: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Expire:
    """End the leases and waits that have run out."""


@dataclass(frozen=True, slots=True)
class Remove:
    """An operator removes a member who is not connected."""

    member_id: MemberId
    reason: str


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Close every connection, and end every lease. `ends_room`: what the room remembers is nobody's any more."""

    closing: Closing
    trace: Trace | None = None
    ends_room: bool = False


@dataclass(frozen=True, slots=True)
class ExternalMessage:
    """The web side sends a message into the room. `reply` gets the outcome; it is not called when nobody is here."""

    envelope: Envelope
    reply: Callable[[Reply], None]
    trace: Trace | None = None


class KeepResult(NamedTuple):
    """What became of a message that `member_id` wanted kept, under the `id` that they gave it, as JSON."""

    member_id: MemberId
    client_id: str
    outcome: Kept | InvalidInput


@dataclass(frozen=True, slots=True)
class KeepResults:
    """Messages of this room are committed, or cannot be kept."""

    results: tuple[KeepResult, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """The room's timer is due. `on_start` is called when the room begins to handle it."""

    on_start: Callable[[], None]


Outside: TypeAlias = PutLease | DropLease | DropLeasesOf | Dismiss | ExternalMessage
"""What began outside the gateway."""
Control: TypeAlias = (
    Join
    | ChangeStanding
    | ChangeRole
    | Leave
    | PutLease
    | DropLease
    | DropLeasesOf
    | SyncLeases
    | Expire
    | Remove
    | Dismiss
    | ExternalMessage
    | KeepResults
    | Tick
)


class ClientMessages:
    """The messages of one read of one connection. The room consumes `rest`; after a crash `current` caused it."""

    __slots__ = ("connection", "frames", "rest", "size")

    def __init__(self, connection: ConnectionHandle, frames: list[Frame], size: int) -> None:
        self.connection = connection
        self.frames = frames
        self.rest: Iterator[Frame] = iter(frames)
        self.size = size

    @property
    def waiting(self) -> int:
        """How many frames the room has not begun to handle."""
        return length_hint(self.rest)

    @property
    def current(self) -> Frame:
        """The frame that was begun last."""
        return self.frames[len(self.frames) - self.waiting - 1]


Mail: TypeAlias = ClientMessages | Control


class Mailbox:
    """The queue of one room. `queue` may be read; mail goes in and out by the methods."""

    __slots__ = ("frames", "high_water", "queue", "size")

    def __init__(self) -> None:
        self.queue: deque[Mail] = deque()
        self.frames = 0
        self.size = 0
        self.high_water = 0

    def __len__(self) -> int:
        return len(self.queue)

    def tell(self, mail: Control) -> None:
        """Take control mail. Never refused. A change of the standing goes in front: all that waits is handled by it."""
        if type(mail) is ChangeStanding:
            self.queue.appendleft(mail)
        else:
            self.queue.append(mail)

    def offer(self, messages: ClientMessages) -> bool:
        """Take client messages. False when they do not fit: then none of them was taken."""
        frames = self.frames + len(messages.frames)
        size = self.size + messages.size
        if frames > DATA_FRAMES or size > DATA_BYTES:
            return False
        self.frames = frames
        self.size = size
        if frames > self.high_water:
            self.high_water = frames
        self.queue.append(messages)
        return True

    def take(self) -> Mail:
        """Take out the oldest mail. Errors: `IndexError` when there is none."""
        mail = self.queue.popleft()
        if type(mail) is ClientMessages:
            self.frames -= len(mail.frames)
            self.size -= mail.size
        return mail

    def put_back(self, messages: ClientMessages) -> None:
        """Put the frames that were not begun back in front, to be handled first."""
        rest = list(messages.rest)
        if rest:
            left = ClientMessages(messages.connection, rest, messages.size)
            self.frames += len(rest)
            self.size += left.size
            self.queue.appendleft(left)


def busy_frames(frames: Sequence[Frame]) -> bytes:
    """What the sender of messages gets that a mailbox did not take."""
    return drop_frames("room_busy", "This room has more to do than it can; say it again later.", frames)
