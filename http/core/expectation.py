"""`Expect: 100-continue` (RFC 9110, 10.1.1): a client that waits to be asked before it sends the body of its request.

It is asked when the app first reads the body. So who is refused before that has sent nothing. Hypercorn would ask as
soon as it has the head of a request. Under another server the asking is that server's. Crash, and a peer that hangs up
before it was asked: reading the body tells.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, Final

import h11
from hypercorn.typing import HTTPScope
from quart.wrappers.request import Body

STATE: Final = "omnisonic.expectation"
"""Where the `Expectation` of a connection is, in the state of its requests' scopes."""


class PatientConnection(h11.Connection):
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
