"""A room's state without its actor: mail in, messages out, turn by turn."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Join, Mail
from omnisonic.actors.rooms.state import RoomState
from omnisonic.models import Member
from omnisonic.wire.messages import Envelope
from tests.actors.handles import FakeConnection, Setting, member

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
    """A room with connections in it. `turn` is what an actor does with the mail of one turn."""

    def __init__(
        self,
        *names: str,
        room_class: Callable[[RoomContext], RoomState] = RoomState,
        max_members: int = 0,
        setting: Setting | None = None,
    ) -> None:
        self.setting = setting or Setting()
        self.room = room_class(self.setting.context(max_members=max_members))
        self.connections = {name: self.enter(name) for name in names}
        for connection in self.connections.values():
            connection.received()

    def enter(self, name: str) -> FakeConnection:
        """Let somebody join, in a turn of their own."""
        connection = FakeConnection(name)
        self.turn(Join(connection, member(name)))
        return connection

    def turn(self, *mails: Mail) -> Batch:
        """Handle this mail and push what comes of it."""
        batch = Batch()
        try:
            for mail in mails:
                self.room.handle(mail, batch)
        finally:
            self._push(batch)
            self.room.memory.history.add(batch.remembered)
        return batch

    def _push(self, batch: Batch) -> None:
        stream = batch.stream()
        for connection, (frame, replay) in batch.opening.items():
            connection.push(frame)
            connection.push_replay(replay)
        for connection in self.room.roster.connections:
            connection.push(batch.stream_for(connection, stream))
        for connection, closing in batch.dismissed:
            connection.push(batch.stream_for(connection, stream))
            connection.close(closing)

    def received(self) -> dict[str, list[Any]]:
        """What everyone received since the last look."""
        return {name: connection.received() for name, connection in self.connections.items()}

    def types(self) -> dict[str, list[str]]:
        """The types of what everyone received since the last look."""
        return {name: connection.types() for name, connection in self.connections.items()}

    def shown(self) -> Sequence[Member]:
        """The roster as the others see it."""
        return [seat.member for seat in self.room.roster]
