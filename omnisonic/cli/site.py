"""Serves the ASGI app of `web` or `parity` on a listening socket, with Hypercorn on asyncio.

Overload: see `omnisonic.http.core.acceptor`. Crash: logged; the process exits with code 1. Shutdown: SIGTERM or Ctrl-C
lets requests finish, for `STOP_S` at most; a second one ends the process at once.
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
"""File descriptors for everything but connections and their files; above all for the stores."""

_log = logging.getLogger(__name__)


def open_site(
    settings: Settings, part: Literal["web", "parity"], *, fd: int | None, supervised: bool
) -> tuple[socket.socket, Callable[[], None]]:
    """Open the listening socket of `part`.

    Args:
        settings: The settings.
        part: `web` or `parity`.
        fd: An inherited listening socket.
        supervised: Standard input is a readiness pipe.

    Returns:
        The socket, and the function to call when connections are accepted.

    Raises:
        CannotOpenSocket: With a sentence that says what to do.
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
    """Serve `app` until a signal, and close the listener."""
    stop = stop_on_signals()
    wanted = ConnectionLimits(
        settings.web_max_connections, settings.web_max_connections_per_address, settings.trusted_proxies
    )
    limits = wanted.within(allow_descriptors() - DESCRIPTORS_OF_ITS_OWN)
    if limits.total < wanted.total:
        _log.warning("web.few_descriptors", extra={"allowed": limits.total, "max_connections": wanted.total})
    try:
        async with asyncio.timeout(None) as bound:

            async def wait_for_stop() -> None:
                # Called when connections are accepted.
                ready()
                await stop.wait()
                bound.reschedule(asyncio.get_running_loop().time() + STOP_S)

            await serve_web(app, listener, wait_for_stop, limits)
    except TimeoutError:
        # Requests that are still running are cut off.
        pass
