"""`omnisonic gateway`: opens its socket, prepares the process, and runs
`omnisonic.operations.gateway_process.run_gateway` on trio.

Signals, overload and shutdown are the server's; a crash is logged and ends the process with exit code 1.
"""

import asyncio
import gc
import logging
from functools import partial
from typing import Final, NoReturn

import trio

from omnisonic.cli.lifecycle import ReadinessPipe, ready_printer, stop_with_supervisor
from omnisonic.cli.listening_sockets import inherited_listener, open_listener, url_of
from omnisonic.cli.startup_checks import check_schema
from omnisonic.errors import BadSettings
from omnisonic.operations.gateway_process import run_gateway
from omnisonic.operations.heartbeat import BEAT_S
from omnisonic.process.cpu_priority import shorten_time_slice
from omnisonic.process.descriptors import WANTED, allow_descriptors
from omnisonic.settings.settings import Settings

GC_THRESHOLDS: Final = (50_000, 20, 50)
"""New objects before a collection of the youngest generation, and how many of those make one of the next.

Python's default (700) has the collector look through the newest objects hundreds of times a second under fan-out, and
through everything that connections hold several times a minute: pauses that members hear as jitter. Nearly all garbage
here is freed by reference counts; the little that is in cycles can wait.
"""


DESCRIPTORS_OF_ITS_OWN: Final = 64
"""What the gateway needs beside one descriptor a connection."""
MOST_DESCRIPTORS: Final = 1_048_576
"""As many as Linux gives to a process, unless its administrator says otherwise."""

_log = logging.getLogger(__name__)


def run(settings: Settings, *, fd: int | None, supervised: bool) -> None:
    """Run until a signal. `fd` is an inherited listening socket; `supervised`: standard input is a lifeline.

    Errors: `CannotListen`, those of `run_gateway`, and with a database `DatabaseBehind`.
    """
    if supervised:
        stop_with_supervisor()
    if fd is None:
        listener = open_listener(settings.gateway_host, settings.gateway_port, setting="GATEWAY")
    else:
        listener = inherited_listener(fd)
    url = url_of(listener, "ws")
    ready = _ready if supervised else ready_printer(settings, "gateway", url, url=url)
    _allow_descriptors(settings.max_connections)
    settings.check_admin_token()
    if settings.access == "ticket" or settings.database_url is not None:
        _check_rights(settings)
    with listener:
        # What the imports made lives as long as the process: it need never be looked through again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        shorten_time_slice()  # a message waits for no upload or mixdown to have had its turn
        trio.run(partial(run_gateway, settings, [listener], ready=ready))


def _ready() -> None:
    """Tell the supervisor that the gateway is in service, and from now on that its loop goes on."""
    line = ReadinessPipe()
    line.send_ready()
    trio.lowlevel.spawn_system_task(_go_on, line)


async def _go_on(line: ReadinessPipe) -> NoReturn:
    while True:
        line.send_alive()
        await trio.sleep(BEAT_S)


def _check_rights(settings: Settings) -> None:
    """See, before anything runs, that nobody could forge tickets and that the database knows of sessions.

    Errors: `BadSettings`, and those of `check_schema`.
    """
    settings.check_secret()
    if settings.redis_url is None:
        wanting = "ROOM_ACCESS=ticket" if settings.access == "ticket" else "a gateway with DATABASE_URL"
        raise BadSettings([f"REDIS_URL is not set, and {wanting} needs it: by it the web says who may stay no longer."])
    if settings.database_url is not None:
        asyncio.run(check_schema(settings.database_url))


def _allow_descriptors(connections: int) -> None:
    """Let this process have a descriptor for each connection, as far as the system lets it; 0 is as many as it lets."""
    needed = connections + DESCRIPTORS_OF_ITS_OWN if connections else MOST_DESCRIPTORS
    allowed = allow_descriptors(max(WANTED, needed))
    if allowed < connections:
        _log.warning("gateway.few_descriptors", extra={"allowed": allowed, "max_connections": connections})
