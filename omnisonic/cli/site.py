"""What `web` and `parity` are as processes: an ASGI app on a listening socket, served by Hypercorn on asyncio.

Overload is the server's matter. A crash is logged and ends the process with exit code 1. SIGTERM or Ctrl-C lets
requests finish and ends within `STOP_S`; a second one ends it at once.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, Literal

from quart import Quart

from omnisonic.cli.lifecycle import ready_printer, start_heartbeats, stop_on_signals, stop_with_supervisor
from omnisonic.cli.listening_sockets import inherited_listener, open_listener, url_of
from omnisonic.http.core.acceptor import ConnectionLimits
from omnisonic.http.serving import serve_web
from omnisonic.process.descriptors import allow_descriptors
from omnisonic.settings.settings import Settings

STOP_S: Final = 7.0
DESCRIPTORS_OF_ITS_OWN: Final = 64
"""What a site needs beside its connections and the files that they carry: for the stores, above all."""

_log = logging.getLogger(__name__)


def open_site(
    settings: Settings, part: Literal["web", "parity"], *, fd: int | None, supervised: bool
) -> tuple[socket.socket, Callable[[], None]]:
    """The socket to serve `part` on, and what to call once it is served.

    `fd` is an inherited listening socket; `supervised`: standard input is a lifeline. Errors: `CannotListen`.
    """
    if supervised:
        stop_with_supervisor()
    if fd is None:
        host, port = getattr(settings, f"{part}_host"), getattr(settings, f"{part}_port")
        listener = open_listener(host, port, setting=part.upper())
    else:
        listener = inherited_listener(fd)
    url = url_of(listener, "http")
    return listener, start_heartbeats if supervised else ready_printer(settings, part, url, url=url)


async def serve_site(app: Quart, listener: socket.socket, ready: Callable[[], None], settings: Settings) -> None:
    """Serve `app` until a signal. The listener is closed with it."""
    stop = stop_on_signals()
    wanted = ConnectionLimits(
        settings.web_max_connections, settings.web_max_connections_per_address, settings.trusted_proxies
    )
    limits = wanted.within(allow_descriptors() - DESCRIPTORS_OF_ITS_OWN)
    if limits.total < wanted.total:
        _log.warning("web.few_descriptors", extra={"allowed": limits.total, "max_connections": wanted.total})
    try:
        async with asyncio.timeout(None) as bound:

            async def until_told() -> None:
                # Connections are accepted once this is asked for.
                ready()
                await stop.wait()
                bound.reschedule(asyncio.get_running_loop().time() + STOP_S)

            await serve_web(app, listener, until_told, limits)
    except TimeoutError:
        # What is still in flight has had its time.
        pass
