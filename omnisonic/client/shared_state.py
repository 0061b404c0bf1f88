"""The state that a room's members share, as a client knows it (SPEC 5.2). Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from omnisonic.models import MemberId
from omnisonic.wire.shared_state import StateChanged, StateEntry


class SharedState(Mapping[str, Any]):
    """The shared state of a room: a read-only mapping of keys to values, as last received.

    It changes whenever your task waits. Copy it with `dict(room.state)` when it must stay the same. Do not change the
    values in it.

    Example:
        soloist = room.state.get("solo")
        await room.set_state("solo", "ada", if_version=room.state.version("solo"))
    """

    def __init__(self, entries: Mapping[str, StateEntry]) -> None:
        self._entries = entries

    def __getitem__(self, key: str) -> Any:
        return self._entries[key].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"SharedState({dict(self)!r})"

    def version(self, key: str) -> int:
        """The version of this key, for `set_state(if_version=)`. 0 when it is not there."""
        entry = self._entries.get(key)
        return 0 if entry is None else entry.version

    def by(self, key: str) -> MemberId | None:
        """The member who set this key last. None when it is not there, or came from outside the room."""
        entry = self._entries.get(key)
        return None if entry is None else entry.by


class StateEntries(dict[str, StateEntry]):
    """The entries of the shared state. The reconnector's task changes them; the program sees a `SharedState`."""

    def replace_all(self, entries: Any) -> None:
        """Take what a `welcome` says. Raises `ValueError` when that is no state."""
        taken = msgspec.convert(entries, dict[str, StateEntry])
        self.clear()
        self.update(taken)

    def apply(self, payload: Any) -> None:
        """Take a `state.changed`. Raises `ValueError` when it is none."""
        change = msgspec.convert(payload, StateChanged)
        if change.value is None:
            self.pop(change.key, None)
        else:
            self[change.key] = StateEntry(change.value, change.version, change.by)
