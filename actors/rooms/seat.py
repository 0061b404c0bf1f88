"""A seat in a room: a member, what holds the seat, and the parts of messages that name the member. Pure (SPEC 5.2).

Owned by the room's roster (`omnisonic.actors.rooms.roster`), which has the rules.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from omnisonic.models import Member, UserId
from omnisonic.wire.closing import Closing
from omnisonic.wire.messages import binary_head, directed_suffix, member_line, relay_suffix

PENDING_MESSAGES: Final = 64
PENDING_BYTES: Final = 65_536
"""What is kept for one member who is waited for."""


class ConnectionHandle(Protocol):
    """A connection as its room sees it. Nothing here waits or raises. Compared by identity."""

    @property
    def is_open(self) -> bool:
        """Whether what is pushed may still arrive."""
        ...

    def push(self, data: bytes) -> None:
        """Send whole frames, now or as soon as the kernel takes them. Dropped when it is not open."""
        ...

    def push_replay(self, parts: Sequence[bytes]) -> None:
        """Send what a member has missed, as `push`; the parts together are whole frames, and may be many."""
        ...

    def close(self, closing: Closing) -> None:
        """Send a close frame after what was pushed, and nothing after it. Only the first close counts."""
        ...


@dataclass(frozen=True, slots=True)
class Wait:
    """A member whose connection broke is waited for. `reason` is why; the others are told at `notice_at_s`."""

    until_s: float
    reason: str
    notice_at_s: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A seat, as it survives a crash of its room. `pending` are frames for a member who is waited for.

    `is_listener`: its connection changes nothing in the room. `has_lost`: frames that were kept for it are lost.
    """

    member: Member
    connection: ConnectionHandle | None
    lease_until_s: float | None
    person: UserId | None = None
    wait: Wait | None = None
    pending: tuple[bytes, ...] = ()
    is_listener: bool = False
    has_lost: bool = False


class Seat:
    """A member, what holds the seat, and the parts of messages that name the member, made once."""

    __slots__ = (
        "binary_head",
        "connection",
        "directed_suffix",
        "has_lost",
        "is_listener",
        "lease_until_s",
        "line",
        "member",
        "pending",
        "person",
        "relay_suffix",
        "takeovers",
        "wait",
    )

    def __init__(self, entry: Entry) -> None:
        self.connection = entry.connection
        self.lease_until_s = entry.lease_until_s
        self.person = entry.person
        self.wait = entry.wait
        self.pending = entry.pending
        self.is_listener = entry.is_listener
        self.has_lost = entry.has_lost
        self.takeovers: deque[float] | None = None
        """When other connections took over this seat while it was connected, the latest; None when none did."""
        self.relay_suffix = relay_suffix(entry.member.member_id)
        self.directed_suffix = directed_suffix(entry.member.member_id)
        self.binary_head = binary_head(entry.member.member_id)
        self.put(entry.member)

    def put(self, member: Member) -> None:
        """Show the member like this from now on."""
        self.member = member
        self.line = member_line(member)

    @property
    def is_reachable(self) -> bool:
        """Whether a message to the member arrives: they are connected, or waited for."""
        return self.connection is not None or self.wait is not None

    def keep(self, frame: bytes) -> bool:
        """Keep a frame for the member's return. False when there is no place for it."""
        if len(self.pending) >= PENDING_MESSAGES or sum(map(len, self.pending)) + len(frame) > PENDING_BYTES:
            return False
        self.pending = (*self.pending, frame)
        return True

    def take_pending(self) -> tuple[bytes, ...]:
        """Take out what was kept for the member, who is told what is lost."""
        pending, self.pending, self.has_lost = self.pending, (), False
        return pending

    def entry(self) -> Entry:
        held = self.connection, self.lease_until_s, self.person, self.wait
        return Entry(self.member, *held, self.pending, self.is_listener, self.has_lost)
