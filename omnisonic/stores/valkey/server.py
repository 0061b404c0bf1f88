"""One Valkey or Redis server: its connections, and the commands that are sent over them.

Overload: a command waits for one of the connections; the caller's deadline holds for that wait as well. A command that
is cancelled takes its connection with it, so that no later command can read its answer. Shutdown: `close`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ResponseError

from omnisonic.stores.valkey.errors import FAILURES

CONNECT_TIMEOUT_S: Final = 1.0
"""For opening a connection, where no shorter deadline holds, and for closing one."""

Word: TypeAlias = bytes | str | int
Words: TypeAlias = Sequence[Word]


class Address(NamedTuple):
    """Where a server listens; the path of a Unix socket has port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Connection(Protocol):
    """The part of redis-py's connection that a subscription uses. Every method raises `FAILURES`."""

    async def connect(self) -> None: ...

    async def send_command(self, *words: bytes | str) -> None: ...

    async def read_response(self, *, disconnect_on_error: bool = True) -> Any: ...

    async def disconnect(self, *, nowait: bool = False) -> None: ...


class OneServer:
    """The server at `address`, over at most `connections` connections that are opened as they are needed."""

    def __init__(self, address: Address, options: Mapping[str, Any], *, connections: int) -> None:
        self.address = address
        place = {"host": address.host, "port": address.port} if address.port else {"path": address.host}
        self._pool = ConnectionPool(**{**options, **place, "max_connections": connections})
        self._redis = Redis(connection_pool=self._pool)
        self._redis.response_callbacks.clear()  # answers stay as the server gives them, in a pipeline and alone
        self._connect: Callable[[], Connection] = self._pool.make_connection
        self.execute: Callable[..., Awaitable[Any]] = self._redis.execute_command
        """Send one command, while holding one of `slots`. Errors: `FAILURES`."""
        self.slots = asyncio.Semaphore(connections)

    async def run(self, commands: Sequence[Words], *, is_asking: bool = False) -> list[Any]:
        """Send all of `commands` in one round trip, and return their answers; an answer may be a `ResponseError`.

        `is_asking` announces each as one that another server of the cluster has sent here (ASK). Errors: `FAILURES`,
        where the outcome of each command is unknown.
        """
        async with self.slots:
            if len(commands) == 1 and not is_asking:
                try:
                    return [await self.execute(*commands[0])]
                except ResponseError as error:
                    return [error]
            pipeline = self._redis.pipeline(transaction=False)
            for words in commands:
                if is_asking:
                    pipeline.execute_command("ASKING")
                pipeline.execute_command(*words)
            answers = await pipeline.execute(raise_on_error=False)
            return answers[1::2] if is_asking else answers

    def new_connection(self) -> Connection:
        """A connection outside the pool, not yet open, for a caller that needs its own. The caller closes it."""
        return self._connect()

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._pool.aclose()
