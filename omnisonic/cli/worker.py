"""`omnisonic worker`: work that nobody waits for, on asyncio: housekeeping.

Overload: not applicable, it gives itself its work. Crash: what fails is logged and tried again; a crash of the process
is its supervisor's matter, and loses nothing. SIGTERM or Ctrl-C ends it at once: what it was doing is done later.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from omnisonic.accounts.postgres import PostgresAccounts
from omnisonic.cli.lifeline import end_with_supervisor, say_ready
from omnisonic.cli.migrated import refuse_when_behind
from omnisonic.cli.stopping import stop_signal
from omnisonic.config import Settings
from omnisonic.database.pool import Database
from omnisonic.errors import BadSettings
from omnisonic.housekeeping import keep_house
from omnisonic.logs import configure_logs

CONNECTIONS: Final = 2


def run(settings: Settings, *, supervised: bool) -> None:
    """Run until a signal. `supervised`: standard input is a lifeline. Errors: `BadSettings`, `DatabaseBehind`."""
    if settings.database_url is None:
        raise BadSettings(["DATABASE_URL is not set: set it to where accounts are kept, or run `omnisonic serve`."])
    configure_logs(settings, "worker")
    if supervised:
        end_with_supervisor()
    asyncio.run(_work(settings.database_url, say_ready if supervised else partial(print, "At work.", flush=True)))


async def _work(database_url: str, ready: Callable[[], None]) -> None:
    stop = stop_signal()
    await refuse_when_behind(database_url)
    database = Database(database_url, connections=CONNECTIONS)
    await database.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(keep_house(PostgresAccounts(database)))
            ready()
            await stop.wait()
            work.cancel()
    finally:
        await database.aclose()
