"""Messages: reading what clients send, and writing what the server sends (SPEC 5.2). Sans-IO.

A payload is never decoded here. It is relayed as the bytes that arrived, once it is known to be JSON within the limits
of `omnisonic.wire.json_limits`. A relayed message is put together from ready-made parts:
`relay_prefix(type) + payload + relay_suffix(sender) + offset + "}"`. Rooms keep the prefixes and suffixes.

Too large, too deep, or not JSON: the sender gets an `error`, and nothing is relayed. Longer than
`LARGEST_MESSAGE_BYTES`: the connection is closed (1009).
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId
from omnisonic.wire.frames import TEXT, frame
from omnisonic.wire.json_limits import DEPTH, check_digits, nesting_depth

MESSAGE_BYTES: Final = 65_536
"""A longer message is answered with an error and not relayed."""
LARGEST_MESSAGE_BYTES: Final = 1_048_576
"""A longer message closes the connection."""
TYPE_LENGTH: Final = 128
"""Most characters of a `type`."""
REPLY_ID_LENGTH: Final = 128
"""Most characters of an `id`."""
SHORT_MESSAGE_BYTES: Final = 2 * DEPTH + len('{"type":"","":}')
"""A shorter message cannot be nested too deep, so its depth is not checked."""

ReplyId: TypeAlias = str | int


class Envelope(msgspec.Struct, gc=False):
    """A message as a client sends it. `to` is a member id; `id` asks for an `ack`; `keep` asks to have it kept."""

    type: str
    payload: msgspec.Raw = msgspec.Raw(b"null")
    to: str | None = None
    id: str | int | None = None
    keep: bool = False


class PresenceSet(msgspec.Struct, rename="camel"):
    """The payload of `presence.set`. A field that is absent stays as it is."""

    status: str | None = None
    display_name: str | None = None


class Welcome(msgspec.Struct, rename="camel"):
    """The payload of `welcome`, except what `welcome_frame` adds from ready-made JSON.

    `offset` is the number of the message before the first one that follows.
    """

    room_id: RoomId
    member_id: MemberId
    ttl: int
    epoch: str
    offset: int
    server_time: int
    recovered: bool = False


class Leave(msgspec.Struct, rename="camel"):
    """The payload of `presence.leave`."""

    member_id: MemberId
    reason: str


class Error(msgspec.Struct, omit_defaults=True):
    """The payload of `error`: a stable code, a sentence, and the `id` of the message that failed, if it had one.

    `version` is what a key of the shared state has, with the code `state_conflict`.
    """

    code: str
    message: str
    id: ReplyId | None = None
    version: int | None = None


class Ack(msgspec.Struct):
    """The payload of `ack`: the `id` of a message that the room accepted, and its place in the room's order.

    `version` is what the key has got, for a `state.set`. `kept`: it is written down. `epoch` names the count of
    `offset` where it is not the room's count of now.
    """

    id: ReplyId
    offset: int
    version: int | msgspec.UnsetType = msgspec.UNSET
    kept: bool | msgspec.UnsetType = msgspec.UNSET
    epoch: str | msgspec.UnsetType = msgspec.UNSET


_encode: Final = msgspec.json.Encoder().encode
_decode_reply_id: Final = msgspec.json.Decoder(str | int).decode
_decode_presence: Final = msgspec.json.Decoder(PresenceSet).decode

decode: Final = msgspec.json.Decoder(Envelope).decode
"""Decode the envelope of a message shorter than `SHORT_MESSAGE_BYTES`.

Raises `msgspec.DecodeError`, which `omnisonic.wire.refusals.explain_decode_error` turns into a code and a sentence.
"""


def decode_long(text: bytes) -> Envelope:
    """Decode the envelope of a message of any length.

    Raises:
        msgspec.DecodeError: It is not JSON, or not an envelope.
        InvalidInput: `too_large`, `too_deep`, `invalid_number`, or `invalid_message` for an `id` that is too long.
    """
    if len(text) > MESSAGE_BYTES:
        raise too_large(len(text))
    if text.count(b"[") + text.count(b"{") > DEPTH and nesting_depth(text) > DEPTH:
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep")
    try:
        envelope = decode(text)
    except RecursionError:  # unbalanced brackets, thousands of them
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep") from None
    if envelope.id is not None and len(str(envelope.id)) > REPLY_ID_LENGTH:  # a short message has no room for it
        raise InvalidInput(f"id must have at most {REPLY_ID_LENGTH} characters.", code="invalid_message")
    check_digits(text)
    return envelope


def encode_envelope(envelope: Envelope) -> bytes:
    """Encode an envelope as the text that it is read from."""
    return _encode(envelope)


def too_large(size: int) -> InvalidInput:
    """The error for a client whose message has `size` bytes."""
    return InvalidInput(f"A message must be at most {MESSAGE_BYTES} bytes; this has {size}.", code="too_large")


def read_presence(payload: msgspec.Raw) -> PresenceSet:
    """Decode the payload of a `presence.set`.

    Raises:
        InvalidInput: `invalid_message`.
    """
    try:
        return _decode_presence(payload)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"This is no presence: {sentence_of(error)}", code="invalid_message") from None


def sentence_of(error: Exception) -> str:
    """What an exception says, with one full stop."""
    return str(error).rstrip(".") + "."


def relay_prefix(type_: str) -> bytes:
    """The part of a relayed message before its payload."""
    return b'{"type":' + _encode(type_) + b',"payload":'


def relay_suffix(sender: MemberId) -> bytes:
    """The part of a relayed message between its payload and its offset."""
    return b',"from":' + _encode(sender) + b',"offset":'


def directed_suffix(sender: MemberId) -> bytes:
    """The part of a message to one member after its payload. It has no place in the room's order, so no offset."""
    return b',"from":' + _encode(sender) + b"}"


