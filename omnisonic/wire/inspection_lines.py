"""Parts of the answers of `/inspect`: one line for each room, member, task, gateway or dead letter. Sans-IO.

`omnisonic.wire.inspection` has the answers; docs/inspecting.md explains them to operators.
"""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["stuck", "restarting", "crashed", "hogged", "behind", "live", "quiet", "empty"]
"""`stuck`: its handler keeps the gateway busy now. `restarting`: it crashed and is being restarted. `crashed`: it
crashed in the last minute. `hogged`: its handler kept the gateway busy in the last minute. `behind`: more messages wait
than one turn handles. `live`: there was a message, a join or a leave in the last 10 s. `quiet`: there was none.
`empty`: it has no members."""


class Ended(msgspec.Struct, frozen=True, rename="camel"):
    """One earlier run of an actor: when it ended, and why."""

    at: datetime
    reason: str


class RoomLine(msgspec.Struct, frozen=True, rename="camel"):
    """A room. Rates are over the last 10 s, handler times over 128 of the last turns."""

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
    """A member. With `connected` false it is present over REST only, and has neither an address nor a queue."""

    member: str
    display_name: str
    status: str
    connected: bool
    address: str | None
    connected_s: float | None
    queued_bytes: int
    lag_s: float


class RoomDetail(msgspec.Struct, frozen=True, rename="camel"):
    """A room with its members and the last 8 of its earlier runs."""

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
    """A gateway. `answerMs` is how long its event loop took to answer. Totals are at most one second old."""

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
    """A dead letter. `payload` is the message itself as text, when the question asked for it."""

    letter: int
    room: str
    incarnation: int
    sender: str | None
    kind: str
    size: int
    reason: str
    at: datetime
    payload: str | None = None
