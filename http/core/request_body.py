"""The body of a request: streamed bodies, and `Expect: 100-continue` (RFC 9110, 10.1.1).

A streamed body takes the next chunk from the server only when the route asks for it, so that a slow storage slows the
client down. Quart's own body takes in whatever comes. A client that sent `Expect: 100-continue` gets the 100 when the
app first reads the body, so whoever is refused before that has sent nothing. Hypercorn alone would send it at once;
under another server, sending it is that server's job.

Overload: at most Hypercorn's queue is in memory (`QUEUED_CHUNKS` in `omnisonic.http.serving`). A client that stalls, or
is slower than `LEAST_BYTES_PER_S`, gets 408. A client that disconnects ends its request. Shutdown: a body that is not
complete in time is refused (`omnisonic.http.core.stopping`).
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, Final

import h11
from hypercorn.typing import ASGIReceiveCallable, HTTPScope
from quart import request
from quart.wrappers.request import Body

from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.stopping import ARRIVE_S, Stopped, Stopping

EXPECTATION_STATE: Final = "omnisonic.expectation"
"""The key of a connection's `Expectation` in the state of its requests' scopes."""


class ManualContinueConnection(h11.Connection):
    """An h11 connection that leaves sending 100 to an `Expectation`."""

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        return False


class Expectation:
    """Whether the client of one connection waits for 100 before it sends a body. `send` sends it an event of h11."""

    def __init__(
        self, connection: h11.Connection, send: Callable[[h11.InformationalResponse], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._send = send

    @property
    def is_open(self) -> bool:
        """Whether the client waits: it sent `Expect`, got no 100 yet, and has not begun to send anyway."""
        return self._connection.client_is_waiting_for_100_continue

    async def send_continue(self) -> None:
        """Send 100 if the client waits for it."""
        if self.is_open:
            with suppress(ConnectionError):
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))


class NoExpectation(Expectation):
    """The expectation of a client that does not wait."""

    def __init__(self) -> None:
        pass

    @property
    def is_open(self) -> bool:
        return False


def expectation_of(scope: HTTPScope) -> Expectation:
    """The expectation of the request with this `scope`."""
    return scope.get("state", {}).get(EXPECTATION_STATE) or NoExpectation()


class ExpectedBody(Body):
    """A body that is read into memory. 100 is sent when it is first read, unless it is refused for its length."""

    def __init__(self, length: int | None, max_length: int | None, expectation: Expectation) -> None:
        super().__init__(length, max_length)
        self._expectation = expectation

    async def __anext__(self) -> bytes:
        await self._send_continue()
        return await super().__anext__()

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._send_continue().__await__()
        return (yield from super().__await__())

    async def _send_continue(self) -> None:
        if self._must_raise is None:
            await self._expectation.send_continue()


GRACE_S: Final = 30.0
"""How long a body may arrive at any speed."""
LEAST_BYTES_PER_S: Final = 4096
"""Lowest average speed after that. Time in which the client waits for the app does not count."""
LONGEST_S: Final = 3600.0
"""How long a streamed body may take in all. Unreferenced objects live longer (`omnisonic.studio.uploads.retention`)."""
PATH: Final = "/api/upload"
TUS_PATH: Final = "/api/upload/tus"


class ClientGone(Refusal):
    """The client disconnected before its body was complete."""

    def __init__(self) -> None:
        super().__init__(400, "bad_request", "The request broke off.")


def is_streamed(scope: HTTPScope) -> bool:
    """Whether the body of this request may be too large for memory."""
    path = scope["path"]
    if scope["method"] == "POST":
        return path == PATH or path.startswith(TUS_PATH)
    return scope["method"] == "PATCH" and path.startswith(TUS_PATH)


class RequestBody:
    """A body that is received chunk by chunk. Iterate over it, or await it to read it to its end.

    Args:
        receive: The ASGI `receive` of the request.
        stall_s: Longest time between two chunks.
        stopping: The shutdown of the server, which shortens the time that the body has.
        expectation: Sends 100 before the first read.
        grace_s: After this long, the body must have arrived at `LEAST_BYTES_PER_S` on average.
    """

    def __init__(
        self,
        receive: ASGIReceiveCallable,
        stall_s: float,
        stopping: Stopping,
        expectation: Expectation,
        grace_s: float = GRACE_S,
    ) -> None:
        self._receive = receive
        self._stall_s = stall_s
        self._stopping = stopping
        self._expectation = expectation
        self._grace_s = grace_s
        self._clock = asyncio.get_running_loop().time
        self._ends_s = self._clock() + LONGEST_S
        self._is_whole = False
        self._is_gone = False
        self._received = 0
        self._waited_s = 0.0
        self._silent_s = 0.0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Read the next chunk. Raises `ClientGone`, `Stopped`, or `Refusal` (408)."""
        if chunk := await self.chunk():
            return chunk
        raise StopAsyncIteration

    async def chunk(self, until_s: float = math.inf) -> bytes | None:
        """Read the next chunk: empty at the end, None when it has not arrived by `until_s` of the loop's clock.

        Raises as `__anext__`.
        """
        await self._expectation.send_continue()
        while not self._is_whole:
            event = await self._receive_event(until_s)
            if event is None:
                return None
            if event["type"] == "http.disconnect":
                self._is_gone = True
                raise ClientGone
            self._is_whole = not event.get("more_body", False)
            if chunk := event.get("body", b""):
                self._received += len(chunk)
                return bytes(chunk)
        return b""

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._read_to_end().__await__()

    async def _read_to_end(self) -> bytes:
        async for _ in self:
            pass
        return b""

    async def discard(self) -> None:
        """Drop what still arrives, until the request is over."""
        while not self._is_gone:
            self._is_gone = (await self._receive())["type"] == "http.disconnect"

    async def _receive_event(self, until_s: float) -> Any:
        """Receive the next event from the server, or None when there is none by `until_s`."""
        now_s = self._clock()
        left_s = self._grace_s + self._received / LEAST_BYTES_PER_S - self._waited_s
        timeout_s = min(now_s + min(self._stall_s - self._silent_s, left_s), self._ends_s)
        bound = asyncio.timeout_at(min(timeout_s, until_s))
        try:
            async with bound:
                with self._stopping.shorten(bound, ARRIVE_S):
                    event = await self._receive()
        except TimeoutError:
            self._silent_s += self._clock() - now_s
            if bound.when() == until_s:
                return None
            if self._stopping.has_ended(bound):
                raise Stopped from None
            message = "The upload stood still, or came too slowly, for too long. Send it again."
            raise Refusal(408, "request_timeout", message) from None
        else:
            self._silent_s = 0.0
            return event
        finally:
            self._waited_s += self._clock() - now_s


async def request_body() -> AsyncIterator[bytes]:
    """Iterate over the body of the current request. Raises as `RequestBody`."""
    body: Any = request.body
    if isinstance(body, RequestBody):
        async for chunk in body:
            yield chunk


def chunk_reader() -> Callable[[float], Awaitable[bytes | None]]:
    """A function that reads the body of the current request, as `RequestBody.chunk`."""
    body: Any = request.body
    return body.chunk if isinstance(body, RequestBody) else _read_nothing


async def _read_nothing(until_s: float) -> bytes:  # noqa: ARG001
    return b""