def external_content(envelope: Envelope, offset: int) -> bytes:
    """The text of a message to everyone from outside the room; its `from` is null."""
    return _external_content(envelope, b',"from":null,"offset":%d}' % offset)


def directed_external_frame(envelope: Envelope) -> bytes:
    """A message to one member from outside the room; its `from` is null."""
    return frame(TEXT, _external_content(envelope, b',"from":null}'))


def _external_content(envelope: Envelope, suffix: bytes) -> bytes:
    return b"".join((relay_prefix(envelope.type), envelope.payload, suffix))


def _message(type_: bytes, payload: bytes) -> bytes:
    return frame(TEXT, b'{"type":"' + type_ + b'","payload":' + payload + b"}")


DEGRADED_FRAME: Final = _message(b"room.degraded", b"null")
RESTORED_FRAME: Final = _message(b"room.restored", b"null")


def member_line(member: Member) -> bytes:
    """A member as JSON, as in the payload of `presence.join` and in `welcome.members`."""
    return _encode(member)


def join_frame(line: bytes) -> bytes:
    """`presence.join` for the member with this `member_line`."""
    return _message(b"presence.join", line)


def update_frame(line: bytes) -> bytes:
    """`presence.update` for the member with this `member_line`."""
    return _message(b"presence.update", line)


def leave_frame(member_id: MemberId, reason: str) -> bytes:
    """`presence.leave`; `reason` is a word of the close table, or `expired` or `removed` for a lease."""
    return _message(b"presence.leave", _encode(Leave(member_id, reason)))


def welcome_frame(welcome: Welcome, member_lines: Sequence[bytes], state: bytes, transport: bytes) -> bytes:
    """`welcome`, with the `member_line` of everyone in the room, the newcomer included; the rest is JSON, too."""
    rest = (b',"members":[', b",".join(member_lines), b'],"state":', state, b',"transport":', transport, b"}")
    return _message(b"welcome", b"".join((_encode(welcome)[:-1], *rest)))


def heartbeat_frame(now_ms: int, echo: msgspec.Raw) -> bytes:
    """`heartbeat`: the server's clock in milliseconds since 1970, and what the client sent."""
    return _message(b"heartbeat", b'{"ts":%d,"echo":%b}' % (now_ms, bytes(echo)))


def ack_frame(reply_id: ReplyId, offset: int, version: int | None = None) -> bytes:
    """`ack`: the room accepted the message, and `offset` is its place in the room's order; `version` of a state."""
    return _message(b"ack", _encode(Ack(reply_id, offset, msgspec.UNSET if version is None else version)))


def kept_frame(client_id: str, offset: int, epoch: str | None = None) -> bytes:
    """`ack` for a message that is written down. `client_id` is its `id`, as JSON."""
    named = msgspec.UNSET if epoch is None else epoch
    return _message(b"ack", _encode(Ack(read_client_id(client_id), offset, kept=True, epoch=named)))


def client_id_of(reply_id: ReplyId) -> str:
    """The `id` of a message as JSON: unlike the `id` itself, it fits into any text column."""
    return _encode(reply_id).decode()


def read_client_id(client_id: str) -> ReplyId:
    """The `id` of a message, from what `client_id_of` made."""
    reply_id: ReplyId = _decode_reply_id(client_id)
    return reply_id


def identified_payload(envelope: Envelope) -> msgspec.Raw:
    """The payload of a kept message as it is relayed, with the `id` behind it: who hears it twice can tell."""
    return msgspec.Raw(b'%b,"id":%b' % (bytes(envelope.payload), _encode(envelope.id)))


def error_frame(code: str, message: str, reply_id: ReplyId | None = None, version: int | None = None) -> bytes:
    """`error`: a stable code and a sentence, with the `id` of the message that failed when it had one."""
    return _message(b"error", _encode(Error(code, message, reply_id, version)))


def binary_head(sender: MemberId) -> bytes:
    """The part of a relayed binary message before its bytes: the length of the sender's id in one byte, and the id."""
    name = sender.encode()
    return bytes((len(name),)) + name
