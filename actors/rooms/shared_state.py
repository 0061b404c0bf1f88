"""The state that a room's members share: a small map with versions. Pure (SPEC 5.2, DESIGN 7).

Owned by the room's actor, which keeps it when the room crashes. A version is never used twice in a room, so a
conditional write cannot take a new value for an old one. Overload: what does not fit is refused, and nothing changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from omnisonic.errors import InvalidInput
from omnisonic.models import ID_LENGTH, MemberId
from omnisonic.models.names import has_controls
from omnisonic.wire.shared_state import StateSet, state_changed_frame, state_entry_json

KEYS: Final = 256
VALUE_BYTES: Final = 8_192
STATE_BYTES: Final = 65_536
"""All keys and values together."""
NULL: Final = b"null"


class StateConflict(InvalidInput):
    """A conditional change came too late: the key has another `version` now; 0 when it is not there."""

    def __init__(self, key: str, version: int) -> None:
        super().__init__(f"{key} has been changed meanwhile: it has version {version}.", code="state_conflict")
        self.version = version


@dataclass(frozen=True, slots=True)
class StateValue:
    """A value as JSON, its version, who set it, and whether it goes with them."""

    value: bytes
    version: int
    by: MemberId | None
    ephemeral: bool = False


class SharedState:
    """The map of one room. `version` is that of the last change; `size` counts the bytes of keys and values."""

    __slots__ = ("_values", "size", "version")

    def __init__(self) -> None:
        self._values: dict[str, StateValue] = {}
        self.version = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> StateValue | None:
        """The value of `key`, if it is there."""
        return self._values.get(key)

    def items(self) -> Iterable[tuple[str, StateValue]]:
        """All keys and values, in the order in which the keys came."""
        return self._values.items()

    def set(self, wanted: StateSet, by: MemberId | None) -> bytes:
        """Change one key. Returns the `state.changed` for everybody.

        Raises:
            StateConflict: The key does not have the wanted version.
            InvalidInput: `invalid_state_key`; `state_too_large`: the value, or with it the whole map.
        """
        key, value = wanted.key, bytes(wanted.value)
        if not 0 < len(key) <= ID_LENGTH or has_controls(key):
            message = f"A key must have 1 to {ID_LENGTH} characters, and no control characters."
            raise InvalidInput(message, code="invalid_state_key")
        before = self._values.get(key)
        version = 0 if before is None else before.version
        if wanted.if_version is not None and wanted.if_version != version:
            raise StateConflict(key, version)
        if wanted.ephemeral and by is None:
            raise InvalidInput("Only a member can set an ephemeral key.", code="invalid_message")
        return self._put(key, value, by, ephemeral=wanted.ephemeral)

    def drop_ephemeral(self, member_id: MemberId) -> list[tuple[str, bytes]]:
        """Delete what goes with this member. Returns each key with its `state.changed`."""
        gone = [key for key, each in self._values.items() if each.ephemeral and each.by == member_id]
        return [(key, self._put(key, NULL, member_id, ephemeral=False)) for key in gone]

    def to_json(self) -> bytes:
        """`welcome.state`."""
        entries = (state_entry_json(key, each.value, each.version, each.by) for key, each in self._values.items())
        return b"{" + b",".join(entries) + b"}"

    def restore(self, values: dict[str, StateValue], version: int) -> None:
        """Go on from what was kept."""
        self._values = dict(values)
        self.version = max([version, *(each.version for each in values.values())])
        self.size = sum(_size(key, each.value) for key, each in values.items())

    def _put(self, key: str, value: bytes, by: MemberId | None, *, ephemeral: bool) -> bytes:
        before = self._values.get(key)
        is_deletion = value.strip() == NULL
        size = self.size - (0 if before is None else _size(key, before.value))
        if not is_deletion:
            size += _size(key, value)
            if len(value) > VALUE_BYTES or size > STATE_BYTES or (before is None and len(self._values) >= KEYS):
                limits = f"{KEYS} keys, {VALUE_BYTES} bytes a value, {STATE_BYTES} bytes together"
                raise InvalidInput(f"A room's state holds at most {limits}.", code="state_too_large")
        self.version += 1
        self.size = size
        if is_deletion:
            self._values.pop(key, None)
            return state_changed_frame(key, NULL, self.version, by)
        self._values[key] = StateValue(value, self.version, by, ephemeral)
        return state_changed_frame(key, value, self.version, by)


def _size(key: str, value: bytes) -> int:
    return len(key.encode()) + len(value)
