"""Parts of the answers of `/inspect`: one line for each room, member, task, gateway or dead letter. Sans-IO.

`omnisonic.wire.inspection` has the answers; docs/inspecting.md explains them to operators.
"""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from omnisonic.wire.transport import Transport

State: TypeAlias = Literal[
    "stuck",
    "restarting",
    "crashed",
    "hogged",
    "degraded",
    "behind",
    "live",
    "quiet",
    "waiting",
    "empty",
    "edge",
]
"""`stuck`: its handler keeps the gateway busy now. `restarting`: it crashed and is being restarted. `crashed`: it
crashed in the last minute. `hogged`: its handler kept the gateway busy in the last minute. `degraded`: it may have
another owner, so nothing is acknowledged (`room.degraded`). `behind`: more messages wait
than one turn handles. `live`: there was a message, a join or a leave in the last 10 s. `quiet`: there was none.
`waiting`: the connections of all its members broke, and it waits for them. `empty`: it has no members. `edge`: another
gateway owns it, and this one has members in it."""
PeerLinkState: TypeAlias = Literal["open", "silent", "opening", "idle"]
HeldBy: TypeAlias = Literal["connection", "wait", "lease"]
"""What holds a member's seat: a connection, a wait after the connection broke, or a presence that was set over REST."""


class Ended(msgspec.Struct, frozen=True, rename="camel"):
    """One earlier run of an actor: when it ended, and why."""

    at: datetime
    reason: str


class RoomLine(msgspec.Struct, frozen=True, rename="camel"):
    """A room. Rates are over the last 10 s, handler times over 128 of the last turns.

    `owner` is the gateway that owns the room, when that is another one. Then only the members who are connected here,
    and the messages of theirs that wait, are known.
    """

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
    owner: str | None = None


def sparse_line(
    room: str, state: State, note: str, *, members: int = 0, mailbox: int = 0, owner: str | None = None
) -> RoomLine:
    """The line of a room of which not more than this is known."""
    return RoomLine(
        room=room,
        incarnation=0,
        state=state,
        note=note,
        members=members,
        mailbox=mailbox,
        mailbox_high_water=mailbox,
        messages=0,
        messages_per_s=0.0,
        deliveries=0,
        deliveries_per_s=0.0,
        handler_p50_ms=0.0,
        handler_p99_ms=0.0,
        restarts=0,
        dead_letters=0,
        queued_bytes=0,
        lag_s=0.0,
        uptime_s=0.0,
        owner=owner,
    )


class MemberLine(msgspec.Struct, frozen=True, rename="camel"):
    """A member. Without a connection it has neither an address nor a queue.

    `until` is when a wait or a lease ends, and `reason` why the connection of a member who is waited for ended. `kept`
    messages, of `kept_bytes`, were sent to that member alone, and wait for their return.
    """

    member: str
    display_name: str
    status: str
    connected: bool
    held_by: HeldBy
    address: str | None
    connected_s: float | None
    queued_bytes: int
    lag_s: float
    until: datetime | None
    reason: str | None
    kept: int
    kept_bytes: int


class HistoryLine(msgspec.Struct, frozen=True, rename="camel"):
    """The messages that a room remembers. `first_offset` and `age_s`, of the oldest, are None when there is none."""

    messages: int
    size_bytes: int
    first_offset: int | None
    last_offset: int
    age_s: float | None


class RoomDetail(msgspec.Struct, frozen=True, rename="camel"):
    """A room with its members and the last 8 of its earlier runs. `beat` is where its transport is now."""

    line: RoomLine
    epoch: str
    offset: int
    history: HistoryLine
    state_keys: int
    state_bytes: int
    transport: Transport
    beat: float
    mailbox_letters: int
    mailbox_bytes: int
    members: tuple[MemberLine, ...]
    ended: tuple[Ended, ...]
    last_hog_at: datetime | None
    last_hog_s: float | None


class ChildLine(msgspec.Struct, frozen=True, rename="camel"):
    """A supervised task of the gateway: `running`, `restarting`, `ended` or `failed`. `silent`: a worker that does not
    answer.
    """

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


class PeerLine(msgspec.Struct, frozen=True, rename="camel"):
    """The link of a gateway with another one, `peer`, which is known by its `run`.

    `open`: it was heard. `silent`: it is needed, and was not heard for 1.5 s. `opening`: it is needed, and has not
    answered yet. `idle`: nobody needs it.

    `heard_s`: so long ago it was heard. `lag_s`: so long the oldest message has waited to be sent. `resets` are losses.
    """

    peer: str
    run: str
    state: PeerLinkState
    heard_s: float
    lag_s: float
    sent_messages: int
    sent_bytes: int
    received_messages: int
    received_bytes: int
    resets: int


class ClusterLine(msgspec.Struct, frozen=True, rename="camel"):
    """A gateway in its cluster, with its links. `hasLease`: it may own rooms now."""

    gateway: str
    run: str
    has_lease: bool
    rooms_owned: int
    edge_rooms: int
    remote_members: int
    rejoins: int
    peers: tuple[PeerLine, ...]


class LetterLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A dead letter. `payload` is the message itself as text, when the question asked for it.

    `replayed`: it was sent to its room again, and cannot be once more.
    """

    letter: int
    room: str
    incarnation: int
    sender: str | None
    kind: str
    size: int
    reason: str
    at: datetime
    payload: str | None = None
    replayed: bool = False
