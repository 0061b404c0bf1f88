"""What a part checks before it starts: which services it needs, and that the database has the right version."""

import logging

from omnisonic.errors import BadSettings
from omnisonic.settings.settings import Settings
from omnisonic.stores.database.migrations import DatabaseUnreachable, check_migrated

_log = logging.getLogger(__name__)


async def check_schema(url: str) -> None:
    """Check that the database at `url` has all migrations of this version, and no others.

    A database that does not answer is only logged: requests fail until it does.

    Raises:
        DatabaseBehind, DatabaseAhead, MigrationChanged: With a sentence that says what to do.
    """
    try:
        await check_migrated(url)
    except DatabaseUnreachable as problem:
        _log.warning("database.unreachable", extra={"reason": problem.message})


def require_services(settings: Settings) -> tuple[str, str]:
    """The URLs of Redis and of the database, which web and worker share with the gateway.

    Raises:
        BadSettings: One of them is not set. Without it the part would work alone, on nothing.
    """
    problems = []
    if settings.redis_url is None:
        problems.append("REDIS_URL is not set: set it to the Redis that the gateway uses, or run `omnisonic serve`.")
    if settings.database_url is None:
        problems.append("DATABASE_URL is not set: set it to the database of the studio, or run `omnisonic serve`.")
    if settings.redis_url is None or settings.database_url is None:
        raise BadSettings(problems)
    return settings.redis_url, settings.database_url
