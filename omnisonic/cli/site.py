"""What `web` and `parity` are as processes: an ASGI app on a listening socket, served by Hypercorn on asyncio.

Overload is the server's matter. A crash is logged and ends the process with exit code 1. SIGTERM or Ctrl-C lets
requests finish and ends within `STOP_S`; a second one ends it at once.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from quart import Quart

from omnisonic.cli.lifeline import end_with_supervisor, ready_in_asyncio
from omnisonic.cli.listening import inherited_listener, open_listener, url_of
from omnisonic.cli.stopping import stop_signal
from omnisonic.http.serving import hypercorn_config, serve_web

STOP_S: Final = 7.0


def open_site(
    host: str, port: int, *, setting: str, fd: int | None, supervised: bool
) -> tuple[socket.socket, Callable[[], None]]:
    """The socket to serve on, and what to call once it is served. `setting`: see `open_listener`.

    `fd` is an inherited listening socket; `supervised`: standard input is a lifeline. Errors: `CannotListen`.
    """
    # Hypercorn announces a URL and Ctrl-C, which is for this command to say, or for the supervisor.
    logging.getLogger(hypercorn_config.__module__).setLevel(logging.WARNING)
    if supervised:
        end_with_supervisor()
    listener = open_listener(host, port, setting=setting) if fd is None else inherited_listener(fd)
    return listener, ready_in_asyncio if supervised else partial(print, url_of(listener, "http"), flush=True)


async def serve_site(app: Quart, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve `app` until a signal. The listener is closed with it."""
    stop = stop_signal()
    try:
        async with asyncio.timeout(None) as bound:

            async def until_told() -> None:
                # Hypercorn asks for this once it accepts connections.
                ready()
                await stop.wait()
                bound.reschedule(asyncio.get_running_loop().time() + STOP_S)

            await serve_web(app, hypercorn_config(binds=[f"fd://{listener.detach()}"]), until_told)
    except TimeoutError:
        # What is still in flight has had its time.
        pass
