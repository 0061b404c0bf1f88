"""The records of rooms that are silent for long, on a real Valkey (SPEC 5.2, 5.5)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest
import trio

from omnisonic.actors.sync.room_memory import RoomMemoryWriter
from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.stores.room_memory import RoomMemoryStore
from omnisonic.stores.room_memory.threaded import ThreadedRoomMemory
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from tests.cluster.gateways import Stores, open_cluster, owners
from tests.rooms import eventually, open_stage
from tests.valkey_server import ValkeyServer

RECORD: Final = "omnisonic:memory:{0}:record:jam"
DAY_MS: Final = 86_400_000
SHORT_MS: Final = 3_000
"""A record with this much left is gone before the test ends, unless it is touched."""
TOUCH_S: Final = 0.2


@asynccontextmanager
async def memory_at(valkey: ValkeyServer) -> AsyncIterator[RoomMemoryStore]:
    """The room memory store on this server."""
    async with open_asyncio_thread() as thread:
        memory = ThreadedRoomMemory(thread, ValkeyRoomMemory(valkey.url))
        try:
            yield memory
        finally:
            with trio.CancelScope(shield=True):
                await memory.aclose()


def shorten(valkey: ValkeyServer) -> None:
    """Let the record of the room have nearly had its time."""
    with valkey.client as client:
        assert client.pexpire(RECORD, SHORT_MS)


async def kept(valkey: ValkeyServer) -> None:
    """Wait until the record has days again."""
    await eventually(lambda: valkey.lives_ms().get(RECORD, 0) > 6 * DAY_MS)


@pytest.mark.parametrize("is_clustered", [False, True])
async def test_the_record_of_a_silent_room_is_kept_while_somebody_is_there(
    valkey: ValkeyServer, *, is_clustered: bool
) -> None:
    """Alone, or in a cluster, where another gateway would claim a room that has no record."""
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(memory_at(valkey))
        if is_clustered:
            stages = await stack.enter_async_context(open_cluster("a", "b", stores=Stores(memory)))
        else:
            stages = [await stack.enter_async_context(open_stage(memory=memory))]
        writer = stages[0].gateway.registry.memory_watcher
        assert isinstance(writer, RoomMemoryWriter)
        ada = await stack.enter_async_context(stages[0].member("ada"))
        bob = await stack.enter_async_context(stages[-1].member("bob"))
        await ada.say("note", 1)
        await bob.next("note")
        await eventually(lambda: writer.lag_s == 0)
        shorten(valkey)
        writer.touch_s = TOUCH_S
        await kept(valkey)
        if is_clustered:
            assert owners(stages) == [0]
