"""The stores of a gateway's process: opened in asyncio threads, for trio, and closed with the block (DESIGN 1).

Without a URL they are in the process, or there are none. What a gateway writes into the database is in
`omnisonic.operations.gateway_records`. Overload and outages: see each store; opening one does not connect yet.
Shutdown: each is closed in a shielded scope.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.errors import Unavailable
from omnisonic.stores.bus import Bus
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.bus.threaded import ThreadedBus
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.pool import Database, Deadlines
from omnisonic.stores.guard import Guard
from omnisonic.stores.guard.memory import MemoryGuard
from omnisonic.stores.guard.threaded import ThreadedGuard
from omnisonic.stores.guard.valkey import ValkeyGuard
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.presence.memory import MemoryPresence
from omnisonic.stores.presence.threaded import ThreadedPresence
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.stores.room_memory import RoomMemoryStore
from omnisonic.stores.room_memory.threaded import ThreadedRoomMemory
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from omnisonic.studio.access import AccessStore
from omnisonic.studio.access.postgres import PostgresAccess
from omnisonic.studio.access.threaded import ThreadedAccess

OPEN_S: Final = 5.0
"""For creating a pool, which does not connect yet."""


@asynccontextmanager
async def open_presence_and_bus(redis_url: str | None) -> AsyncIterator[tuple[PresenceStore, Bus]]:
    """The stores at `redis_url`, in an asyncio thread. Without a URL they are in memory. Both are for trio."""
    if redis_url is None:
        yield MemoryPresence(), MemoryBus()
        return
    async with open_asyncio_thread() as thread:
        presence = ThreadedPresence(thread, ValkeyPresence(redis_url))
        bus = ThreadedBus(thread, ValkeyBus(redis_url))
        try:
            yield presence, bus
        finally:
            with trio.CancelScope(shield=True):
                await presence.aclose()
                await bus.aclose()


@asynccontextmanager
async def open_room_memory(redis_url: str | None, history_s: float) -> AsyncIterator[RoomMemoryStore | None]:
    """The room memory store at `redis_url`, in an asyncio thread, for trio. None without a URL."""
    if redis_url is None:
        yield None
        return
    async with open_asyncio_thread() as thread:
        memory = ThreadedRoomMemory(thread, ValkeyRoomMemory(redis_url, blocks_ttl_s=history_s))
        try:
            yield memory
        finally:
            with trio.CancelScope(shield=True):
                await memory.aclose()


@asynccontextmanager
async def open_guard(redis_url: str | None) -> AsyncIterator[Guard]:
    """The guard at `redis_url`, in an asyncio thread. Without a URL it is in memory. For trio."""
    if redis_url is None:
        yield MemoryGuard()
        return
    async with open_asyncio_thread() as thread:
        guard = ThreadedGuard(thread, ValkeyGuard(redis_url))
        try:
            yield guard
        finally:
            with trio.CancelScope(shield=True):
                await guard.aclose()


@asynccontextmanager
async def open_access(database_url: str, timeout_s: float) -> AsyncIterator[AccessStore]:
    """The access store in the database, in an asyncio thread, for trio. It does not connect yet."""
    async with open_asyncio_thread() as thread:
        database = Database(database_url, deadlines=Deadlines.within(timeout_s))
        await thread.call(database.open, timeout_s=OPEN_S)
        access = ThreadedAccess(thread, PostgresAccess(database))
        try:
            yield access
        finally:
            with trio.CancelScope(shield=True), suppress(Unavailable):
                await access.aclose()
