"""A room's mailbox: one queue in order of arrival, with two rules of admission (DESIGN 3).

Control mail (who comes, who goes, what the web side says) is never refused: it is little, and a room that missed some
of it would lie. Data (what members say) is refused at its limits, and the sender is told. Both wait in one queue,
because a member who says something and leaves must be heard first. `trace` in a letter is the trace of what happened
outside, which goes on in the room's turn.

Overload: data is refused. Crash: the mailbox outlives the room's state; the letter that killed it is set aside and
the rest of it is put back in front. Shutdown: what is left is dropped with the room.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import length_hint
from typing import Final, TypeAlias

from omnisonic.actors.rooms.roster import ConnectionHandle, Entry
from omnisonic.models import Member, MemberId, UserId
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.bus.events import Reply
from omnisonic.wire.closing import Closing
from omnisonic.wire.frames import Frame
from omnisonic.wire.messages import Envelope

DATA_FRAMES: Final = 16_384
"""Frames that may wait in one room: far more than a turn handles, far less than would hurt."""
DATA_BYTES: Final = 16_777_216
"""Bytes that may wait in one room."""


@dataclass(frozen=True, slots=True)
class Join:
    """A connection enters as this member. `person` is who that is, where people are known."""

    connection: ConnectionHandle
    member: Member
    person: UserId | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """A connection is gone. `reason` is a word of the close table."""

    connection: ConnectionHandle
    reason: str


@dataclass(frozen=True, slots=True)
class PutLease:
    """Somebody is present without a connection until `until_s` (the room's clock)."""

    member: Member
    until_s: float
    person: UserId | None = None
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class DropLease:
    """Somebody's lease is taken back, by `person`."""

    member_id: MemberId
    person: UserId | None = None
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class DropLeasesOf:
    """A person has no role here any more: all their leases are taken back."""

    person: UserId
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class SyncLeases:
    """These are all the leases there are, as the presence store tells it: any other has ended unseen."""

    leases: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Expire:
    """Look for leases that have run out."""


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Close everybody's connection, and take back every lease."""

    closing: Closing
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class ExternalMessage:
    """The web side says something into the room. `reply` is called with what became of it, or never: nobody is here."""

    envelope: Envelope
    reply: Callable[[Reply], None]
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come for what the room does by itself. `begun` is called when the room comes to it."""

    on_start: Callable[[], None]


Outside: TypeAlias = PutLease | DropLease | DropLeasesOf | Dismiss | ExternalMessage
"""What began outside the gateway."""
Control: TypeAlias = (
    Join | Leave | PutLease | DropLease | DropLeasesOf | SyncLeases | Expire | Dismiss | ExternalMessage | Tick
)


class ClientMessages:
    """What one read of one connection brought. The room consumes `rest`; what it crashes on is then `current`."""

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
    """The queue of one room. `queue` is open for a look; letters go in and out by the methods."""

    __slots__ = ("frames", "high_water", "queue", "size")

    def __init__(self) -> None:
        self.queue: deque[Mail] = deque()
        self.frames = 0
        self.size = 0
        self.high_water = 0

    def __len__(self) -> int:
        return len(self.queue)

    def tell(self, mail: Control) -> None:
        """Take control mail. Never refused."""
        self.queue.append(mail)

    def offer(self, said: ClientMessages) -> bool:
        """Take data. False when there is no room for it: nothing of it was taken."""
        frames = self.frames + len(said.frames)
        size = self.size + said.size
        if frames > DATA_FRAMES or size > DATA_BYTES:
            return False
        self.frames = frames
        self.size = size
        if frames > self.high_water:
            self.high_water = frames
        self.queue.append(said)
        return True

    def take(self) -> Mail:
        """The oldest letter. Errors: `IndexError` when there is none."""
        mail = self.queue.popleft()
        if type(mail) is ClientMessages:
            self.frames -= len(mail.frames)
            self.size -= mail.size
        return mail

    def put_back(self, said: ClientMessages) -> None:
        """Put what is left of a letter back in front, to be handled first."""
        rest = list(said.rest)
        if rest:
            left = ClientMessages(said.connection, rest, said.size)
            self.frames += len(rest)
            self.size += left.size
            self.queue.appendleft(left)
