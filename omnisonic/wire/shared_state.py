"""Messages about the state that a room's members share: `state.set` and `state.changed` (SPEC 5.2). Sans-IO."""

from typing import Any

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.models import MemberId
from omnisonic.wire.frames import TEXT, frame


class StateSet(msgspec.Struct, rename="camel"):
    """The payload of `state.set`. A `value` of null deletes the key.

    Attributes:
        key: The name of the value, 1 to 128 characters.
        value: Any JSON.
        if_version: Change it only if it has this version; 0: only if it is not there.
        ephemeral: The key is deleted when the member who set it leaves.
    """

    key: str
    value: msgspec.Raw
    if_version: int | None = None
    ephemeral: bool = False


class StateChanged(msgspec.Struct, rename="camel"):
    """The payload of `state.changed`. A `value` of null: the key was deleted. `by` is null when nobody here did it."""

    key: str
    value: Any
    version: int
    by: MemberId | None


class StateEntry(msgspec.Struct):
    """One value in `welcome.state`."""

    value: Any
    version: int
    by: MemberId | None


_decode = msgspec.json.Decoder(StateSet).decode
_encode = msgspec.json.Encoder().encode


def read_state_set(payload: msgspec.Raw) -> StateSet:
    """Decode the payload of a `state.set`.

    Raises:
        InvalidInput: `invalid_message`.
    """
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"This is no state.set: {str(error).rstrip('.')}.", code="invalid_message") from None


def state_changed_frame(key: str, value: bytes, version: int, by: MemberId | None) -> bytes:
    """`state.changed`; `value` is JSON."""
    payload = b'{"key":%b,"value":%b,"version":%d,"by":%b}' % (_encode(key), value, version, _encode(by))
    return frame(TEXT, b'{"type":"state.changed","payload":' + payload + b"}")


def state_entry_json(key: str, value: bytes, version: int, by: MemberId | None) -> bytes:
    """One key of `welcome.state`, as JSON: `"key":{"value":…,"version":…,"by":…}`."""
    return b'%b:{"value":%b,"version":%d,"by":%b}' % (_encode(key), value, version, _encode(by))
