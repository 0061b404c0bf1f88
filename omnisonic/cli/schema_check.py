"""The check of a part that needs the database, at its start: its tables must be those that the code was written for."""

import logging

from omnisonic.stores.database.migrations import DatabaseUnreachable, check_migrated

_log = logging.getLogger(__name__)


async def refuse_when_behind(url: str) -> None:
    """See that the database at `url` was migrated. One that does not answer is no reason not to start.

    Whoever asks for what is in it is told so until it is back. Errors: `DatabaseBehind`, `DatabaseAhead`,
    `MigrationChanged`.
    """
    try:
        await check_migrated(url)
    except DatabaseUnreachable as problem:
        _log.warning("database.unreachable", extra={"reason": problem.message})
