"""What `/inspect` tells of rooms, members, tasks, gateways and dead letters: a line each (docs/inspecting.md)."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["stuck", "restarting", "crashed", "hogged", "behind", "live", "quiet", "empty"]
"""`stuck`: its handler keeps the gateway busy now; `restarting`: it crashed and comes back; `crashed`, `hogged`: it did
in the last minute; `behind`: more waits than one turn handles; `live`: something was said, or somebody came or went,
in the last 10 s; `quiet`: nothing of that; `empty`: nobody is in it."""


class Ended(msgspec.Struct, frozen=True, rename="camel"):
    """One life of an actor that ended, and why."""

    at: datetime
    reason: str


class RoomLine(msgspec.Struct, frozen=True, rename="camel"):
    """A room in a row. Rates are over the last 10 s, handler times over 128 of the last turns."""

    room: str
    incarnation: int
    state: State
    note: str
    members: int
    mailbox: int
    mailbox_high_water: int
    messages: int
    messages_per_s: float
    deliveries: int
    deliveries_per_s: float
    handler_p50_ms: float
    handler_p99_ms: float
    restarts: int
    dead_letters: int
    queued_bytes: int
    lag_s: float
    uptime_s: float


class MemberLine(msgspec.Struct, frozen=True, rename="camel"):
    """A member. Without a connection here (`connected` false: a lease) there is neither address nor queue."""

    member: str
    display_name: str
    status: str
    connected: bool
    address: str | None
    connected_s: float | None
    queued_bytes: int
    lag_s: float


class RoomDetail(msgspec.Struct, frozen=True, rename="camel"):
    """A room as it is, with its members and what became of its earlier lives (the last 8)."""

    line: RoomLine
    epoch: str
    offset: int
    mailbox_letters: int
    mailbox_bytes: int
    members: tuple[MemberLine, ...]
    ended: tuple[Ended, ...]
    last_hog_at: datetime | None
    last_hog_s: float | None


class ChildLine(msgspec.Struct, frozen=True, rename="camel"):
    """A supervised task of the gateway: `running`, `restarting`, `ended` or `failed`."""

    name: str
    state: str
    note: str
    uptime_s: float
    restarts: int
    ended: tuple[Ended, ...]


class ClosedRoom(msgspec.Struct, frozen=True, rename="camel"):
    """A room that crashed too often and was closed."""

    room: str
    at: datetime
    reason: str


class GatewayLine(msgspec.Struct, frozen=True, rename="camel"):
    """A gateway in a row. `answerMs` is how long its loop took to answer; totals are at most a second old."""

    name: str
    pid: int
    version: str
    uptime_s: float
    connections: int
    rooms: int
    members: int
    messages: int
    messages_per_s: float
    deliveries: int
    deliveries_per_s: float
    restarts: int
    dead_letters: int
    inspectors: int
    answer_ms: float = 0.0


class LetterLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A dead letter. `payload` is the message itself as text, when it was asked for."""

    letter: int
    room: str
    incarnation: int
    sender: str | None
    kind: str
    size: int
    reason: str
    at: datetime
    payload: str | None = None
