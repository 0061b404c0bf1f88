"""The web's server: Hypercorn's HTTP/1.1 protocol on connections that we accept, limit and time ourselves (SPEC 1, 3).

Overload: connections over the limits are refused (`omnisonic.http.core.acceptor`), slow peers are cut off
(`omnisonic.http.core.connection`). Crash: an exception is one 500. Shutdown: no new connections; requests in flight
have `GRACE_S` to finish, uploads a little less, so that they can be answered (`omnisonic.http.core.stopping`); idle
connections are closed at once.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from hypercorn import Config
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.lifespan import Lifespan
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState

from omnisonic.http.core.acceptor import Acceptor, ConnectionLimits
from omnisonic.http.core.connection import Connection, Timeouts
from omnisonic.http.core.stopping import STATE, Stopping

GRACE_S: Final = 5.0
MAX_HEAD_BYTES: Final = 16_384
QUEUED_CHUNKS: Final = 4
"""Chunks of a body, of up to 64 KiB, that are read from the socket before the app asks for them."""

log = logging.getLogger(__name__)


def hypercorn_config() -> Config:
    """The configuration of Hypercorn's protocol."""
    config = Config()
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    config.max_app_queue_size = QUEUED_CHUNKS
    config.include_server_header = False
    # One structured line for an event, from us: no access log, and the server's own messages go to our log.
    config.accesslog = None
    config.errorlog = log
    return config


async def serve_web(
    app: ASGIFramework,
    listener: socket.socket,
    shutdown_trigger: Callable[[], Awaitable[None]],
    limits: ConnectionLimits | None = None,
    timeouts: Timeouts | None = None,
) -> None:
    """Serve `app` on `listener` until `shutdown_trigger` returns, then finish what is in flight. In an asyncio loop.

    The listener, which is closed in the end, may be shared with other processes: each has `limits` of its own.
    """
    stopping = Stopping()
    config, context, state = hypercorn_config(), WorkerContext(None), LifespanState({STATE: stopping})
    wrapped_app = ASGIWrapper(app)
    connections: set[Connection] = set()

    async def serve(sock: socket.socket) -> None:
        connection = Connection(
            sock, wrapped_app, config, context, ConnectionState(state.copy()), timeouts or Timeouts()
        )
        connections.add(connection)
        try:
            await connection.run()
        finally:
            connections.discard(connection)

    async with _run_lifespan(wrapped_app, config, state):
        acceptor = Acceptor(listener, serve, limits or ConnectionLimits())
        acceptor.start()
        try:
            await shutdown_trigger()
        finally:
            acceptor.close()
            await context.terminated.set()
            stopping.begin()
            for connection in list(connections):
                connection.stop()
            await _wait_for_tasks(acceptor.tasks)


@asynccontextmanager
async def _run_lifespan(app: ASGIWrapper, config: Config, state: LifespanState) -> AsyncIterator[None]:
    """Run the lifespan of the app around the block."""
    lifespan = Lifespan(app, config, asyncio.get_running_loop(), state)
    lifespan_task = asyncio.create_task(lifespan.handle_lifespan())
    try:
        await lifespan.wait_for_startup()
        if lifespan_task.done() and (failure := lifespan_task.exception()) is not None:
            raise failure
        yield
        await lifespan.wait_for_shutdown()
    finally:
        lifespan_task.cancel()
        with suppress(asyncio.CancelledError):
            await lifespan_task


async def _wait_for_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for requests in flight, and cancel them after `GRACE_S`."""
    if not tasks:
        return
    _, remaining = await asyncio.wait(tasks, timeout=GRACE_S)
    for task in remaining:
        task.cancel()
    if remaining:
        await asyncio.wait(remaining)
