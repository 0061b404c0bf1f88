"""`Expect: 100-continue` (RFC 9110, 10.1.1): a client that waits to be asked before it sends the body of its request.

It is asked when the app first reads the body. So who is refused before that has sent nothing. Hypercorn would ask as
soon as it has the head of a request. Under another server the asking is that server's. Crash, and a peer that hangs up
before it was asked: reading the body tells.

The body of a request that is streamed: taken from the socket no faster than it is used (SPEC 3).

Quart's own body takes in whatever comes; this one asks the server for the next chunk only when the route asks for it,
so that a slow store slows the client down. Overload: at most Hypercorn's queue is in memory (`AHEAD` in
`omnisonic.http.serving`). A client that stalls, or is slower than any line, is refused; one that vanishes ends the
request. Shutdown: a body that is not whole in time is refused (`omnisonic.http.core.stopping`).
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

STATE: Final = "omnisonic.expectation"
"""Where the `Expectation` of a connection is, in the state of its requests' scopes."""


class ManualContinueConnection(h11.Connection):
    """An h11 connection on which only an `Expectation` says 100."""

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        return False


class Expectation:
    """What the client of one connection waits for before it sends a body. `send` sends an event of h11 to it."""

    def __init__(
        self, connection: h11.Connection, send: Callable[[h11.InformationalResponse], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._send = send

    @property
    def is_open(self) -> bool:
        """Whether the client waits: it asked to be asked, was not answered, and has not begun to send anyway."""
        return self._connection.client_is_waiting_for_100_continue

    async def meet(self) -> None:
        """Ask for the body, if the client waits for that."""
        if self.is_open:
            with suppress(ConnectionError):
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))


class NoExpectation(Expectation):
    """The same where the server has asked, or nobody waits."""

    def __init__(self) -> None:
        pass

    @property
    def is_open(self) -> bool:
        return False


def expectation_of(scope: HTTPScope) -> Expectation:
    """The expectation of the request with this `scope`."""
    return scope.get("state", {}).get(STATE) or NoExpectation()


class ExpectedBody(Body):
    """A body that is taken into memory, and asked for when it is first read: not if it is refused for its length."""

    def __init__(self, length: int | None, max_length: int | None, expectation: Expectation) -> None:
        super().__init__(length, max_length)
        self._expectation = expectation

    async def __anext__(self) -> bytes:
        await self._ask()
        return await super().__anext__()

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._ask().__await__()
        return (yield from super().__await__())

    async def _ask(self) -> None:
        if self._must_raise is None:
            await self._expectation.meet()


GRACE_S: Final = 30.0
"""How long a body may come as slowly as it likes."""
LEAST_BYTES_PER_S: Final = 4096
"""How fast it has to come after that, on average. What it waits for us does not count."""
LONGEST_S: Final = 3600.0
"""How long a streamed body may take in all. An object may be loose for longer (`omnisonic.studio.uploads.retention`).
"""
PATH: Final = "/api/upload"
TUS_PATH: Final = "/api/upload/tus"


class ClientGone(Refusal):
    """The client went away before its body was whole. Nobody is left to be told."""

    def __init__(self) -> None:
        super().__init__(400, "bad_request", "The request broke off.")


def is_streamed(scope: HTTPScope) -> bool:
    """Whether the body of this request may be too large for memory."""
    path = scope["path"]
    if scope["method"] == "POST":
        return path == PATH or path.startswith(TUS_PATH)
    return scope["method"] == "PATCH" and path.startswith(TUS_PATH)


class RequestBody:
    """A body that arrives by `receive`, with at most `stall_s` between two chunks. Awaited, it is read to its end.

    After `grace_s` of waiting for it, it has to have come at `LEAST_BYTES_PER_S` or more.
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
        """The next chunk. Errors: `ClientGone`; `Stopped`; `Refusal` (408)."""
        if chunk := await self.chunk():
            return chunk
        raise StopAsyncIteration

    async def chunk(self, until_s: float = math.inf) -> bytes | None:
        """The next chunk, which is empty at the end; None when it has not come until then, by the loop's clock.

        Errors: as `__anext__`.
        """
        await self._expectation.meet()
        while not self._is_whole:
            event = await self._event(until_s)
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
        return self._drained().__await__()

    async def _drained(self) -> bytes:
        async for _ in self:
            pass
        return b""

    async def discard(self) -> None:
        """Throw away what still arrives, until the request is over."""
        while not self._is_gone:
            self._is_gone = (await self._receive())["type"] == "http.disconnect"

    async def _event(self, until_s: float) -> Any:
        """What the server says next, or None when that is after `until_s`."""
        now_s = self._clock()
        left_s = self._grace_s + self._received / LEAST_BYTES_PER_S - self._waited_s
        patient_s = min(now_s + min(self._stall_s - self._silent_s, left_s), self._ends_s)
        bound = asyncio.timeout_at(min(patient_s, until_s))
        try:
            async with bound:
                with self._stopping.shortens(bound, ARRIVE_S):
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
    """The body of the current request, as it arrives. Errors: as `Incoming`."""
    body: Any = request.body
    if isinstance(body, RequestBody):
        async for chunk in body:
            yield chunk


def reader() -> Callable[[float], Awaitable[bytes | None]]:
    """Reads the body of the current request, as `Incoming.chunk` does."""
    body: Any = request.body
    return body.chunk if isinstance(body, RequestBody) else _nothing


async def _nothing(until_s: float) -> bytes:  # noqa: ARG001
    return b""
