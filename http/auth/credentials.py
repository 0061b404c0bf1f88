"""Hashing passwords without holding the event loop up, and a few at a time (SPEC 4).

Overload: `WORKERS` hashes run at once, each with its 64 MiB, and `MAX_WAITING` more may wait; who comes then, or waits
longer than `WAIT_S`, is told to come again. Shutdown: `close` drops what waits; a hash under way ends by itself.

Sign-in by e-mail and password (SPEC 4): who that is, or that nobody is, at the same pace.

Tries are counted by account and by address before any hashing (`omnisonic.http.auth.password_attempts`), so that
guessing costs the guesser and not us. When guard or database do not answer, nobody passes (`Unavailable`).
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
from omnisonic.studio.accounts import AccountStore, EmailTaken, PasswordEntry

WORKERS: Final = 2
MAX_WAITING: Final = 32
WAIT_S: Final = 5.0

_T = TypeVar("_T")


class PasswordThreads:
    """The threads that hash. One for each process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="passwords")
        self._room = threading.BoundedSemaphore(WORKERS + MAX_WAITING)

    async def hash(self, password: str) -> str:
        """A new hash of `password`. Errors: `Unavailable`."""
        return await self._run(lambda: hash_password(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether the hash is one of `password`. Without a hash it is not, and takes as long. Errors: `Unavailable`."""
        if password_hash is None:
            await self.hash(password)
            return False
        return await self._run(lambda: is_password(password, password_hash))

    def close(self) -> None:
        """Take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if not self._room.acquire(blocking=False):
            raise _too_many()
        job = self._threads.submit(work)
        # Room is made when it has ended, not when nobody waits for it: who hangs up gets no more work done.
        job.add_done_callback(lambda _job: self._room.release())
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
    """An e-mail address, a password, and where to go then."""

    email: Annotated[str, AfterValidator(checked_email), WithJsonSchema(_EMAIL_SCHEMA)]
    password: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    callback_url: str | None = None


class CredentialsSignIn:
    """Tells who somebody is by their password. `registers`: an unknown e-mail makes itself an account."""

    def __init__(self, accounts: AccountStore, guard: Guard, passwords: PasswordThreads, *, registers: bool) -> None:
        self._accounts = accounts
        self._tries = PasswordAttempts(guard)
        self._passwords = passwords
        self._registers = registers

    async def validate(self, credentials: Credentials, address: str) -> PasswordEntry:
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
