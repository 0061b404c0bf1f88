"""A room and its links, without the cell around them: letters in, messages out, turn by turn."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Join, Mail
from omnisonic.actors.rooms.state import RoomState
from omnisonic.models import Member
from omnisonic.wire.messages import Envelope
from tests.actors.handles import Ear, Setting, member

NOBODY: Final = member("nobody")


class Poisoned(RoomState):
    """A room that cannot bear the message type `poison`."""

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        if envelope.type == "poison":
            raise ValueError("poison")
        return True

    def on_external(self, envelope: Envelope) -> bool:
        return self.on_message(NOBODY, envelope)


class Stage:
    """A room with ears in it. `turn` is what a cell does with the mail of one turn."""

    def __init__(
        self,
        *names: str,
        room_class: Callable[[RoomContext], RoomState] = RoomState,
        max_members: int = 0,
        setting: Setting | None = None,
    ) -> None:
        self.setting = setting or Setting()
        self.room = room_class(self.setting.context(max_members=max_members))
        self.ears = {name: self.enter(name) for name in names}
        for ear in self.ears.values():
            ear.heard()

    def enter(self, name: str) -> Ear:
        """Let somebody join, in a turn of their own."""
        ear = Ear(name)
        self.turn(Join(ear, member(name)))
        return ear

    def turn(self, *letters: Mail) -> Batch:
        """Handle this mail and push what comes of it."""
        batch = Batch()
        try:
            for letter in letters:
                self.room.handle(letter, batch)
        finally:
            self._push(batch)
        return batch

    def _push(self, batch: Batch) -> None:
        stream = batch.stream()
        assert len(stream) == batch.size
        for connection in self.room.roster.connections:
            connection.push(batch.stream_for(connection, stream))
        for connection, closing in batch.dismissed:
            connection.push(batch.stream_for(connection, stream))
            connection.close(closing)

    def heard(self) -> dict[str, list[Any]]:
        """What everyone heard since the last look."""
        return {name: ear.heard() for name, ear in self.ears.items()}

    def types(self) -> dict[str, list[str]]:
        """The types of what everyone heard since the last look."""
        return {name: ear.types() for name, ear in self.ears.items()}

    def shown(self) -> Sequence[Member]:
        """The roster as the others see it."""
        return [seat.member for seat in self.room.roster]
