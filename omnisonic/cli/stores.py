"""What the web stands on, opened for one process: the adapters on Valkey and on Postgres (`omnisonic.http.app.Stores`).

Servers that are not there yet are no error: each call says so by itself. Shutdown: all connections are closed with the
block.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from omnisonic.accounts.postgres import PostgresAccounts
from omnisonic.bus.valkey import ValkeyBus
from omnisonic.database.login_use import LoginUse
from omnisonic.database.pool import Database
from omnisonic.guard.valkey import ValkeyGuard
from omnisonic.http.app import Stores
from omnisonic.presence.valkey import ValkeyPresence
from omnisonic.sessions.postgres import PostgresSessions


@asynccontextmanager
async def open_stores(redis_url: str, database_url: str) -> AsyncIterator[Stores]:
    """The stores at these URLs, for the running loop. Errors: `InvalidInput` when one is no URL of its kind."""
    async with AsyncExitStack() as after:
        presence, bus, guard = ValkeyPresence(redis_url), ValkeyBus(redis_url), ValkeyGuard(redis_url)
        for opened in (presence, bus, guard):
            after.push_async_callback(opened.aclose)
        database = Database(database_url)
        await database.open()
        after.push_async_callback(database.aclose)
        use = LoginUse(database)
        yield Stores(
            presence=presence,
            bus=bus,
            guard=guard,
            accounts=PostgresAccounts(database, use),
            sessions=PostgresSessions(database, use),
            ping_database=database.ping,
        )
