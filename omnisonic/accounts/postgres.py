"""The account store on Postgres. One statement a call; where it takes more, one transaction.

Overload and crash of the server: `Unavailable` (`omnisonic.database.pool`); a transaction that breaks off never was.
Shutdown: whoever opened the database closes it.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from asyncpg.exceptions import UniqueViolationError

from omnisonic.accounts import AccountStore, EmailTaken, Identity, NotLinked, PasswordChanged, PasswordEntry, SignedIn
from omnisonic.database import identities, invites, logins, users
from omnisonic.database.login_use import LoginUse
from omnisonic.database.pool import Connection, Database, Row
from omnisonic.emails import normal_or_same, spellings
from omnisonic.errors import InvalidInput
from omnisonic.logins import IDLE_S, login_id, new_token
from omnisonic.models import LoginId, Person, UserId

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
        row = await self._by_email(users.HASH_OF, email, spellings(email))
        return None if row is None else PasswordEntry(*row)

    async def register(self, email: str, password_hash: str, *, name: str | None = None) -> UserId:
        normal = normal_or_same(email)
        row = await self._by_email(users.REGISTER, email, spellings(email), normal, password_hash, _kept(name))
        if row is None:
            raise EmailTaken("There is an account with this e-mail address already. Sign in instead.")
        return str(row[0])

    async def set_password(self, email: str, password_hash: str) -> UserId | None:
        if not _can_be_kept(email):
            return None
        async with self._database.transaction() as transaction:
            row = await transaction.fetchrow(users.SET_HASH, spellings(email), password_hash)
            if row is None:
                return None
            await transaction.execute(logins.END_ALL, row[0])
            return str(row[0])

    async def rehash(self, user: UserId, password_hash: str, *, replacing: str | None = None) -> None:
        await self._database.row(users.REHASH, user, password_hash, replacing)

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
        if await self._database.row(logins.OPEN, login_id(token), user, replacing, password_hash) is None:
            raise PasswordChanged("Your password was changed just now. Sign in with the new one.")
        return token

    async def end_login(self, login: LoginId) -> bool:
        return await self._database.row(logins.END, login) is not None

    async def signed_in(self, login: LoginId) -> SignedIn | None:
        row = await self._database.row(logins.SIGNED_IN, login)
        if row is None:
            return None
        self._use.note(login)
        return SignedIn(Person(*row[:4]), row[4])

    async def touch(self, login: LoginId) -> None:
        await self._database.row(logins.TOUCH, login)

    async def sweep(self) -> int:
        idle = timedelta(seconds=IDLE_S)
        return await self._swept(logins.SWEEP, idle) + await self._swept(invites.SWEEP)

    async def _by_email(self, statement: str, email: str, *values: object) -> Row | None:
        """The row of a statement about an e-mail address; none when no account can have it."""
        return await self._database.row(statement, *values) if _can_be_kept(email) else None

    async def _identified(self, identity: Identity) -> UserId:
        """As `identify`, once. Errors: `UniqueViolationError` when somebody else was faster."""
        async with self._database.transaction() as transaction:
            known = await transaction.fetchrow(identities.FIND, identity.provider, identity.subject)
            if known is not None:
                return str(known[0])
            user = await _account_for(transaction, identity)
            await transaction.execute(identities.ADD, identity.provider, identity.subject, user)
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
        None if email is None else await transaction.fetchrow(users.LOCK_BY_EMAIL, spellings(email, is_given=True))
    )
    if account is None:
        # An address that nobody vouches for is not kept: it would keep whoever it belongs to out.
        vouched_for = email if identity.email_verified else None
        made = await transaction.fetchrow(users.CREATE, vouched_for, name, image)
        assert made is not None
        return str(made[0])
    if not identity.email_verified:
        raise NotLinked("There is an account with this e-mail address. Sign in the way you did before.")
    user, verified = account
    if not verified:
        await transaction.execute(users.VERIFY, user)
        await transaction.execute(logins.END_ALL, user)
    await transaction.execute(users.COMPLETE, user, name, image)
    return str(user)


def _can_be_kept(text: str) -> bool:
    """Whether it is text to Postgres: without NUL, and without half of a character."""
    return _kept(text) == text


def _kept(text: str | None) -> str | None:
    """What Postgres can keep of a name that somebody else made."""
    return None if text is None else text.encode(errors="ignore").decode().replace("\0", "") or None


_fits: type[AccountStore] = PostgresAccounts
