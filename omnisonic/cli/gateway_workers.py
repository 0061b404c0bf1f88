"""The gateway as several processes behind one port: how they are run, and `omnisonic gateway` with `GATEWAY_WORKERS`.

The listening socket and the channels between the workers belong to the supervisor, which passes them on. So what waits
for a worker waits while it is restarted (`omnisonic.actors.workers`).

Overload, crash of a worker, shutdown: see `omnisonic.operations.supervisor`. Crash of this process: the workers stop
when their readiness pipe closes.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import trio

from omnisonic.actors.workers.place import WorkerChannels
from omnisonic.cli.output import open_output
from omnisonic.operations.child_process import ProcessSpec
from omnisonic.operations.heartbeat import SILENT_S
from omnisonic.operations.supervisor import run_processes
from omnisonic.settings.settings import Settings

GROUP: Final = "gateway"


def worker_names(count: int) -> list[str]:
    """The names of the gateway's processes: `gateway`, or `gateway-1` and so on."""
    return [GROUP] if count == 1 else [f"{GROUP}-{number}" for number in range(1, count + 1)]


def worker_specs(
    listener: socket.socket, environ: Mapping[str, str], channels: WorkerChannels, count: int
) -> list[ProcessSpec]:
    """How to run each of `count` workers on `listener`. They start and stop together."""
    fds = (listener.fileno(), *channels.fds)
    return [
        ProcessSpec(
            name,
            (
                sys.executable,
                "-m",
                "omnisonic",
                "gateway",
                "--fd",
                str(fds[0]),
                "--supervised",
                "--worker",
                channels.words(i),
            ),
            environ,
            pass_fds=fds,
            group=GROUP,
            silent_s=SILENT_S,
        )
        for i, name in enumerate(worker_names(count))
    ]


def run_workers(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Run the workers of a gateway until a signal. Calls `ready` when all accept connections.

    Raises:
        BadSettings: This system does not hand sockets over.
        ProcessDied: A worker exits too often. All of them have been stopped.
    """
    channels = WorkerChannels(settings.gateway_workers)
    try:
        trio.run(_run, settings, listener, channels, ready)
    finally:
        channels.close()


async def _run(
    settings: Settings, listener: socket.socket, channels: WorkerChannels, ready: Callable[[], None]
) -> None:
    stop, count = trio.Event(), settings.gateway_workers
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "GATEWAY_PORT": str(listener.getsockname()[1])}
    if settings.gateway_rooms is not None:
        environ["GATEWAY_ROOMS"] = settings.gateway_rooms
    names, as_json, least = worker_names(count), settings.logs_json, settings.log_level
    async with (
        open_output(sys.stderr.fileno(), names, os.environ, as_json=as_json, least=least) as output,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(partial(_stop_on_signals, stop, listener, nursery.cancel_scope.cancel))
        await run_processes(
            worker_specs(listener, environ, channels, count),
            on_line=output.line,
            on_restart=output.report,
            stop=stop,
            started=ready,
        )
        nursery.cancel_scope.cancel()


async def _stop_on_signals(
    stop: trio.Event,
    listener: socket.socket,
    stop_now: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Stop all workers at the first signal, and kill them at the second."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                stop_now()
            else:
                listener.close()
                stop.set()
