"""What a gateway writes into the database: kept messages, and events for webhooks. For trio.

Overload, crash and shutdown: see the writers, `omnisonic.actors.sync.message_writer` and
`omnisonic.actors.sync.event_writer`. It connects with the first statement, so a database that is away is no error.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

import trio

from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.errors import Unavailable
from omnisonic.stores.database.pool import Database
from omnisonic.studio.messages import KeptMessages
from omnisonic.studio.messages.message_store import PostgresMessages
from omnisonic.studio.messages.threaded import DEADLINES, ThreadedMessages
from omnisonic.studio.webhooks import RoomEvents
from omnisonic.studio.webhooks.event_queue import PostgresRoomEvents
from omnisonic.studio.webhooks.threaded import ThreadedRoomEvents

OPEN_S: Final = 5.0
"""For creating a pool, which does not connect yet."""
CONNECTIONS: Final = 2
"""Kept messages are written one batch after the other, and so are events."""


class GatewayRecords(NamedTuple):
    """Where a gateway writes. None without a database."""

    messages: KeptMessages | None = None
    room_events: RoomEvents | None = None


@asynccontextmanager
async def open_records(database_url: str | None) -> AsyncIterator[GatewayRecords]:
    """Where a gateway writes into the database at this URL, in an asyncio thread, until the block ends."""
    if database_url is None:
        yield GatewayRecords()
        return
    async with open_asyncio_thread() as thread:
        database = Database(database_url, connections=CONNECTIONS, deadlines=DEADLINES)
        await thread.call(database.open, timeout_s=OPEN_S)
        messages = ThreadedMessages(thread, PostgresMessages(database))
        try:
            yield GatewayRecords(messages, ThreadedRoomEvents(thread, PostgresRoomEvents(database)))
        finally:
            with trio.CancelScope(shield=True), suppress(Unavailable):
                await messages.aclose()  # and with it the database
