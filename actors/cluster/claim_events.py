"""What becomes of rooms that are claimed: what `omnisonic.actors.cluster.claims` asks of the cluster, and tells it."""

from typing import Protocol

from omnisonic.actors.cluster.shared_view import SharedView
from omnisonic.actors.cluster.tail import Tail
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.models import RoomId


class ClaimEvents(Protocol):
    """What becomes of rooms. Must not wait."""

    @property
    def is_valid(self) -> bool:
        """Whether this gateway may own rooms now."""
        ...

    def tail_of(self, room_id: RoomId) -> Tail | None:
        """What members here have heard of the room at its last owner."""
        ...

    def view_of(self, room_id: RoomId) -> SharedView | None:
        """What members here see of what the room shares."""
        ...

    def begins_provisional(self, actor: RoomActor) -> bool:
        """Nobody can say who holds a room that was made. False: it does not begin."""
        ...

    def on_here(self, actor: RoomActor) -> None:
        """A room begins here: it is restored, and has handled nothing yet."""
        ...

    def on_held(self, actor: RoomActor, owner: str) -> None:
        """Another gateway holds the room."""
        ...

    def on_replaced(self, actor: RoomActor) -> None:
        """The record knows more than this provisional room: its members have to enter a room made anew."""
        ...

    def on_stale_room(self, actor: RoomActor) -> None:
        """An owned room is provisional from now on."""
        ...
