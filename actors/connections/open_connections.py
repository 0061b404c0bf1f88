"""The open connections of a gateway: how many there are, from which addresses, and how many there may be (SPEC 2).

Belongs to the gateway's loop. Overload: over a cap a connection gets 503, and is closed without an answer when there
are `OVERFLOW` more. Crash: none of its own. Shutdown: `wait_all_gone`.
"""

from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import trio

from omnisonic.actors.connections.connection import Connection
from omnisonic.wire.handshake import Refused

OVERFLOW: Final = 1024
"""This many connections over the cap get an answer; more are closed without one."""


class OpenConnections:
    """The connections of one gateway. `most` and `most_per_address` are its caps; 0: none. Iterates over a copy."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self.most = most
        self.most_per_address = most_per_address
        self._open: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        self._all_gone = trio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, connection: object) -> bool:
        return connection in self._open

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._open))

    @property
    def has_caps(self) -> bool:
        """Whether there may not be any number."""
        return bool(self.most or self.most_per_address)

    @property
    def elsewhere(self) -> int:
        """How many count here, and are another process's."""
        return 0

    def elsewhere_from(self, _address: str) -> int:
        """How many of those are from this address."""
        return 0

    @property
    def is_flooded(self) -> bool:
        """Whether there are so many that the next one gets no answer."""
        return 0 < self.most <= len(self._open) + self.elsewhere - OVERFLOW

    def add(self, connection: Connection) -> None:
        """Count a new connection."""
        self._open.add(connection)
        self._addresses[connection.address] += 1

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)
        self._addresses[connection.address] -= 1
        if not self._addresses[connection.address]:
            del self._addresses[connection.address]
        if not self._open:
            self._all_gone.set()

    def check_caps(self, connection: Connection) -> None:
        """Check that this connection, which is counted already, may stay. Errors: `Refused`."""
        count = len(self._open) + self.elsewhere
        from_address = self._addresses[connection.address] + self.elsewhere_from(connection.address)
        if 0 < self.most < count or 0 < self.most_per_address < from_address:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_connections",
                "This server has as many connections as it may; try again later.",
                Retry_After="5",
            )

    async def wait_all_gone(self) -> None:
        """Wait until there is no connection."""
        if self._open:
            self._all_gone = trio.Event()
            await self._all_gone.wait()
