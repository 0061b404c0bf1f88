"""Messages, sans-IO: reading a client's envelope, and writing the server's (SPEC 5.2).

A payload goes on as the bytes it came as, once it is known to be JSON of a decent depth (and its numbers to be good,
`omnisonic.wire.numbers`). A relayed message is written as `head(type) + payload + tail(from) + offset + "}"`, whose
parts are made once and kept.
"""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId
from omnisonic.wire.frames import TEXT, Frame, frame
from omnisonic.wire.numbers import STRINGS, check_digits, no_double

MESSAGE_BYTES: Final = 65_536
"""A longer message is answered with an error and not relayed."""
LARGEST_MESSAGE_BYTES: Final = 1_048_576
"""A longer message closes the connection."""
DEPTH: Final = 64
"""Arrays and objects may be nested this deep."""
TYPE_LENGTH: Final = 128
REPLY_ID_LENGTH: Final = 128
PLAIN_BYTES: Final = 2 * DEPTH + len('{"type":"","":}')
"""A shorter message cannot be nested too deep, so nobody needs to look."""

ReplyId: TypeAlias = str | int


class Envelope(msgspec.Struct, gc=False):
    """What a client says. `to` is a member id; `id` asks for an `ack`."""

    type: str
    payload: msgspec.Raw = msgspec.Raw(b"null")
    to: str | None = None
    id: str | int | None = None


class PresenceSet(msgspec.Struct, rename="camel"):
    """The payload of `presence.set`: what is absent stays as it is."""

    status: str | None = None
    display_name: str | None = None


class Welcome(msgspec.Struct, rename="camel"):
    """The payload of `welcome`, but for `members`, which is written from ready-made lines."""

    room_id: RoomId
    member_id: MemberId
    ttl: int
    epoch: str
    offset: int
    server_time: int
    transport: None = None
    recovered: bool = False


class Leave(msgspec.Struct, rename="camel"):
    """The payload of `presence.leave`."""

    member_id: MemberId
    reason: str


class Error(msgspec.Struct, omit_defaults=True):
    """The payload of `error`: a stable code, a sentence, and the `id` of the message it is about, if it had one."""

    code: str
    message: str
    id: ReplyId | None = None


class Ack(msgspec.Struct):
    """The payload of `ack`: the `id` of a message that was taken, and its place in the room's order."""

    id: ReplyId
    offset: int


_encode: Final = msgspec.json.Encoder().encode
_decode_presence: Final = msgspec.json.Decoder(PresenceSet).decode


decode: Final = msgspec.json.Decoder(Envelope).decode
"""The envelope in a message of at most `PLAIN_BYTES`. Errors: `msgspec.DecodeError`, which `refusal` explains."""


def decode_long(text: bytes) -> Envelope:
    """The envelope in a message of any length. Errors: as `decode`, and `InvalidInput`."""
    if len(text) > MESSAGE_BYTES:
        raise too_large(len(text))
    if text.count(b"[") + text.count(b"{") > DEPTH and depth(text) > DEPTH:
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep")
    try:
        envelope = decode(text)
    except RecursionError:  # unbalanced brackets, thousands of them
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep") from None
    if envelope.id is not None and len(str(envelope.id)) > REPLY_ID_LENGTH:  # it does not fit into a short message
        raise InvalidInput(f"id must have at most {REPLY_ID_LENGTH} characters.", code="invalid_message")
    check_digits(text)
    return envelope


def reply_id_in(frame_: Frame) -> ReplyId | None:
    """The `id` that a client gave a message, None without one or when the message cannot be read."""
    opcode, text = frame_
    if opcode != TEXT:
        return None
    try:
        return decode_long(text).id
    except (msgspec.DecodeError, InvalidInput):
        return None


def written(envelope: Envelope) -> bytes:
    """The envelope as the text it is read from."""
    return _encode(envelope)


def refusal(wrong: msgspec.DecodeError, text: bytes) -> InvalidInput:
    """What to tell a client whose message `text` could not be decoded: `invalid_message` or `invalid_json`."""
    if _HALF.search(_WHOLE.sub(b" ", text)):
        return InvalidInput(
            "This message has half a character: \\ud800 to \\udfff are halves, and two make one.", code="invalid_json"
        )
    if isinstance(wrong, msgspec.ValidationError):
        return InvalidInput(f"This is not a message: {_plainly(wrong)}", code="invalid_message")
    return InvalidInput(f"This is not JSON: {_plainly(wrong)}", code="invalid_json")


def too_large(size: int) -> InvalidInput:
    """What to tell a client whose message has `size` bytes."""
    return InvalidInput(f"A message must be at most {MESSAGE_BYTES} bytes; this has {size}.", code="too_large")


