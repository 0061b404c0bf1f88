"""Shutdown for uploads: they get a little time to complete, and then 503 with `Retry-After`.

All other requests finish within the server's grace period, but an upload may take an hour and would be cut off without
a response. Each server owns one `Stopping`, found in the ASGI scope's state. A request that was not served by
`omnisonic.http.serving` has none and is never cut off here. Times are those of the running loop.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from quart import request

from omnisonic.http.core.errors import Refusal, retry_after

STATE: Final = "omnisonic.stopping"
"""The key in the scope's state."""
ARRIVE_S: Final = 2.0
"""How long after the stop has begun a body may still arrive."""
ANSWER_S: Final = 3.0
"""How long after it a request may still run: with its response less than the server's `GRACE_S`."""
RETRY_S: Final = 5.0
"""The server is running again by then."""


class Stopped(Refusal):
    """The server stops before the upload was complete. Only a resumable upload keeps what has arrived."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "unavailable",
            "The studio is being started again. Send the file once more in a moment.",
            headers=retry_after(RETRY_S),
        )


class Stopping:
    """The shutdown of one server, which calls `begin`."""

    def __init__(self) -> None:
        self._began_s = math.inf
        self._bounds: dict[asyncio.Timeout, float] = {}

    @property
    def has_begun(self) -> bool:
        return self._began_s < math.inf

    def begin(self) -> None:
        """Start the stop: shorten the registered timeouts, and those registered later."""
        self._began_s = asyncio.get_running_loop().time()
        for bound, within_s in self._bounds.items():
            _shorten(bound, self._began_s + within_s)

    @contextmanager
    def shorten(self, bound: asyncio.Timeout, within_s: float) -> Iterator[None]:
        """Let `bound`, an entered timeout, expire at the latest `within_s` after the stop has begun."""
        if self.has_begun:
            _shorten(bound, self._began_s + within_s)
        self._bounds[bound] = within_s
        try:
            yield
        finally:
            del self._bounds[bound]

    def has_ended(self, bound: asyncio.Timeout) -> bool:
        """Whether the stop made this `bound` expire."""
        when_s = bound.when()
        return when_s is not None and bound.expired() and when_s >= self._began_s


def stopping_of(scope: Mapping[str, Any]) -> Stopping:
    """The shutdown state of the server of this request."""
    found = (scope.get("state") or {}).get(STATE)
    return found if isinstance(found, Stopping) else Stopping()


@asynccontextmanager
async def finish_before_stop() -> AsyncIterator[None]:
    """Limit the block to the time that a stopping server leaves it. Raises `Stopped`."""
    stopping = stopping_of(request.scope)
    bound = asyncio.timeout(None)
    try:
        async with bound:
            with stopping.shorten(bound, ANSWER_S):
                yield
    except TimeoutError:
        if stopping.has_ended(bound):
            raise Stopped from None
        raise


def _shorten(bound: asyncio.Timeout, until_s: float) -> None:
    when_s = bound.when()
    if not bound.expired() and (when_s is None or until_s < when_s):
        bound.reschedule(until_s)
