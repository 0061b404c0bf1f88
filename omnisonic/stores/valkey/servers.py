"""The servers of one URL: one that is alone, or those of a cluster. Finds out which, and finds them again.

The first call asks the servers that the URL names, one after the other without waiting long for any (`HEDGE_S`). A
cluster is asked again whenever one of its servers fails, or says that keys have moved; meanwhile the known servers are
used. At most one search runs at a time, and it has a deadline.

Crash of a primary in a cluster: its calls fail until a replica is promoted; each failure starts a search, which asks
the others first. A server that has left the cluster is closed once no call can use it any more. Shutdown: `close`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ClusterDownError, ReadOnlyError, ResponseError

from omnisonic.stores.valkey.errors import FAILURES
from omnisonic.stores.valkey.server import CONNECT_TIMEOUT_S, Address, OneServer
from omnisonic.stores.valkey.slots import SlotMap, read_slots

HEDGE_S: Final = 0.05
"""A server that has not answered for so long is not waited for alone: the next one is asked as well."""
SEARCH_PAUSE_S: Final = 0.1
"""Between two searches in a cluster, so that a thousand failures do not become a thousand questions."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What one server told. `slots` is None when it is no part of a cluster."""

    server: OneServer
    slots: SlotMap | None
    is_primary: bool

    @property
    def is_good(self) -> bool:
        return self.is_primary if self.slots is None else bool(self.slots)


