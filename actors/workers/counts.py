"""Counts: how many connections all workers have together, so that the caps hold over all of them (SPEC 2).

Each worker counts its own connections, and tells the others when that has changed: at most every `SHARE_S`, and only
the addresses that have changed. What a worker knows of another one is as old as that, and the time of the packet. So
over a cap there may be as many connections as the other workers have let in meanwhile. A connection counts where its
room is, once it has passed the caps.

Worker frozen: it keeps what it had. Worker crashed: its last counts hold until the next process of its index says that
it has none. Overload: packets of at most `ADDRESSES` addresses; what cannot be sent stays to be sent, an address once.
Crash: the task is restarted, and goes on. Shutdown: cancelled.
"""

from collections import Counter
from typing import Final

import trio

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.connections.open_connections import OpenConnections
from omnisonic.actors.workers.channels import Channels
from omnisonic.actors.workers.packets import Counts
from omnisonic.actors.workers.place import WorkerPlace

SHARE_S: Final = 0.05
ADDRESSES: Final = 500
"""In one packet: 30 kB at most."""


class SharedConnections(OpenConnections):
    """The connections of one worker, under caps that are for all workers. 0: no cap."""

    def __init__(self, most: int, most_per_address: int, place: WorkerPlace, channels: Channels) -> None:
        super().__init__(most, most_per_address)
        self._place = place
        self._channels = channels
        self._held: set[Connection] = set()
        self._held_at: Counter[str] = Counter()
        self._totals = dict.fromkeys(place.others, 0)
        self._there: dict[int, dict[str, int]] = {index: {} for index in place.others}
        self._all_there: Counter[str] = Counter()
        self._unsent: dict[int, dict[str, None]] = {index: {} for index in place.others}
        self._stale: set[int] = set()
        self._more = trio.Event()

    @property
    def elsewhere(self) -> int:
        """How many connections the other workers have, as far as is known."""
        return sum(self._totals.values())

    def elsewhere_from(self, address: str) -> int:
        """How many connections the other workers have from this address, as far as is known."""
        return self._all_there[address]

    def check_caps(self, connection: Connection) -> None:
        """As there; from now on the connection counts for the other workers, too."""
        super().check_caps(connection)
        self._held.add(connection)
        self._note(connection.address, +1)

    def remove(self, connection: Connection) -> None:
        """As there."""
        super().remove(connection)
        if connection in self._held:
            self._held.remove(connection)
            self._note(connection.address, -1)

    def _note(self, address: str, change: int) -> None:
        self._held_at[address] += change
        if not self._held_at[address]:
            del self._held_at[address]
        if self.has_caps:
            for index, unsent in self._unsent.items():
                self._stale.add(index)
                if self.most_per_address:
                    unsent[address] = None
            self._more.set()

    def on_started(self, index: int) -> None:
        """A process of this index has started: it has no connections, and knows of none."""
        self._totals[index] = 0
        for address in list(self._there[index]):
            self._set(index, address, 0)
        if self.has_caps:
            self._stale.add(index)
            self._unsent[index] |= dict.fromkeys(self._held_at if self.most_per_address else ())
            self._more.set()

    def on_counts(self, packet: Counts) -> None:
        """What another worker has."""
        self._totals[packet.sender] = packet.connections
        for address, count in packet.addresses.items():
            self._set(packet.sender, address, count)

    def _set(self, index: int, address: str, count: int) -> None:
        there = self._there[index]
        self._all_there[address] += count - there.pop(address, 0)
        if count:
            there[address] = count
        if not self._all_there[address]:
            del self._all_there[address]

    async def share(self, task_status: trio.TaskStatus[None]) -> None:
        """Tell the other workers what has changed, until cancelled."""
        task_status.started()
        while True:
            if not self._stale:
                self._more = trio.Event()
                await self._more.wait()
            for index in list(self._stale):
                self._share_with(index)
            await trio.sleep(SHARE_S)

    def _share_with(self, index: int) -> None:
        """Send one worker what it does not know yet, as far as its channel takes it."""
        unsent = self._unsent[index]
        while True:
            addresses = list(unsent)[:ADDRESSES]
            counts = {address: self._held_at.get(address, 0) for address in addresses}
            if not self._channels.try_send(index, Counts(self._place.index, len(self._held), counts)):
                return
            for address in addresses:
                del unsent[address]
            if not unsent:
                self._stale.discard(index)
                return
