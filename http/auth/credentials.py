"""Sign-in by e-mail and password (SPEC 4): who that is, or that nobody is, at the same pace.

Tries are counted by account and by address before any hashing (`omnisonic.http.auth.password_attempts`), so that
guessing costs the guesser and not us. When guard or database do not answer, nobody passes (`Unavailable`).
"""

import logging
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from omnisonic.errors import Unavailable
from omnisonic.http.auth.password_attempts import PasswordAttempts
from omnisonic.http.auth.password_hashing import Passwords
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import Input
from omnisonic.identity.emails import LONGEST as LONGEST_EMAIL
from omnisonic.identity.emails import PATTERN, checked_email, normal_email
from omnisonic.identity.passwords import LONGEST, needs_rehash
from omnisonic.stores.guard import Guard
from omnisonic.studio.accounts import EmailTaken, PasswordEntry
from omnisonic.studio.accounts.account_store import AccountStore

_EMAIL_SCHEMA: Final = {"type": "string", "maxLength": LONGEST_EMAIL, "pattern": f"^\\s*{PATTERN}\\s*$"}

log = logging.getLogger(__name__)


class Credentials(Input):
    """An e-mail address, a password, and where to go then."""

    email: Annotated[str, AfterValidator(checked_email), WithJsonSchema(_EMAIL_SCHEMA)]
    password: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    callback_url: str | None = None


class CredentialsSignIn:
    """Tells who somebody is by their password. `registers`: an unknown e-mail makes itself an account."""

    def __init__(self, accounts: AccountStore, guard: Guard, passwords: Passwords, *, registers: bool) -> None:
        self._accounts = accounts
        self._tries = PasswordAttempts(guard)
        self._passwords = passwords
        self._registers = registers

    async def checked(self, credentials: Credentials, address: str) -> PasswordEntry:
        """Whose e-mail and password these are, and the hash that says so; `address` is where they come from.

        Errors: `Refusal`: 401 `wrong_credentials` (unknown or wrong, nobody learns which), 429 `too_many_tries` after
        five bad ones in a minute; `Unavailable`.
        """
        async with self._tries.one(normal_email(credentials.email), address) as attempt:
            entry = await self._whose(credentials)
            attempt.is_good = entry is not None
        if entry is None:
            raise Refusal(401, "wrong_credentials", "That e-mail and password do not belong together. Try again.")
        return entry

    async def _whose(self, credentials: Credentials) -> PasswordEntry | None:
        entry = await self._accounts.password_of(credentials.email)
        if entry is None and self._registers:
            return await self._register(credentials)
        return await self._verified(entry, credentials.password)

    async def _register(self, credentials: Credentials) -> PasswordEntry | None:
        password_hash = await self._passwords.hash(credentials.password)
        try:
            return PasswordEntry(await self._accounts.register(credentials.email, password_hash), password_hash)
        except EmailTaken:
            # An account without a password, or one that was made just now, by a second press of the button perhaps.
            entry = await self._accounts.password_of(credentials.email)
            return None if entry is None else await self._verified(entry, credentials.password)

    async def _verified(self, entry: PasswordEntry | None, password: str) -> PasswordEntry | None:
        is_right = await self._passwords.matches(password, entry.password_hash if entry else None)
        if entry is None or not is_right:
            return None
        return await self._rehashed(entry, password) if needs_rehash(entry.password_hash) else entry

    async def _rehashed(self, entry: PasswordEntry, password: str) -> PasswordEntry:
        """The entry with its password under today's parameters; as it was when that cannot be kept now."""
        try:
            newer = await self._passwords.hash(password)
            await self._accounts.rehash(entry.user, newer, replacing=entry.password_hash)
        except Unavailable:
            log.warning("password.rehash.failed")
            return entry
        return PasswordEntry(entry.user, newer)
