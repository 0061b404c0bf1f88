"""`omnisonic web`: opens its socket, builds the app on the shared stores, and serves it with Hypercorn on asyncio.

Overload is the server's matter. A crash is logged and ends the process with exit code 1. SIGTERM or Ctrl-C lets
requests finish and ends within `STOP_S`; a second one ends it at once.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from omnisonic.bus.valkey import ValkeyBus
from omnisonic.cli.lifeline import end_with_supervisor, say_ready
from omnisonic.cli.listening import inherited_listener, open_listener, port_of, url_of
from omnisonic.config import Settings
from omnisonic.errors import BadSettings
from omnisonic.http.app import create_app
from omnisonic.http.serving import hypercorn_config, serve_web
from omnisonic.logs import configure_logs
from omnisonic.presence.valkey import ValkeyPresence
from omnisonic.telemetry import configure_telemetry

STOP_S: Final = 7.0


def run(settings: Settings, *, fd: int | None, supervised: bool) -> None:
    """Run until a signal. `fd` is an inherited listening socket; `supervised`: standard input is a lifeline.

    Errors: `BadSettings` without `REDIS_URL`, for the web and the gateway would never hear of each other.
    """
    if settings.redis_url is None:
        raise BadSettings(
            ["REDIS_URL is not set: set it to where the gateway meets the web, or run `omnisonic serve`."]
        )
    configure_logs(settings, "web")
    # Hypercorn announces a URL and Ctrl-C, which is for this command to say, or for the supervisor.
    logging.getLogger(hypercorn_config.__module__).setLevel(logging.WARNING)
    if supervised:
        end_with_supervisor()
    if fd is None:
        listener = open_listener(settings.web_host, settings.web_port, setting="WEB")
    else:
        listener = inherited_listener(fd)
    ready = say_ready if supervised else partial(print, url_of(listener, "http"), flush=True)
    telemetry = configure_telemetry(settings, "web")
    try:
        asyncio.run(_serve(settings, settings.redis_url, listener, ready))
    finally:
        telemetry.shutdown()


async def _serve(settings: Settings, redis_url: str, listener: socket.socket, ready: Callable[[], None]) -> None:
    presence, bus = ValkeyPresence(redis_url), ValkeyBus(redis_url)
    app = create_app(
        settings, presence=presence, bus=bus, gateway_port=settings.gateway_port, web_port=port_of(listener)
    )
    stop = _stop_signal()
    try:
        async with asyncio.timeout(None) as bound:

            async def until_told() -> None:
                # Hypercorn asks for this once it accepts connections.
                ready()
                await stop.wait()
                bound.reschedule(asyncio.get_running_loop().time() + STOP_S)

            config = hypercorn_config(binds=[f"fd://{listener.detach()}"])
            await serve_web(app, config, until_told)
    except TimeoutError:
        # What is still in flight has had its time.
        pass
    finally:
        await presence.aclose()
        await bus.aclose()


def _stop_signal() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets. The second ends the process."""
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    return stop
