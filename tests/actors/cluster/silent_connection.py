"""A connection to a gateway without a socket."""

from collections.abc import Sequence

from omnisonic.actors.connections.connection import Connection
from omnisonic.models import Member
from omnisonic.wire.closing import Closing


class Silent(Connection):
    """A connection that nobody reads. `pushed` is what it was sent, `closed` how it was closed."""

    def __init__(self, name: str) -> None:
        self.address, self.member = "127.0.0.1", Member(name, name)
        self.person = self.login = self.since = self.tempo = self._actor = None
        self.is_listener = False
        self.pushed: list[bytes] = []
        self.closed: list[Closing] = []

    def push(self, data: bytes) -> None:
        self.pushed.append(data)

    def push_replay(self, parts: Sequence[bytes]) -> None:
        self.pushed += parts

    def close(self, closing: Closing) -> None:
        self.closed.append(closing)
