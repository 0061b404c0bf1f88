"""The export store on Postgres. Who asks for one holds the session's row and their own, so that two at once
cannot both just fit.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.database.pool`); what breaks off is done whole or not
at all. Shutdown: whoever opened the database closes it.
"""

from typing import Final

from asyncpg.exceptions import ForeignKeyViolationError

from omnisonic.models import Export, ExportFormat, ExportId, LoginId, SessionId, UserId
from omnisonic.observability.trace_context import current_trace
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.exports import (
    LONGEST_LIST,
    ExportStore,
    NoSuchExport,
    RequesterOnly,
    StoredExport,
    TooManyExports,
    TooManyExportsOfUser,
)
from omnisonic.studio.exports import export_statements as statements
from omnisonic.studio.exports.file_names import file_name_of
from omnisonic.studio.sessions import NoSuchSession, NotSignedIn
from omnisonic.studio.uploads.upload_statements import LOCK_USER

_EXPORT_COLUMNS: Final = 15


class PostgresExports:
    """An `ExportStore` in `database`; `use` is shared.

    `most_active` may be in the making for a session, `most_active_of_user` for whoever asks; 0 for any.
    """

    def __init__(
        self,
        database: Database,
        use: LoginUse | None = None,
        *,
        most_active: int = 0,
        most_active_of_user: int = 0,
    ) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._most_active = most_active
        self._most_active_of_user = most_active_of_user

    async def create(self, login: LoginId, session: SessionId, format_: ExportFormat) -> Export:
        session_id = uuid_or_none(session)
        try:
            async with self._database.transaction() as connection:
                asked = await connection.fetchrow(statements.ASK, login, session_id)
                if asked is None:
                    raise NotSignedIn
                self._use.note(login)
                user, name = asked
                if name is None:
                    raise NoSuchSession
                await self._check_user(connection, user)
                values = session_id, user, format_, file_name_of(name, format_), self._most_active
                row = await connection.fetchrow(statements.CREATE, *values, current_trace())
        except ForeignKeyViolationError:
            raise NotSignedIn from None  # their account was deleted just now; the session is held
        if row is None:
            raise TooManyExports(self._most_active)
        return made(row).export

    async def _check_user(self, connection: Connection, user: UserId) -> None:
        """See that the user may ask for one more, and let nobody else count theirs until the transaction ends."""
        if not self._most_active_of_user:
            return
        await connection.execute(LOCK_USER, user)
        if await connection.fetchval(statements.OF_USER, user) >= self._most_active_of_user:
            raise TooManyExportsOfUser(self._most_active_of_user)

    async def get(self, login: LoginId, export: ExportId) -> StoredExport:
        row = await self._row(statements.GET, login, uuid_or_none(export))
        if row[0] is None:
            raise NoSuchExport
        return made(row)

    async def list(self, login: LoginId, session: SessionId) -> list[Export]:
        rows = await self._database.rows(statements.LIST, login, uuid_or_none(session), LONGEST_LIST)
        if not rows:
            raise NotSignedIn
        self._use.note(login)
        if not rows[0][-1]:
            raise NoSuchSession
        return [made(row).export for row in rows if row[0] is not None]

    async def remove(self, login: LoginId, export: ExportId) -> StoredExport:
        row = await self._row(statements.REMOVE, login, uuid_or_none(export))
        if row[0] is not None:
            return made(row)
        is_there, may = row[-2:]
        raise RequesterOnly if is_there and not may else NoSuchExport

    async def _row(self, statement: str, login: LoginId, *values: object) -> Row:
        """The one row of a statement that has one whenever the sign-in holds. Errors: `NotSignedIn`."""
        row = await self._database.row(statement, login, *values)
        if row is None:
            raise NotSignedIn
        self._use.note(login)
        return row


def made(row: Row) -> StoredExport:
    """From the columns as `omnisonic.studio.exports.export_statements` has them."""
    return StoredExport(Export(*row[:_EXPORT_COLUMNS]), row[_EXPORT_COLUMNS], row[_EXPORT_COLUMNS + 1])


_fits: type[ExportStore] = PostgresExports
