"""Hashing passwords without holding the event loop up, and a few at a time (SPEC 4).

Overload: `WORKERS` hashes run at once, each with its 64 MiB, and `MAX_WAITING` more may wait; who comes then, or waits
longer than `WAIT_S`, is told to come again. Shutdown: `close` drops what waits; a hash under way ends by itself.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from omnisonic.errors import Unavailable
from omnisonic.identity.passwords import hash_password, is_password

WORKERS: Final = 2
MAX_WAITING: Final = 32
WAIT_S: Final = 5.0

_T = TypeVar("_T")


class Passwords:
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
