"""`omnisonic gateway`: opens its socket, prepares the process, and runs
`omnisonic.operations.gateway_process.run_gateway` on trio.

Overload and shutdown: see there. Crash: logged; the process exits with code 1.
"""

import asyncio
import gc
import logging
from functools import partial
from typing import Any, Final, NoReturn

import trio

from omnisonic import compilation
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.workers.place import WorkerPlace
from omnisonic.cli.gateway_workers import run_workers
from omnisonic.cli.lifecycle import ReadinessPipe, ready_printer, stop_with_supervisor
from omnisonic.cli.listening_sockets import inherited_listener, open_listener, url_of
from omnisonic.cli.room_class import load_room_class
from omnisonic.cli.startup_checks import check_schema
from omnisonic.errors import BadSettings
from omnisonic.operations.gateway_process import run_gateway
from omnisonic.operations.heartbeat import BEAT_S
from omnisonic.process.cpu_priority import shorten_time_slice
from omnisonic.process.descriptors import WANTED, allow_descriptors
from omnisonic.settings.settings import Settings

GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Thresholds of the garbage collector (gc.set_threshold).

With Python's default (700) it runs hundreds of times a second during fan-out, and visits all objects of all connections
several times a minute. Members hear these pauses as jitter. Nearly all garbage here is freed by reference counts; the
few cycles can wait.
"""
DESCRIPTORS_OF_ITS_OWN: Final = 64
"""File descriptors beside one for each connection."""
MOST_DESCRIPTORS: Final = 1_048_576
"""The most that Linux gives to a process by default."""

_log = logging.getLogger(__name__)


def run(settings: Settings, *, fd: int | None, supervised: bool, worker: str | None = None) -> None:
    """Run until a signal.

    Args:
        settings: The settings.
        fd: An inherited listening socket.
        supervised: Standard input is a readiness pipe.
        worker: The place of this process among the workers of a gateway, if it is one.

    Raises:
        CannotOpenSocket: It cannot listen.
        BadSettings: A setting is missing or weak, or there is no such room class.
        DatabaseBehind: Run `omnisonic migrate`.
        ProcessDied: A worker exits too often.
    """
    if supervised:
        stop_with_supervisor()
    room_class = _load_rooms(settings)
    if fd is None:
        listener = open_listener(settings.gateway_host, settings.gateway_port, setting="GATEWAY")
    else:
        listener = inherited_listener(fd)
    url = url_of(listener, "ws")
    ready = _start_heartbeats if supervised else ready_printer(settings, "gateway", url, url=url)
    place = None if worker is None else _read_place(worker)
    _allow_descriptors(settings.max_connections)
    settings.check_tokens()
    if settings.access == "ticket" or settings.database_url is not None:
        _check_tickets(settings)
    if place is None:
        _tell_build()
    if place is None and settings.gateway_workers > 1:
        with listener:
            run_workers(settings, listener, ready)
        return
    with listener:
        # Imported modules live as long as the process, so the garbage collector need not visit them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        shorten_time_slice()  # so that messages do not wait for uploads and mixdowns
        trio.run(partial(run_gateway, settings, [listener], ready=ready, room_class=room_class, place=place))


def _read_place(words: str) -> WorkerPlace:
    """The place of a worker. Raises `BadSettings`."""
    try:
        return WorkerPlace.of(words)
    except (ValueError, OSError) as problem:
        raise BadSettings([f"--worker {words} names no worker: {problem}."]) from None


def _load_rooms(settings: Settings) -> type[Room[Any]] | None:
    """The room class that the settings name; None for the studio's own rooms. Raises `BadSettings`."""
    if settings.gateway_rooms is None:
        return None
    room_class = load_room_class(settings.gateway_rooms)
    _log.info("gateway.rooms", extra={"room_class": settings.gateway_rooms})
    return room_class


def _tell_build() -> None:
    """Log whether the rooms run compiled. A build that is there and does not run is a warning."""
    build = compilation.current_build()
    if build.is_compiled:
        _log.info("gateway.build", extra={"build": "compiled"})
    else:
        level = logging.WARNING if build.mend else logging.INFO
        _log.log(level, "gateway.build", extra={"build": "pure", "reason": build.reason})


def _start_heartbeats() -> None:
    """Tell the supervisor that the gateway is ready, and send heartbeats from trio's loop."""
    pipe = ReadinessPipe()
    pipe.send_ready()
    trio.lowlevel.spawn_system_task(_send_heartbeats, pipe)


async def _send_heartbeats(pipe: ReadinessPipe) -> NoReturn:
    while True:
        pipe.send_alive()
        await trio.sleep(BEAT_S)


def _check_tickets(settings: Settings) -> None:
    """Check that tickets cannot be forged, and that the database has the right version.

    Raises `BadSettings`, and the errors of `check_schema`.
    """
    settings.check_secret()
    if settings.redis_url is None:
        wanting = "ROOM_ACCESS=ticket" if settings.access == "ticket" else "a gateway with DATABASE_URL"
        raise BadSettings(
            [f"REDIS_URL is not set, and {wanting} needs it: the web uses it to say whose access has ended."]
        )
    if settings.database_url is not None:
        asyncio.run(check_schema(settings.database_url))


def _allow_descriptors(connections: int) -> None:
    """Raise the limit of file descriptors to one for each connection, as far as possible. 0: as many as possible."""
    needed = connections + DESCRIPTORS_OF_ITS_OWN if connections else MOST_DESCRIPTORS
    allowed = allow_descriptors(max(WANTED, needed))
    if allowed < connections:
        _log.warning("gateway.few_descriptors", extra={"allowed": allowed, "max_connections": connections})
