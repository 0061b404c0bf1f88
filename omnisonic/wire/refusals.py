"""Refusals: the errors for messages that are dropped, each with the `id` that its sender waits for (SPEC 5.2). Sans-IO.

What cannot be read as a message may still have an `id` to read. Nothing here raises, whatever bytes a client sends: a
message that is dropped is dropped before anybody has looked whether it is UTF-8.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.models.names import has_halves
from omnisonic.wire.frames import TEXT, Frame
from omnisonic.wire.json_limits import invalid_number
from omnisonic.wire.messages import REPLY_ID_LENGTH, ReplyId, decode, decode_long, error_frame, sentence_of

_SURROGATE_PAIR: Final = re.compile(rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
"""An escaped backslash, or a character that is escaped as two surrogates."""
_NOT_READ: Final = frozenset({"too_large", "too_deep"})
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""What msgspec raises for bytes that are no message, or not UTF-8."""
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class _Identified(msgspec.Struct, gc=False):
    """The `id` of what is no message otherwise."""

    id: str | int | None = None


_decode_identified: Final = msgspec.json.Decoder(_Identified).decode


def read_reply_id(frame_: Frame) -> ReplyId | None:
    """The `id` of a client's message; None without one, or when the message cannot be read."""
    opcode, text = frame_
    if opcode != TEXT:
        return None
    try:
        return decode_long(text).id
    except (*_UNREADABLE, InvalidInput):
        return None


def explain_decode_error(error: msgspec.DecodeError | UnicodeDecodeError, text: bytes) -> InvalidInput:
    """The code and sentence for a client whose message `text` could not be decoded.

    Returns:
        `invalid_json`, also for half a surrogate pair, which other parsers may refuse (RFC 8259 8.2);
        `invalid_message` for JSON that is not an envelope.
    """
    if _SURROGATE.search(_SURROGATE_PAIR.sub(b" ", text)):
        return InvalidInput(
            "This message has half a character: \\ud800 to \\udfff are halves, and two make one.", code="invalid_json"
        )
    if isinstance(error, msgspec.ValidationError):
        return InvalidInput(f"This is not a message: {sentence_of(error)}", code="invalid_message")
    return InvalidInput(f"This is not JSON: {sentence_of(error)}", code="invalid_json")


def drop_frames(code: str, message: str, frames: Sequence[Frame], *, is_told: bool = False) -> bytes:
    """An `error` for each of these messages that has an `id`, and one for the others: all of them are dropped.

    `is_told`: the sender knows about messages without an `id`.
    """
    ids = [read_reply_id(each) for each in frames]
    errors = [error_frame(code, message, reply_id) for reply_id in ids if reply_id is not None]
    if not is_told and len(errors) < max(1, len(ids)):
        errors.append(error_frame(code, message))
    return b"".join(errors)


def refusal_frame(error: msgspec.DecodeError | InvalidInput, text: bytes) -> bytes:
    """`error` for the message `text`, from what `decode`, `decode_long` or `parse_json` raised, or for its `type`.

    It has the `id` of the message where there is one to read, because its sender may wait for the answer. A message
    that is too large or too deep is not read.
    """
    if isinstance(error, InvalidInput):
        reply_id = None if error.code in _NOT_READ else _find_reply_id(text)
        return error_frame(error.code, error.message, reply_id)
    try:
        decode(text)
    except _UNREADABLE as decode_error:
        explained = explain_decode_error(decode_error, text)
    else:
        explained = invalid_number()  # nothing else is wrong
    return error_frame(explained.code, explained.message, _find_reply_id(text))


def _find_reply_id(text: bytes) -> ReplyId | None:
    """The `id` in what is no message, such as one with half a character, which only Python's `json` reads.

    `text` has at most `MESSAGE_BYTES`. Takes a few milliseconds at most.
    """
    reply_id: object
    try:
        reply_id = _decode_identified(text).id
    except (*_UNREADABLE, RecursionError):
        try:
            fields = json.loads(text.decode())
        except (ValueError, RecursionError):
            return None
        reply_id = fields.get("id") if isinstance(fields, dict) else None
    if not isinstance(reply_id, str | int) or isinstance(reply_id, bool) or len(str(reply_id)) > REPLY_ID_LENGTH:
        return None
    return None if isinstance(reply_id, str) and has_halves(reply_id) else reply_id
