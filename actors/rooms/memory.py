"""What a room remembers, apart from who is in it: history, accepted messages, shared state, transport. Pure (DESIGN 7).

The room's actor keeps it when the room crashes. A memory store may keep it longer (`omnisonic.stores.room_memory`).
"""

from collections.abc import Sequence

from omnisonic.actors.rooms.acknowledged import Acknowledged
from omnisonic.actors.rooms.history import History, HistoryLimits, Recovery, plan_recovery
from omnisonic.actors.rooms.seat import Entry
from omnisonic.actors.rooms.shared_state import SharedState
from omnisonic.wire.recovery import HistoryGap, Position
from omnisonic.wire.transport import Transport


class RoomMemory:
    """The memory of one room.

    Attributes:
        epoch: Names the count of offsets.
        parents: Earlier epochs, newest first, each with the offset up to which this one has its messages.
        history: The newest messages. `history.last` is the offset of the last message that was relayed.
        acknowledged: The messages that were accepted, by their `id`.
        shared_state: The members' map.
        transport: What plays, and where.
        presumed: The newest parent, when this room has all of its messages as far as anybody knows. Who comes back from
            it has missed nothing, until somebody comes who has seen more (`disprove`).
        is_left: Everybody had left the room when it was forgotten, and nobody has entered since.
        seats: Who is in the room, for the next owner; None: no other gateway goes on with it.
    """

    __slots__ = (
        "acknowledged",
        "epoch",
        "history",
        "is_left",
        "parents",
        "presumed",
        "seats",
        "shared_state",
        "transport",
    )

    def __init__(
        self,
        epoch: str,
        limits: HistoryLimits,
        *,
        offset: int = 0,
        parents: Sequence[Position] = (),
        transport: Transport | None = None,
    ) -> None:
        self.epoch = epoch
        self.parents = tuple(parents)
        self.history = History(limits, offset)
        self.acknowledged = Acknowledged()
        self.shared_state = SharedState()
        self.transport = transport or Transport()
        self.presumed: Position | None = None
        self.is_left = False
        self.seats: tuple[Entry, ...] | None = None

    def plan_recovery(self, since: Position, offset: int) -> Recovery:
        """Plan what a member gets who has seen everything up to `since`; the room has relayed up to `offset`."""
        presumed, first = self.presumed, self.history.first
        if presumed is not None and since.epoch == presumed.epoch and first - 1 <= since.offset <= presumed.offset:
            return Recovery(True, since.offset)
        return plan_recovery(since, self.epoch, self.parents, first, offset)

    def disprove(self, since: Position) -> HistoryGap | None:
        """Find out whether somebody who has seen everything up to `since` has seen messages that this room lacks.

        Returns:
            What those lack who came back before, when they were told that they lack nothing.
        """
        presumed = self.presumed
        if presumed is None or since.epoch != presumed.epoch or since.offset <= presumed.offset:
            return None
        self.presumed = None
        return HistoryGap(since.epoch, presumed.offset + 1, None, None)

    def take_over(self, other: "RoomMemory") -> None:
        """Become what `other` is."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))
