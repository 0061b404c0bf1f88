"""What the web stands on, opened for one process: the adapters on Valkey and on Postgres (`omnisonic.http.app.Stores`).

Servers that are not there yet are no error: each call says so by itself. Shutdown: all connections are closed with the
block.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from omnisonic.cli.storage import storage_of
from omnisonic.http.api.gateway import find_gateway, open_probe_client
from omnisonic.http.app import Stores
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.pool import Database
from omnisonic.stores.guard.memory import MemoryGuard
from omnisonic.stores.guard.valkey import ValkeyGuard
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.studio.access.postgres import PostgresAccess
from omnisonic.studio.accounts.account_store import PostgresAccounts
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.exports.export_store import PostgresExports
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.uploads.resumable_store import PostgresResumables
from omnisonic.studio.uploads.retention_store import PostgresRetention
from omnisonic.studio.uploads.upload_store import PostgresUploads


@asynccontextmanager
async def open_stores(settings: Settings, redis_url: str, database_url: str) -> AsyncIterator[Stores]:
    """The stores at these URLs, for the running loop. Errors: `InvalidInput` when one is no URL of its kind."""
    async with AsyncExitStack() as after:
        presence, bus, guard = ValkeyPresence(redis_url), ValkeyBus(redis_url), ValkeyGuard(redis_url)
        storage = storage_of(settings)
        for opened in (presence, bus, guard, storage):
            after.push_async_callback(opened.aclose)
        gateway = find_gateway(settings, await after.enter_async_context(open_probe_client()))
        database = Database(database_url)
        await database.open()
        after.push_async_callback(database.aclose)
        use = LoginUse(database)
        yield Stores(
            presence=presence,
            bus=bus,
            guard=guard,
            local_guard=MemoryGuard(),
            accounts=PostgresAccounts(database, use),
            access=PostgresAccess(database, use),
            sessions=PostgresSessions(database, use),
            uploads=PostgresUploads(
                database,
                use,
                quota_bytes=settings.upload_quota_bytes,
                most_active=settings.upload_max_active_per_user,
            ),
            resumable=PostgresResumables(database, use, quota_bytes=settings.upload_quota_bytes),
            retention=PostgresRetention(database),
            exports=PostgresExports(
                database,
                use,
                most_active=settings.export_max_active,
                most_active_of_user=settings.export_max_active_per_user,
            ),
            storage=storage,
            ping_database=database.ping,
            ask_gateway=None if gateway is None else gateway.check,
        )
