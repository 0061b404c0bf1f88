"""A room as its connections see it, wherever it is: here, or in another gateway of the cluster (SPEC 5.5)."""

from typing import Protocol

from omnisonic.actors.rooms.mailbox import ClientMessages, Control
from omnisonic.models import RoomId


class RoomPort(Protocol):
    """Takes what a connection has for its room. Nothing here waits."""

    @property
    def room_id(self) -> RoomId: ...

    def tell(self, mail: Control) -> None:
        """Take a join, a leave or a change of role. Never refused."""
        ...

    def offer(self, messages: ClientMessages) -> bool:
        """Take messages. False when there is no place for them: none of them was taken."""
        ...