def read_presence(payload: msgspec.Raw) -> PresenceSet:
    """The payload of a `presence.set`. Errors: `InvalidInput` (`invalid_message`)."""
    try:
        return _decode_presence(payload)
    except msgspec.DecodeError as wrong:
        raise InvalidInput(f"This is no presence: {_plainly(wrong)}", code="invalid_message") from None


def _plainly(wrong: Exception) -> str:
    return str(wrong).rstrip(".") + "."


_WHOLE: Final = re.compile(rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
"""A backslash that begins nothing, and a character that is written in two halves."""
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))


def depth(text: bytes) -> int:
    """How deep arrays and objects are nested in `text`, or `DEPTH + 1` when it is more than `DEPTH`.

    Takes one pass over the brackets for each level, each at the speed of `bytes.replace`: at most `DEPTH` passes.
    """
    brackets = STRINGS.sub(b"", text).translate(_BRACKETS, _NO_BRACKET)
    level = 0
    while brackets and level <= DEPTH:
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break  # not balanced, which the decoder will say better
        brackets, level = shorter, level + 1
    return level


def relay_prefix(type_: str) -> bytes:
    """What comes before the payload of a relayed message."""
    return b'{"type":' + _encode(type_) + b',"payload":'


def relay_suffix(sender: MemberId) -> bytes:
    """What comes between the payload and the offset of a relayed message."""
    return b',"from":' + _encode(sender) + b',"offset":'


def directed_suffix(sender: MemberId) -> bytes:
    """The end of a message to one member: it has no place in the room's order, so it carries no offset."""
    return b',"from":' + _encode(sender) + b"}"


def outside_frame(envelope: Envelope, offset: int) -> bytes:
    """What was said to everyone from outside the room: nobody in it is the sender."""
    return _outside(envelope, b',"from":null,"offset":%d}' % offset)


def directed_outside_frame(envelope: Envelope) -> bytes:
    """What was said to one member from outside the room."""
    return _outside(envelope, b',"from":null}')


def _outside(envelope: Envelope, end: bytes) -> bytes:
    return frame(TEXT, b"".join((relay_prefix(envelope.type), envelope.payload, end)))


def _message(type_: bytes, payload: bytes) -> bytes:
    return frame(TEXT, b'{"type":"' + type_ + b'","payload":' + payload + b"}")


def member_line(member: Member) -> bytes:
    """A member as JSON, as in the payload of `presence.join` and in `welcome.members`."""
    return _encode(member)


def join_frame(line: bytes) -> bytes:
    """`presence.join` for the member of this `member_line`."""
    return _message(b"presence.join", line)


def update_frame(line: bytes) -> bytes:
    """`presence.update` for the member of this `member_line`."""
    return _message(b"presence.update", line)


def leave_frame(member_id: MemberId, reason: str) -> bytes:
    """`presence.leave`; `reason` is a word of the close table, or `expired` or `removed` for a lease."""
    return _message(b"presence.leave", _encode(Leave(member_id, reason)))


def welcome_frame(welcome: Welcome, member_lines: Sequence[bytes]) -> bytes:
    """`welcome`, with everyone who is there, the newcomer included."""
    return _message(b"welcome", _encode(welcome)[:-1] + b',"members":[' + b",".join(member_lines) + b"]}")


def heartbeat_frame(now_ms: int, echo: msgspec.Raw) -> bytes:
    """`heartbeat`: the server's clock in milliseconds since 1970, and what the client sent, for its clock offset."""
    return _message(b"heartbeat", b'{"ts":%d,"echo":%b}' % (now_ms, bytes(echo)))


def ack_frame(reply_id: ReplyId, offset: int) -> bytes:
    """`ack`: the message was taken, and this is its place in the room's order."""
    return _message(b"ack", _encode(Ack(reply_id, offset)))


def error_frame(code: str, message: str, reply_id: ReplyId | None = None) -> bytes:
    """`error`: a stable code and a sentence, with the `id` of the message it is about when it had one."""
    return _message(b"error", _encode(Error(code, message, reply_id)))


def refused_frame(wrong: msgspec.DecodeError | InvalidInput, text: bytes) -> bytes:
    """`error` for a message that `decode`, `decode_long` or `parse` did not take."""
    if isinstance(wrong, InvalidInput) and wrong.code != no_double().code:
        return error_frame(wrong.code, wrong.message)
    try:
        reply_id = decode(text).id
    except msgspec.DecodeError as unread:
        told, reply_id = refusal(unread, text), None
    else:
        told = no_double()
    return error_frame(told.code, told.message, reply_id)


def binary_head(sender: MemberId) -> bytes:
    """What comes before a relayed binary message: one byte of length, and the sender's id in UTF-8."""
    name = sender.encode()
    return bytes((len(name),)) + name
