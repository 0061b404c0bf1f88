"""A message with its payload decoded, as programs see it: in the client, and in the hooks of a room (SPEC 5.2, 8).

The server relays payloads without decoding them (`omnisonic.wire.messages`). Only what a program reads is decoded,
here. Sans-IO.
"""

import json
from typing import Any, Final

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.wire.messages import Envelope, ReplyId

UNREADABLE: Final = (ValueError, RecursionError)
"""What decoding raises. `msgspec.DecodeError` and `UnicodeDecodeError` are `ValueError`s."""


class Message(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """One message, decoded.

    Args:
        type: The type; empty for a binary message.
        payload: Python's value of the JSON; of a binary message, the bytes.
        sender: `memberId` of the sender; None when it came from outside the room, or from the server itself.
        offset: Its place in the room's order; None for a binary message, and for one that went to a single member.
        to: `memberId` of the only receiver. Set in hooks only.
        id: The `id` of its sender. Set in a kept message that a client receives. After a `kill -9` of the gateway the
            same message can come again, with the same `sender` and `id`.
    """

    type: str
    payload: Any = None
    sender: str | None = None
    offset: int | None = None
    to: str | None = None
    id: ReplyId | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it came as a binary message, without JSON."""
        return not self.type

    def replace(self, **changes: Any) -> "Message":
        """Return a copy with some fields changed, named as here."""
        return msgspec.structs.replace(self, **changes)


_decode: Final = msgspec.json.Decoder(Message).decode


def read_message(text: bytes) -> Message:
    """Decode a text message of the server.

    Members may send JSON that msgspec cannot represent, such as very large integers or lone surrogates. Python's
    `json` reads those.

    Raises:
        ValueError: It is not a message.
        RecursionError: It is nested deeper than Python can read.
    """
    try:
        return _decode(text)
    except UNREADABLE:
        fields = json.loads(text)
    return msgspec.convert(fields, Message)


def read_binary(data: bytes) -> Message:
    """Decode a binary message of the server: one byte with the length of the sender's name, the name, the bytes.

    Raises:
        ValueError: The name is cut off, or not UTF-8.
    """
    if not data or len(data) <= data[0]:
        raise ValueError("the sender's name is cut off")
    body = 1 + data[0]
    return Message("", data[body:], data[1:body].decode())


def message_from_envelope(envelope: Envelope, sender: str) -> Message:
    """Decode what the member `sender` sent, for the hooks of a room.

    Raises:
        InvalidInput: `invalid_message`: Python has no value for the payload.
    """
    try:
        payload = msgspec.json.decode(envelope.payload)
    except UNREADABLE:
        raise InvalidInput("The payload holds what this room cannot read.", code="invalid_message") from None
    return Message(envelope.type, payload, sender, None, envelope.to)
