"""What a stop of the server means to uploads: they have a little time to be whole, and are then told to come again.

Everything else is answered within the time that the server gives it. An upload may take an hour, and would be cut off
without a word. Owned by the server, one for each, and found in the ASGI scope's state; a request that was not served by
`omnisonic.http.serving` finds none, and is never cut off by it. Times are those of the running loop.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from quart import request

from omnisonic.http.core.errors import Refusal, retry_after

STATE: Final = "omnisonic.stopping"
"""Where in the scope's state it is."""
ARRIVE_S: Final = 2.0
"""How long after the stop has begun a body may still arrive."""
ANSWER_S: Final = 3.0
"""How long after it the request may still be worked on: with the goodbye less than the server's `GRACE_S`."""
RETRY_S: Final = 5.0
"""A part that is started again is there by then."""


class Stopped(Refusal):
    """The server stops before the upload was whole. Only a resumable one keeps what has arrived."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "unavailable",
            "The studio is being started again. Send the file once more in a moment.",
            headers=retry_after(RETRY_S),
        )


class Stopping:
    """Of one server. `begin` is called once it is to stop."""

    def __init__(self) -> None:
        self._began_s = math.inf
        self._bounds: dict[asyncio.Timeout, float] = {}

    @property
    def has_begun(self) -> bool:
        return self._began_s < math.inf

    def begin(self) -> None:
        """From now on time is short."""
        self._began_s = asyncio.get_running_loop().time()
        for bound, within_s in self._bounds.items():
            _shorten(bound, self._began_s + within_s)

    @contextmanager
    def shortens(self, bound: asyncio.Timeout, within_s: float) -> Iterator[None]:
        """Let `bound`, which is entered, be over at the latest `within_s` after the stop has begun."""
        if self.has_begun:
            _shorten(bound, self._began_s + within_s)
        self._bounds[bound] = within_s
        try:
            yield
        finally:
            del self._bounds[bound]

    def has_ended(self, bound: asyncio.Timeout) -> bool:
        """Whether it was the stop that ended this `bound`."""
        when_s = bound.when()
        return when_s is not None and bound.expired() and when_s >= self._began_s


def stopping_of(scope: Mapping[str, Any]) -> Stopping:
    """That of the server of this request."""
    found = (scope.get("state") or {}).get(STATE)
    return found if isinstance(found, Stopping) else Stopping()


@asynccontextmanager
async def finish_before_stop() -> AsyncIterator[None]:
    """Work on the current request until the server that stops can wait no longer. Errors: `Stopped`."""
    stopping = stopping_of(request.scope)
    bound = asyncio.timeout(None)
    try:
        async with bound:
            with stopping.shortens(bound, ANSWER_S):
                yield
    except TimeoutError:
        if stopping.has_ended(bound):
            raise Stopped from None
        raise


def _shorten(bound: asyncio.Timeout, until_s: float) -> None:
    when_s = bound.when()
    if not bound.expired() and (when_s is None or until_s < when_s):
        bound.reschedule(until_s)
