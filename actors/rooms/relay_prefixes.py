"""The heads of relayed messages, made once for each type. Pure; shared by all rooms of a gateway."""

from typing import Final

from omnisonic.errors import InvalidInput
from omnisonic.wire import messages
from omnisonic.wire.message_types import HANDLED_TYPES, SERVER_TYPES, SIGNAL_PREFIX

KNOWN_TYPES: Final = 1024
"""Message types whose head is kept ready; there are few in any program, and this bounds a stranger's imagination."""


class RelayPrefixes(dict[str, bytes | None]):
    """The head of a relayed message by type, made once; None for the types that are not simply relayed.

    Errors: `InvalidInput` (`invalid_message`) for a type that is no name.
    """

    def __missing__(self, type_: str) -> bytes | None:
        if not 0 < len(type_) <= messages.TYPE_LENGTH:
            raise InvalidInput(f"type must have 1 to {messages.TYPE_LENGTH} characters.", code="invalid_message")
        if type_ in HANDLED_TYPES or type_ in SERVER_TYPES or type_.startswith(SIGNAL_PREFIX):
            made = None
        else:
            made = messages.relay_prefix(type_)
        if len(self) < KNOWN_TYPES:
            self[type_] = made
        return made
