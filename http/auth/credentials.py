"""Sign-in by e-mail and password (SPEC 4): the credentials, the check, and the threads that hash.

Attempts are counted by account and by address before any hashing (`omnisonic.http.auth.password_attempts`), so that
guessing costs the guesser and not us. An unknown e-mail takes as long as a wrong password. Guard or database down:
nobody gets in (`Unavailable`).

Hashing never blocks the event loop. Overload: `WORKERS` hashes run at once, each with 64 MiB, and `MAX_WAITING` more
may wait; further ones, and those that wait longer than `WAIT_S`, get 503. Shutdown: `close` drops those that wait; a
running hash ends by itself.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, Field, WithJsonSchema

from omnisonic.errors import Unavailable
from omnisonic.http.auth.password_attempts import PasswordAttempts
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import Input
from omnisonic.identity.emails import LONGEST as LONGEST_EMAIL
from omnisonic.identity.emails import PATTERN, checked_email, normal_email
from omnisonic.identity.passwords import LONGEST, hash_password, is_password, needs_rehash
from omnisonic.stores.guard import Guard
from omnisonic.studio.accounts import EmailTaken, PasswordEntry
from omnisonic.studio.accounts.account_store import AccountStore

WORKERS: Final = 2
MAX_WAITING: Final = 32
WAIT_S: Final = 5.0

_T = TypeVar("_T")


class PasswordThreads:
    """Hashes passwords in threads. One for each process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="passwords")
        self._capacity = threading.BoundedSemaphore(WORKERS + MAX_WAITING)

    async def hash(self, password: str) -> str:
        """Hash `password`. Raises `Unavailable`."""
        return await self._run(lambda: hash_password(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether the hash is one of `password`. Without a hash: False, after the same time. Raises `Unavailable`."""
        if password_hash is None:
            await self.hash(password)
            return False
        return await self._run(lambda: is_password(password, password_hash))

    def close(self) -> None:
        """Accept no more work. Safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if not self._capacity.acquire(blocking=False):
            raise _too_many()
        job = self._threads.submit(work)
        # Released when the hash has ended, not when its caller left: disconnecting must not start more work.
        job.add_done_callback(lambda _job: self._capacity.release())
        try:
            async with asyncio.timeout(WAIT_S):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise _too_many() from None


def _too_many() -> Unavailable:
    return Unavailable("Too many people are signing in right now. Try again in a moment.", retry_after_s=2.0)


_EMAIL_SCHEMA: Final = {"type": "string", "maxLength": LONGEST_EMAIL, "pattern": f"^\\s*{PATTERN}\\s*$"}

log = logging.getLogger(__name__)


class Credentials(Input):
    """An e-mail address, a password, and the page to open afterwards."""

    email: Annotated[str, AfterValidator(checked_email), WithJsonSchema(_EMAIL_SCHEMA)]
    password: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    callback_url: str | None = None


class CredentialsSignIn:
    """Signs people in by password. `registers`: an unknown e-mail creates an account."""

    def __init__(self, accounts: AccountStore, guard: Guard, passwords: PasswordThreads, *, registers: bool) -> None:
        self._accounts = accounts
        self._attempts = PasswordAttempts(guard)
        self._passwords = passwords
        self._registers = registers

    async def validate(self, credentials: Credentials, address: str) -> PasswordEntry:
        """Check the credentials, which came from `address`. Returns their user and the stored hash.

        Raises `Refusal`: 401 `wrong_credentials` (unknown or wrong, nobody learns which), 429 `too_many_tries` after
        five bad ones in a minute; `Unavailable`.
        """
        async with self._attempts.start(normal_email(credentials.email), address) as attempt:
            entry = await self._find_entry(credentials)
            attempt.is_good = entry is not None
        if entry is None:
            raise Refusal(401, "wrong_credentials", "That e-mail and password do not belong together. Try again.")
        return entry

    async def _find_entry(self, credentials: Credentials) -> PasswordEntry | None:
        entry = await self._accounts.password_of(credentials.email)
        if entry is None and self._registers:
            return await self._register(credentials)
        return await self._verify_password(entry, credentials)

    async def _register(self, credentials: Credentials) -> PasswordEntry | None:
        password_hash = await self._passwords.hash(credentials.password)
        try:
            return PasswordEntry(await self._accounts.register(credentials.email, password_hash), password_hash)
        except EmailTaken:
            # The account has no password, or was created just now, perhaps by a second click.
            entry = await self._accounts.password_of(credentials.email)
            return None if entry is None else await self._verify_password(entry, credentials)

    async def _verify_password(self, entry: PasswordEntry | None, credentials: Credentials) -> PasswordEntry | None:
        email, password = credentials.email, credentials.password
        is_right = await self._passwords.matches(password, entry.password_hash if entry else None)
        if entry is None or not is_right:
            return None
        return await self._rehash(entry, email, password) if needs_rehash(entry.password_hash) else entry

    async def _rehash(self, entry: PasswordEntry, email: str, password: str) -> PasswordEntry | None:
        """Hash the right password with today's parameters and store that. Returns the entry that is stored then.

        None when another password was stored meanwhile.
        """
        try:
            renewed = PasswordEntry(entry.user, await self._passwords.hash(password))
        except Unavailable:
            log.warning("password.rehash.failed")
            return entry
        try:
            if await self._accounts.rehash(entry.user, renewed.password_hash, replacing=entry.password_hash):
                return renewed
        except Unavailable:  # it may have been stored all the same
            log.warning("password.rehash.failed")
        stored = await self._accounts.password_of(email)
        if stored is None or stored in (entry, renewed):
            return stored
        # Another sign-in with the same password was faster, or the password was changed.
        return stored if await self._passwords.matches(password, stored.password_hash) else None
