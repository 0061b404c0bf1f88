"""Hypercorn, set up for the web app (SPEC 1, 3).

Overload: slow peers are cut off: a connection that sends no whole request head in time, a body or a reader that
stalls. Crash: an exception is one 500. Shutdown: no new connections, what is in flight has `GRACE_S` to finish, idle
connections are closed at once.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from hypercorn import Config
from hypercorn.asyncio import serve
from hypercorn.typing import Framework

GRACE_S: Final = 5.0
KEEP_ALIVE_S: Final = 8.0
"""How long a connection may be silent, or take to send the head of a request."""
BACKLOG: Final = 1024
MAX_HEAD_BYTES: Final = 16_384
AHEAD: Final = 4
"""How many chunks of a body, of 64 KiB, are taken from the socket before the app asks for them."""

log = logging.getLogger(__name__)


def hypercorn_config(*, binds: list[str]) -> Config:
    """The configuration for listening on `binds`: `host:port`, `unix:path` or `fd://number`.

    Use `fd://` with a socket of your own to listen on a free port and know which before the app is built.
    """
    config = Config()
    config.bind = binds
    config.backlog = BACKLOG
    # Over TLS only HTTP/1.1 is negotiated. Hypercorn cannot be told to ignore h2c: the app refuses it at its door.
    config.alpn_protocols = ["http/1.1"]
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.graceful_timeout = GRACE_S
    config.max_app_queue_size = AHEAD
    config.include_server_header = False
    # One structured line an event, from us: no access log, and the server's own words go where ours go.
    config.accesslog = None
    config.errorlog = log
    return config


async def serve_web(app: Framework, config: Config, shutdown_trigger: Callable[[], Awaitable[None]]) -> None:
    """Serve `app` until `shutdown_trigger` returns, then finish what is in flight. Runs in an asyncio loop.

    Errors: `OSError` when a listener cannot be opened.
    """
    await serve(app, config, shutdown_trigger=shutdown_trigger)
