"""The account store, on Postgres. Each call is one statement or one transaction.

Overload and a database that does not answer: `Unavailable` (`omnisonic.stores.database.pool`). Crash: a transaction is
done whole or not at all. Shutdown: the owner of `Database` closes it.
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
    EmailTaken,
    Identity,
    NotLinked,
    PasswordChanged,
    PasswordEntry,
    SignedIn,
)
from omnisonic.studio.accounts import account_statements as statements
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions.session_statements import SWEEP_INVITES

SWEPT_AT_ONCE: Final = 1000
"""Most rows that one statement of the sweep deletes, so that it holds no other up."""

RACES: Final = 2
"""How often `identify` is repeated: another request may create the same account, and then the same identity."""


class AccountStore:
    """The accounts in `database`. `use` notes that sign-ins are used; stores on the same database may share it.

    E-mail addresses are compared without regard to case or spelling (`omnisonic.identity.emails`). Older releases
    allowed two accounts under spellings of one address; of those, the one that is spelled exactly as asked is meant.

    Raises:
        Unavailable: Every method, when the database does not answer.
    """

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._database = database
        self._use = use or LoginUse(database)

    async def password_of(self, email: str) -> PasswordEntry | None:
        """The hash of the password of the account with that address; None without such an account or password."""
        row = await self._fetch_by_email(statements.FIND_PASSWORD, email, spellings(email))
        return None if row is None else PasswordEntry(user=row["id"], password_hash=row["password_hash"])

    async def register(self, email: str, password_hash: str, *, name: str | None = None) -> UserId:
        """Create an account with a password.

        Raises:
            EmailTaken: An account with this address exists, or is being created at the same time.
        """
        values = spellings(email), normal_or_same(email), password_hash, _storable(name)
        row = await self._fetch_by_email(statements.REGISTER, email, *values)
        if row is None:
            raise EmailTaken("There is an account with this e-mail address already. Sign in instead.")
        return str(row["id"])

    async def set_password(self, email: str, password_hash: str) -> UserId | None:
        """Change the password of an account and end all its sign-ins. None when there is no such account."""
        if not _is_storable(email):
            return None
        async with self._database.transaction() as transaction:
            row = await transaction.fetchrow(statements.SET_PASSWORD, spellings(email), password_hash)
            if row is None:
                return None
            await transaction.execute(statements.END_LOGINS, row["id"])
            return str(row["id"])

    async def rehash(self, user: UserId, password_hash: str, *, replacing: str | None = None) -> bool:
        """Store a new hash of the same password, made with newer parameters.

        Returns:
            False, and nothing happens, when the password was removed, or when its hash is not `replacing` any more:
            then it was changed in between, or hashed anew by another sign-in.
        """
        return await self._database.row(statements.REHASH, user, password_hash, replacing) is not None

    async def identify(self, identity: Identity) -> UserId:
        """The account of this identity. It is known already, or linked now by its verified address, or created.

        When it is linked to an account whose address nobody had verified, that account loses its password and its
        sign-ins: the person who created it never proved that the address was theirs.

        Raises:
            NotLinked: There is an account with this address, and the provider has not verified it.
            InvalidInput: `invalid_identity`.
        """
        if not _is_storable(identity.provider + identity.subject):
            raise InvalidInput("The sign-in provider gave no usable account. Try another way.", code="invalid_identity")
        for _ in range(RACES):
            with suppress(UniqueViolationError):
                return await self._identify_once(identity)
        return await self._identify_once(identity)

    async def open_login(
        self, user: UserId, *, replacing: LoginId | None = None, password_hash: str | None = None
    ) -> str:
        """Sign a user in, and end the sign-in `replacing` in the same step.

        `password_hash` is the hash that the password was checked against, when the user gave one: if the password was
        changed or removed since, nobody is signed in.

        Returns:
            The new token.

        Raises:
            PasswordChanged
        """
        token = new_token()
        if await self._database.row(statements.OPEN_LOGIN, login_id(token), user, replacing, password_hash) is None:
            raise PasswordChanged("Your password was changed just now. Sign in with the new one.")
        return token

    async def end_login(self, login: LoginId) -> bool:
        """End a sign-in. False when there was none."""
        return await self._database.row(statements.END_LOGIN, login) is not None

    async def signed_in(self, login: LoginId) -> SignedIn | None:
        """Whose sign-in it is, while it holds (`IDLE_S`, `LONGEST_S`). Counts as use of it."""
        row = await self._database.row(statements.READ_LOGIN, login)
        if row is None:
            return None
        self._use.note(login)
        return SignedIn(Person(row["id"], row["name"], row["email"], row["image"]), row["expires_at"])

    async def touch(self, login: LoginId) -> None:
        """Note that the sign-in was used."""
        await self._database.row(statements.TOUCH_LOGIN, login)

    async def sweep(self) -> int:
        """Delete the sign-ins and invites that have expired. Returns how many."""
        idle = timedelta(seconds=IDLE_S)
        return await self._sweep(statements.SWEEP_LOGINS, idle) + await self._sweep(SWEEP_INVITES)

    async def _fetch_by_email(self, statement: str, email: str, *values: object) -> Row | None:
        """The row of a statement about an e-mail address; none when no account can have it."""
        return await self._database.row(statement, *values) if _is_storable(email) else None

    async def _identify_once(self, identity: Identity) -> UserId:
        """As `identify`. Errors: `UniqueViolationError` when another request was faster."""
        async with self._database.transaction() as transaction:
            known = await transaction.fetchrow(statements.FIND_IDENTITY, identity.provider, identity.subject)
            if known is not None:
                return str(known["user_id"])
            user = await _link_account(transaction, identity)
            await transaction.execute(statements.ADD_IDENTITY, identity.provider, identity.subject, user)
            return user

    async def _sweep(self, statement: str, *values: object) -> int:
        total = 0
        while True:
            row = await self._database.row(statement, *values, SWEPT_AT_ONCE)
            swept = 0 if row is None else int(row["swept"])
            total += swept
            if swept < SWEPT_AT_ONCE:
                return total


async def _link_account(transaction: Connection, identity: Identity) -> UserId:
    """Find or create the account of an identity that is not known yet. Errors: `NotLinked`."""
    email = identity.email if identity.email and _is_storable(identity.email) else None
    name, image = _storable(identity.name), _storable(identity.image)
    account = (
        None
        if email is None
        else await transaction.fetchrow(statements.LOCK_USER_BY_EMAIL, spellings(email, is_given=True))
    )
    if account is None:
        # An address that is not verified is not stored: it would lock its real owner out.
        verified_email = email if identity.email_verified else None
        created = await transaction.fetchrow(statements.CREATE_USER, verified_email, name, image)
        assert created is not None
        return str(created["id"])
    if not identity.email_verified:
        raise NotLinked("There is an account with this e-mail address. Sign in the way you did before.")
    user = account["id"]
    if not account["verified"]:
        await transaction.execute(statements.VERIFY_EMAIL, user)
        await transaction.execute(statements.END_LOGINS, user)
    await transaction.execute(statements.COMPLETE_PROFILE, user, name, image)
    return str(user)


def _is_storable(text: str) -> bool:
    """Whether Postgres can store it: text without NUL and without lone surrogates."""
    return _storable(text) == text


def _storable(text: str | None) -> str | None:
    """The part of a text from outside that Postgres can store."""
    return None if text is None else text.encode(errors="ignore").decode().replace("\0", "") or None
