"""What a program gets to see of a message, at either end: in a client, and in the hooks of a room (SPEC 5.2, 8)."""

import json
from typing import Any, Final

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.wire.messages import Envelope

UNREADABLE: Final = (ValueError, RecursionError)


class Message(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """One message, decoded. `payload` is what JSON makes of it; of a binary message the bytes, and its type is empty.

    `sender` is the `memberId` of who said it; None when it came from outside the room, or from the server itself.
    `offset` is its place in the room's order; None for what went to one member, or is no relayed text. `to` is whom it
    is for: only hooks see it.
    """

    type: str
    payload: Any = None
    sender: str | None = None
    offset: int | None = None
    to: str | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it is bytes, which came with little overhead."""
        return not self.type

    def replace(self, **changes: Any) -> "Message":
        """The same message but for `changes`: fields by their names."""
        return msgspec.structs.replace(self, **changes)


_decode: Final = msgspec.json.Decoder(Message).decode


def read_message(text: bytes) -> Message:
    """The message in a server's text. Errors: `ValueError` (`msgspec.DecodeError` is one) when it is none.

    Members may say what is JSON but fits no machine number, or no UTF-8: it is read as Python's `json` reads it.
    """
    try:
        return _decode(text)
    except UNREADABLE:
        fields = json.loads(text)
    return msgspec.convert(fields, Message)


def read_binary(data: bytes) -> Message:
    """The message in a server's bytes: `[1 byte: length of the name][sender][bytes]`. Errors: `ValueError`."""
    if not data or len(data) <= data[0]:
        raise ValueError("the sender's name is cut off")
    body = 1 + data[0]
    return Message("", data[body:], data[1:body].decode())


def message_of(envelope: Envelope, sender: str) -> Message:
    """What a member says, for the room's hooks. Errors: `InvalidInput` when its payload is nothing that Python has."""
    try:
        payload = msgspec.json.decode(envelope.payload)
    except UNREADABLE:
        raise InvalidInput("The payload holds what this room cannot read.", code="invalid_message") from None
    return Message(envelope.type, payload, sender, None, envelope.to)
