"""The client of a Valkey or Redis server (7 or later): commands with a deadline, errors as sentences.

Presence, bus and guard use it, each with its own instance. It belongs to the asyncio loop that first uses it.

Overload: a command waits for one of the connections, and that wait counts against its deadline. Crash of the server, or
silence: `Unavailable`, at once or when the deadline passes; nothing is retried here, and the next call connects anew. A
command that is given up takes its connection with it, so that no later command can read its answer. Shutdown: `aclose`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from omnisonic.errors import InvalidInput, Unavailable

TIMEOUT_S: Final = 0.25
"""The deadline of a command of the presence mirror (RELIABILITY 2)."""
CONNECTIONS: Final = 32
CONNECT_TIMEOUT_S: Final = 1.0
"""For opening a connection, where no shorter deadline holds, and for closing one."""

FAILURES: Final = (RedisError, OSError)
"""All that redis-py raises when the server is away or refuses. `TimeoutError` is an `OSError`."""

_REASONS: Final[Mapping[type[Exception], str]] = {
    AuthenticationError: "refuses the user or the password",
    BusyLoadingError: "is still loading its data",
    ReadOnlyError: "is a read-only replica",
    OutOfMemoryError: "is out of memory",
    NoPermissionError: "does not permit this user the command",
    RedisTimeoutError: "did not answer in time",
    TimeoutError: "did not answer in time",
    ResponseError: "answered with an error",
}
"""The text for each failure; the first class that fits. The server's own text is left out: it may contain secrets."""


class Connection(Protocol):
    """The part of redis-py's connection that a subscription uses. Every method raises `FAILURES`."""

    async def connect(self) -> None: ...

    async def send_command(self, *words: bytes | str) -> None: ...

    async def read_response(self, *, disconnect_on_error: bool = True) -> Any: ...

    async def disconnect(self, *, nowait: bool = False) -> None: ...


class ValkeyClient:
    """Commands to the server at `url` (`redis://`, `rediss://` or `unix://`), each with a deadline of `timeout_s`.

    At most `connections` are open at once. Errors: `InvalidInput` (`invalid_redis_url`) when `url` is none of these. No
    message ever holds the URL's secret.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, connections: int = CONNECTIONS) -> None:
        self.timeout_s = timeout_s
        self.name = _address(url)
        # RESP2 is enough, every server speaks it, and it saves a round trip of each new connection.
        options: dict[str, Any] = {
            **parse_url(url),
            "protocol": 2,
            "decode_responses": False,
            "max_connections": connections,
            "retry": Retry(NoBackoff(), 0),
            # Deadlines are set around whole commands; one around each read and write would cost a task each.
            "socket_timeout": None,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
        }
        self._pool = ConnectionPool(**options)
        self._execute: Callable[..., Awaitable[Any]] = Redis(connection_pool=self._pool).execute_command
        self._connect: Callable[[], Connection] = self._pool.make_connection
        self._slots = asyncio.Semaphore(connections)

    async def command(self, *words: bytes | str | int, **options: Any) -> Any:
        """Send one command and return its answer; `options` are redis-py's for parsing it. Errors: `Unavailable`."""
        try:
            async with asyncio.timeout(self.timeout_s), self._slots:
                return await self._execute(*words, **options)
        except FAILURES as failure:
            raise self.unavailable(failure) from failure

    def new_connection(self) -> Connection:
        """A connection outside the pool, not yet open, for a caller that needs its own. The caller closes it."""
        return self._connect()

    def unavailable(self, failure: Exception) -> Unavailable:
        """The error to raise for `failure`, one of `FAILURES`: a sentence with the address and without the secret."""
        reason = next((text for kind, text in _REASONS.items() if isinstance(failure, kind)), "cannot be reached")
        return Unavailable(f"The Redis server at {self.name} {reason}.")

    async def aclose(self) -> None:
        """Close all connections. Safe to call twice."""
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._pool.aclose()


def _address(url: str) -> str:
    """The part of `url` that may be shown: host and port, or the socket's path."""
    try:
        parse_url(url)
    except ValueError:
        # Not chained: Python's own message quotes the URL, and with it the secret.
        raise InvalidInput(
            "REDIS_URL must be a redis://, rediss:// or unix:// URL.", code="invalid_redis_url"
        ) from None
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
