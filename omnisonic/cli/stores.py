"""Opens the stores of the web, on Valkey and on Postgres (`omnisonic.http.app.Stores`).

Store unavailable: not an error here; each call raises it. Shutdown: all connections are closed with the block.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from omnisonic.cli.storage import create_storage
from omnisonic.http.api.gateway import find_gateway, open_probe_client
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.app import Stores
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import round_trip
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.pool import Database, Deadlines
from omnisonic.stores.guard.memory import MemoryGuard
from omnisonic.stores.guard.valkey import ValkeyGuard
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.studio.access.postgres import PostgresAccess
from omnisonic.studio.access.server_keys import ServerKeyStore
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity.activity_store import ActivityStore
from omnisonic.studio.archives.session_files import SessionFiles
from omnisonic.studio.comments.comment_store import CommentStore
from omnisonic.studio.exports.export_queue import ExportQueue
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.markers.marker_store import MarkerStore
from omnisonic.studio.messages.message_store import MessageStore
from omnisonic.studio.segments.segment_store import SegmentStore
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.shares.guest_comments import GuestComments
from omnisonic.studio.shares.share_links import ShareLinks
from omnisonic.studio.shares.share_store import ShareStore
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.uploads.upload_store import UploadStore

FIRST_CALLS_S: Final = 1.0
"""The first calls have so long before the stores are open. A store that is away takes all of it."""


@asynccontextmanager
async def open_stores(settings: Settings, redis_url: str, database_url: str) -> AsyncIterator[Stores]:
    """Open the stores at these URLs, for the running loop. Raises `InvalidInput` for a URL of the wrong kind.

    Each has been called once then, well or not: the first request finds open connections and loaded code. Without that
    its calls might take longer than they may, on a machine that has more to do.
    """
    async with AsyncExitStack() as after:
        presence, bus, guard = ValkeyPresence(redis_url), ValkeyBus(redis_url), ValkeyGuard(redis_url)
        storage = create_storage(settings)
        for opened in (presence, bus, guard, storage):
            after.push_async_callback(opened.aclose)
        gateway = find_gateway(settings, await after.enter_async_context(open_probe_client()))
        database = Database(database_url, deadlines=Deadlines.within(settings.database_timeout_s))
        await database.open()
        after.push_async_callback(database.aclose)
        use = LoginUse(database)
        room_events = RoomEvents(bus)
        first_calls = [presence.ping(), round_trip(bus), storage.ping(), database.ping()]
        if gateway is not None:
            first_calls.append(gateway.check())
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_CALLS_S):
                await asyncio.gather(*first_calls, return_exceptions=True)
        yield Stores(
            presence=presence,
            bus=bus,
            room_events=room_events,
            guard=guard,
            local_guard=MemoryGuard(),
            accounts=AccountStore(database, use),
            access=PostgresAccess(database, use),
            keys=ServerKeyStore(database),
            sessions=PostgresSessions(database, use, tell=room_events.tell),
            uploads=UploadStore(
                database,
                use,
                quota_bytes=settings.upload_quota_bytes,
                most_active=settings.upload_max_active_per_user,
                tell=room_events.tell,
            ),
            resumable=ResumableStore(database, use, quota_bytes=settings.upload_quota_bytes, tell=room_events.tell),
            retention=UploadRetention(database),
            segments=SegmentStore(database, use, quota_bytes=settings.upload_quota_bytes),
            files=SessionFiles(database, use),
            exports=ExportStore(
                database,
                use,
                most_active=settings.export_max_active,
                most_active_of_user=settings.export_max_active_per_user,
                tell=room_events.tell,
            ),
            shares=ShareStore(database, use, tell=room_events.tell),
            share_links=ShareLinks(database),
            guest_comments=GuestComments(database),
            activity=ActivityStore(database, use, quota_bytes=settings.upload_quota_bytes, tell=room_events.tell),
            comments=CommentStore(database, use, tell=room_events.tell),
            markers=MarkerStore(database, use, tell=room_events.tell),
            messages=MessageStore(database, use),
            storage=storage,
            ping_database=database.ping,
            ask_gateway=None if gateway is None else gateway.check,
            count_waiting_exports=ExportQueue(database).count_waiting,
        )
