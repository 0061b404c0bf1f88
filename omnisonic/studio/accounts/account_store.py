"""The account store on Postgres. One statement a call; where it takes more, one transaction.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.database.pool`); a transaction that breaks off never
was. Shutdown: whoever opened the database closes it.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from asyncpg.exceptions import UniqueViolationError

from omnisonic.errors import InvalidInput
from omnisonic.identity.emails import normal_or_same, spellings
from omnisonic.identity.logins import IDLE_S, login_id, new_token
from omnisonic.models import LoginId, Person, UserId
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.studio.accounts import (
    AccountStore,
    EmailTaken,
    Identity,
    NotLinked,
    PasswordChanged,
    PasswordEntry,
    SignedIn,
    identity_statements,
    login_statements,
    user_statements,
)
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions import invite_statements

SWEPT_AT_ONCE: Final = 1000
"""Rows that one statement of the sweep deletes: few enough that nobody waits for it."""

RACES: Final = 2
"""Somebody else may make the account of the same address in this very moment, and then its identity: once each."""


class PostgresAccounts:
    """An `AccountStore` in `database`. `use` notes that sign-ins are used; two stores may share it."""

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._database = database
        self._use = use or LoginUse(database)

    async def password_of(self, email: str) -> PasswordEntry | None:
        row = await self._by_email(user_statements.HASH_OF, email, spellings(email))
        return None if row is None else PasswordEntry(*row)

    async def register(self, email: str, password_hash: str, *, name: str | None = None) -> UserId:
        normal = normal_or_same(email)
        row = await self._by_email(
            user_statements.REGISTER, email, spellings(email), normal, password_hash, _kept(name)
        )
        if row is None:
            raise EmailTaken("There is an account with this e-mail address already. Sign in instead.")
        return str(row[0])

    async def set_password(self, email: str, password_hash: str) -> UserId | None:
        if not _can_be_kept(email):
            return None
        async with self._database.transaction() as transaction:
            row = await transaction.fetchrow(user_statements.SET_HASH, spellings(email), password_hash)
            if row is None:
                return None
            await transaction.execute(login_statements.END_ALL, row[0])
            return str(row[0])

    async def rehash(self, user: UserId, password_hash: str, *, replacing: str | None = None) -> None:
        await self._database.row(user_statements.REHASH, user, password_hash, replacing)

    async def identify(self, identity: Identity) -> UserId:
        if not _can_be_kept(identity.provider + identity.subject):
            raise InvalidInput("The sign-in provider gave no usable account. Try another way.", code="invalid_identity")
        for _ in range(RACES):
            with suppress(UniqueViolationError):
                return await self._identified(identity)
        return await self._identified(identity)

    async def open_login(
        self, user: UserId, *, replacing: LoginId | None = None, password_hash: str | None = None
    ) -> str:
        token = new_token()
        if await self._database.row(login_statements.OPEN, login_id(token), user, replacing, password_hash) is None:
            raise PasswordChanged("Your password was changed just now. Sign in with the new one.")
        return token

    async def end_login(self, login: LoginId) -> bool:
        return await self._database.row(login_statements.END, login) is not None

    async def signed_in(self, login: LoginId) -> SignedIn | None:
        row = await self._database.row(login_statements.SIGNED_IN, login)
        if row is None:
            return None
        self._use.note(login)
        return SignedIn(Person(*row[:4]), row[4])

    async def touch(self, login: LoginId) -> None:
        await self._database.row(login_statements.TOUCH, login)

    async def sweep(self) -> int:
        idle = timedelta(seconds=IDLE_S)
        return await self._swept(login_statements.SWEEP, idle) + await self._swept(invite_statements.SWEEP)

    async def _by_email(self, statement: str, email: str, *values: object) -> Row | None:
        """The row of a statement about an e-mail address; none when no account can have it."""
        return await self._database.row(statement, *values) if _can_be_kept(email) else None

    async def _identified(self, identity: Identity) -> UserId:
        """As `identify`, once. Errors: `UniqueViolationError` when somebody else was faster."""
        async with self._database.transaction() as transaction:
            known = await transaction.fetchrow(identity_statements.FIND, identity.provider, identity.subject)
            if known is not None:
                return str(known[0])
            user = await _account_for(transaction, identity)
            await transaction.execute(identity_statements.ADD, identity.provider, identity.subject, user)
            return user

    async def _swept(self, statement: str, *values: object) -> int:
        total = 0
        while True:
            row = await self._database.row(statement, *values, SWEPT_AT_ONCE)
            swept = 0 if row is None else int(row[0])
            total += swept
            if swept < SWEPT_AT_ONCE:
                return total


async def _account_for(transaction: Connection, identity: Identity) -> UserId:
    """The account that an identity which is not known yet belongs to, made when there is none. Errors: `NotLinked`."""
    email = identity.email if identity.email and _can_be_kept(identity.email) else None
    name, image = _kept(identity.name), _kept(identity.image)
    account = (
        None
        if email is None
        else await transaction.fetchrow(user_statements.LOCK_BY_EMAIL, spellings(email, is_given=True))
    )
    if account is None:
        # An address that nobody vouches for is not kept: it would keep whoever it belongs to out.
        vouched_for = email if identity.email_verified else None
        made = await transaction.fetchrow(user_statements.CREATE, vouched_for, name, image)
        assert made is not None
        return str(made[0])
    if not identity.email_verified:
        raise NotLinked("There is an account with this e-mail address. Sign in the way you did before.")
    user, verified = account
    if not verified:
        await transaction.execute(user_statements.VERIFY, user)
        await transaction.execute(login_statements.END_ALL, user)
    await transaction.execute(user_statements.COMPLETE, user, name, image)
    return str(user)


def _can_be_kept(text: str) -> bool:
    """Whether it is text to Postgres: without NUL, and without half of a character."""
    return _kept(text) == text


def _kept(text: str | None) -> str | None:
    """What Postgres can keep of a name that somebody else made."""
    return None if text is None else text.encode(errors="ignore").decode().replace("\0", "") or None


_fits: type[AccountStore] = PostgresAccounts
