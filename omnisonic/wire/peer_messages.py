"""What gateways say to each other, in msgpack (SPEC 5.5, DESIGN 8). Sans-IO.

A room lives in one gateway, its *owner*. A gateway with members in it that is not the owner is an *edge* of the room.
Gateways send each other *packets*: a head that keeps the order (`omnisonic.actors.cluster.link`), and messages. A
message is encoded once, when it is sent, and copied into its packet.

Structs are arrays on the wire, so a new field goes to the end, with a default: then gateways of neighbouring versions
understand each other. A gateway that does not know a message cannot read its packet, and resets the link.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from omnisonic.models import Member, RoomId, UserId
from omnisonic.wire.frames import Frame
from omnisonic.wire.recovery import Position
from omnisonic.wire.transport import Tempo

ConnectionNumber: TypeAlias = int
"""A connection of the edge, as the edge counts them. Means nothing without the edge's name."""
Edit: TypeAlias = tuple[int, int, bytes]
"""Leave out the stream from one offset to another, and put these bytes there instead."""


class EdgeJoin(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Edge to owner: a connection enters as this member. The fields are those of the mailbox's `Join`."""

    room: RoomId
    conn: ConnectionNumber
    member: Member
    person: UserId | None = None
    since: Position | None = None
    tempo: Tempo | None = None
    is_listener: bool = False
    address: str | None = None
    is_rejoin: bool = False


class EdgeLeave(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Edge to owner: a connection has ended. The fields are those of the mailbox's `Leave`."""

    room: RoomId
    conn: ConnectionNumber
    reason: str
    is_final: bool = True


class EdgeRole(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """Edge to owner: whether a connection is a listener's from now on."""

    room: RoomId
    conn: ConnectionNumber
    is_listener: bool


class EdgeSaid(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """Edge to owner: the messages of one read of one connection. `number` rises with each that the edge sends."""

    room: RoomId
    conn: ConnectionNumber
    frames: list[Frame]
    number: int = 0


class OwnerTurn(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """Owner to edge: one turn of the room, for all connections of that edge.

    Attributes:
        room: The room.
        epoch: Names the count of `offset`.
        offset: The number of the last message that was relayed to all, after this turn.
        stream: What every connection gets that has no edits.
        edits: What differs from `stream`, by connection.
        opening: What newcomers get first: their `welcome`, and what they have missed.
        dismissed: The connections to close afterwards, with code and reason.
        taken: The number of the last `EdgeSaid` that the owner has taken from this edge.

    A connection is in the room from the turn on in whose `opening` it is.
    """

    room: RoomId
    epoch: str
    offset: int
    stream: bytes
    edits: dict[ConnectionNumber, list[Edit]] = {}
    opening: dict[ConnectionNumber, tuple[bytes, list[bytes]]] = {}
    dismissed: list[tuple[ConnectionNumber, int, str]] = []
    taken: int = 0


class OwnerPush(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """Owner to edge: whole frames for one connection."""

    room: RoomId
    conn: ConnectionNumber
    data: bytes


class OwnerClose(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """Owner to edge: close one connection with this code and reason."""

    room: RoomId
    conn: ConnectionNumber
    code: int
    reason: str = ""


class NotOwner(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    """Owner to edge: the room is not here. The edge claims it again."""

    room: RoomId


class Moving(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9):
    """Owner to edge: the owner has released the room. The edge claims it, or finds out who has.

    What the edge has sent with a higher number than `taken` was not handled.
    """

    room: RoomId
    taken: int = 0


class Beat(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """Both ways: nothing else was sent for a while. Links send and take it by themselves."""


class Ask(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=11):
    """Both ways: a question of an operator about a room of the receiver (`omnisonic.wire.inspection`).

    Attributes:
        id: Names the question. A number, and higher with each that the sender asks.
        what: The question. Empty: the asker wants no more answers to the question of this id.
        address: The address of the operator, for the log.
        proof: From `omnisonic.wire.peer_questions.prove`: the operator has shown the token that the receiver knows.
    """

    id: str
    what: bytes
    address: str = ""
    proof: bytes = b""


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=12):
    """Both ways: an answer to the `Ask` of this id. A question may have several. `more`: the rest of `body` follows."""

    id: str
    body: bytes
    more: bool = False


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=13):
    """Both ways: a part of an encoded message that is too large for one packet. Links make parts and join them.

    The parts of a message follow each other with nothing in between.
    """

    data: bytes
    is_last: bool


PeerMessage: TypeAlias = (
    EdgeJoin
    | EdgeLeave
    | EdgeRole
    | EdgeSaid
    | OwnerTurn
    | OwnerPush
    | OwnerClose
    | NotOwner
    | Moving
    | Beat
    | Ask
    | Answer
    | Part
)


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The beginning of a packet.

    Attributes:
        run: The sender: one run of one gateway.
        link: The sender's number for this link. Each time it begins anew it has a higher one.
        heard: The receiver's number for this link, as the sender heard it last; 0 when it has heard none.
        number: 1, 2, 3 … for the packets of a link; 0 for one without messages, which has no place in the order.
        acknowledged: The number of the last packet that the sender has received.
    """

    run: str
    link: int
    heard: int
    number: int
    acknowledged: int


class Packet(Head, frozen=True, array_like=True, gc=False):
    """A packet as it is received."""

    messages: list[PeerMessage]


class _EncodedPacket(Head, frozen=True, array_like=True, gc=False):
    messages: list[msgspec.Raw]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Packet).decode
_decode_message: Final[Callable[[bytes], PeerMessage]] = msgspec.msgpack.Decoder(PeerMessage).decode


def encode_message(message: PeerMessage) -> bytes:
    """Encode a message, for `encode_packet`."""
    return _encode(message)


def decode_message(data: bytes) -> PeerMessage:
    """Decode what `encode_message` made. Errors: `msgspec.DecodeError` when it is a message of a newer version."""
    try:
        return _decode_message(data)
    except UnicodeDecodeError as problem:
        raise msgspec.DecodeError(str(problem)) from problem


def encode_packet(head: Head, messages: Sequence[bytes]) -> bytes:
    """Encode a packet with these messages, each from `encode_message`."""
    raw = list(map(msgspec.Raw, messages))
    return _encode(_EncodedPacket(head.run, head.link, head.heard, head.number, head.acknowledged, raw))


def decode_packet(data: bytes) -> Packet:
    """Decode a packet. Errors: `msgspec.DecodeError` when it is not one, or has a message of a newer version."""
    try:
        return _decode(data)
    except UnicodeDecodeError as problem:
        raise msgspec.DecodeError(str(problem)) from problem
