"""What a room is given when it is made, by the cell around it (DESIGN 3). Frozen, but for the estate."""

from collections.abc import Callable
from dataclasses import dataclass, field

from omnisonic.actors.rooms.relay_prefixes import RelayPrefixes
from omnisonic.actors.rooms.roster import Entry
from omnisonic.models import RoomId


@dataclass(slots=True)
class Handoff:
    """What a room leaves to the one that is started after it: whatever it wants to. Its cell keeps it, unlooked at."""

    left: object = None


@dataclass(frozen=True, slots=True)
class RoomContext:
    """What a room is given: its name, its limits, the clocks, and what the room before it left behind."""

    room_id: RoomId
    epoch: str
    ttl_s: int
    max_members: int
    now_s: Callable[[], float]
    now_ms: Callable[[], int]
    relay_prefixes: RelayPrefixes
    offset: int = 0
    entries: tuple[Entry, ...] = ()
    handoff: Handoff = field(default_factory=Handoff)
