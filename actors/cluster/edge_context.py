"""What all edge rooms of one gateway share (`omnisonic.actors.cluster.edge_room`).

Owned by `omnisonic.actors.cluster.edges`. Overload, crash and shutdown: see there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from omnisonic.actors.cluster.entry_window import EntryWindow
from omnisonic.actors.cluster.remote_members import Send


class Counter:
    """Numbers that rise, for all edge rooms of one gateway together."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        """The next number."""
        self.last += 1
        return self.last


@dataclass(frozen=True, slots=True)
class EdgeContext:
    """What an edge room is given.

    Attributes:
        send: Sends a message to a peer.
        window_of: How members enter at this owner.
        now_ms: The clock of this gateway, milliseconds since 1970.
        numbers: Numbers connections and what they say.
    """

    send: Send
    window_of: Callable[[str], EntryWindow]
    now_ms: Callable[[], int]
    numbers: Counter = field(default_factory=Counter)