class Servers:
    """What is found at `seeds`, the addresses in the URL. `make` connects to none yet; calls last `longest_s`."""

    def __init__(self, seeds: Sequence[Address], make: Callable[[Address], OneServer], *, longest_s: float) -> None:
        self.alone: OneServer | None = None
        """The server, when it is found and no part of a cluster."""
        self.is_primary = False
        """Whether `alone` was a primary when it was found, or does not say what it is."""
        self.renewals = 0
        """How often a server was not what it had been."""
        self._seeds = seeds
        self._make = make
        self._longest_s = longest_s
        self._known = {address: make(address) for address in seeds}
        self._slots: SlotMap | None = None
        self._suspects: dict[Address, None] = {}
        self._search: asyncio.Task[None] | None = None
        self._searched_at_s = 0.0
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def is_cluster(self) -> bool:
        """Whether a cluster was found."""
        return self._slots is not None

    async def find(self) -> None:
        """Return once it is known what is there. Errors: `FAILURES`."""
        if self.alone is None and self._slots is None:
            await self.find_again()

    async def find_again(self) -> None:
        """As `find`, but what is known is asked for again where it can have changed. Errors: `FAILURES`."""
        if self.alone is None or len(self._seeds) > 1:
            search = self._begin_search()
            await asyncio.wait([search])  # which it does not cancel: others wait for it as well
            if search.cancelled():
                raise ConnectionAbortedError("closed while it was searched for")
            search.result()

    def doubt(self, server: OneServer) -> None:
        """`server` has failed: others are asked first, and what is known is asked for again."""
        if self._slots is not None:
            self._suspects.pop(server.address, None)
            self._suspects[server.address] = None
            self._begin_search()
        elif self.alone is server and len(self._seeds) > 1:
            self._suspects[server.address] = None
            self.alone = None

    def renew(self, server: OneServer) -> None:
        """`server` is not what it was: a replica now, or part of a cluster. Its name may lead elsewhere by now."""
        if self._known.get(server.address) is server:
            self.renewals += 1
            self._suspects[server.address] = None
            self._retire(server)
            self._known[server.address] = self._make(server.address)
            self.alone = None

    def at(self, slot: int | None) -> OneServer:
        """The server that has `slot`; for None any. Errors: `ClusterDownError` when there is none in the cluster."""
        if self.alone is not None:
            return self.alone
        if self._slots is None:
            raise ConnectionResetError("the server is not what it was, and not found yet")
        if slot is not None:
            address = self._slots.find(slot)
        else:
            addresses = sorted(self._addresses(), key=self._suspects.__contains__)
            address = addresses[0] if addresses else None
        if address is None:
            self._begin_search()
            raise ClusterDownError("no server has the slot")
        return self.known(address)

    def all(self) -> list[OneServer]:
        """The one that is alone, or every primary of the cluster."""
        return [self.alone] if self._slots is None and self.alone else [self.known(each) for each in self._addresses()]

    def known(self, address: Address) -> OneServer:
        """The server at `address`."""
        if address not in self._known:
            self._known[address] = self._make(address)
        return self._known[address]

    def move(self, slot: int, address: Address) -> None:
        """A server has said that `slot` is at `address` now."""
        if self._slots is not None:
            self._slots.move(slot, address)
            self._begin_search()

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        tasks = [*self._retiring, *([] if self._search is None else [self._search])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._known.values()))

    def _begin_search(self) -> asyncio.Task[None]:
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(self._look())
            self._search.add_done_callback(_retrieve)
        return self._search

    async def _look(self) -> None:
        clock = asyncio.get_running_loop().time
        if self._slots is not None:
            await asyncio.sleep(max(0.0, self._searched_at_s + SEARCH_PAUSE_S - clock()))
        try:
            found = await _first_good(self._in_order())
            if found.slots is None and not found.is_primary and len(self._seeds) > 1:
                raise ReadOnlyError("the primary does not answer")  # what a replica is told may reach nobody
            self._take(found)
        finally:
            self._searched_at_s = clock()

    def _in_order(self) -> list[OneServer]:
        """Whom to ask: the servers of the cluster at random, then those in the URL, then those that have failed."""
        of_cluster = self._addresses()
        random.shuffle(of_cluster)
        addresses = list(dict.fromkeys([*of_cluster, *self._seeds]))
        last = [address for address in addresses if address in self._suspects]
        return [self.known(address) for address in [*(each for each in addresses if each not in last), *last]]

    def _addresses(self) -> list[Address]:
        return [] if self._slots is None else self._slots.addresses

    def _take(self, found: _Found) -> None:
        self._slots = found.slots
        self.alone = found.server if found.slots is None else None
        self.is_primary = found.is_primary
        self._suspects.pop(found.server.address, None)
        if found.slots is not None:
            current = {*found.slots.addresses, *self._seeds}
            for address in [address for address in self._known if address not in current]:
                self._retire(self._known.pop(address))
                self._suspects.pop(address, None)

    def _retire(self, server: OneServer) -> None:
        """Close `server` once the calls that use it are over."""

        async def close() -> None:
            try:
                await asyncio.sleep(self._longest_s)
            finally:
                await server.close()

        task = asyncio.create_task(close())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _first_good(servers: Iterable[OneServer]) -> _Found:
    """Ask one after the other, and return the first good answer, else any. Errors: `FAILURES`, when there is none."""
    waiting = deque(servers)
    asked: set[asyncio.Task[_Found]] = set()
    fallback: _Found | None = None
    failure: Exception | None = None
    try:
        while waiting or asked:
            if waiting:
                asked.add(asyncio.create_task(_ask(waiting.popleft())))
            done, asked = await asyncio.wait(
                asked, timeout=HEDGE_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                try:
                    found = task.result()
                except FAILURES as error:
                    failure = failure or error
                    continue
                if found.is_good:
                    return found
                fallback = fallback or found
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    if fallback is not None:
        return fallback
    assert failure is not None
    raise failure


async def _ask(server: OneServer) -> _Found:
    """What `server` is. A user who may not ask is taken to be at a server that is alone. Errors: `FAILURES`."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        slots, role = await server.run([("CLUSTER", "SLOTS"), ("ROLE",)])
    if isinstance(slots, ClusterDownError):
        raise slots
    places = None if isinstance(slots, ResponseError) else read_slots(slots, server.address)
    return _Found(server, places, is_primary=not is_replica(role))


def is_replica(role: Any) -> bool:
    """Whether a server that answers this to ROLE is one. Who may not ask is taken to be at a primary."""
    return not isinstance(role, ResponseError) and role[0] == b"slave"


def _retrieve(task: asyncio.Task[None]) -> None:
    """Note that the outcome is known: whoever waits for the search gets it, and often nobody does."""
    if not task.cancelled():
        task.exception()
