"""`omnisonic serve`: the whole studio on one machine, each part a process of its own (DESIGN 1).

It opens the listening sockets itself and hands them to its parts: the ports are known and checked before anything
starts, and while a part is restarted, its newcomers wait in the socket's backlog. What the parts are told, secrets
included, goes by environment.

Overload, crashes and shutdown of the parts: `omnisonic.processes`. A crash of this process itself: the parts notice
that their lifeline closed and stop, Valkey dies on its leash.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from omnisonic import __version__
from omnisonic.cli.listening import open_listener, port_of, url_of
from omnisonic.cli.output import Output, open_output
from omnisonic.config import Settings
from omnisonic.data_directory import data_directory
from omnisonic.embedded.valkey import EmbeddedValkey
from omnisonic.logs import configure_logs
from omnisonic.processes import ProcessSpec, run_processes


@dataclass(frozen=True, slots=True)
class Studio:
    """What one `serve` holds: its settings, its two listening sockets, and the directory for its files."""

    settings: Settings
    web: socket.socket
    gateway: socket.socket
    data: Path

    def stop_listening(self) -> None:
        """Let go of the sockets; the parts have their own."""
        self.web.close()
        self.gateway.close()


def run(settings: Settings) -> None:
    """Run until a signal.

    Errors: `CannotListen`, `UnusableDataDirectory` and `EmbeddedUnavailable` before anything has started;
    `ProcessDied` when a part cannot be kept up, after all of them were stopped.
    """
    configure_logs(settings, "serve")
    with (
        closing(open_listener(settings.web_host, settings.web_port, setting="WEB")) as web,
        closing(open_listener(settings.gateway_host, settings.gateway_port, setting="GATEWAY")) as gateway,
        data_directory(settings.data_dir) as data,
    ):
        trio.run(_serve, Studio(settings, web, gateway, data))


async def _serve(studio: Studio) -> None:
    valkey = EmbeddedValkey(studio.data / "valkey") if studio.settings.redis_url is None else None
    if valkey is not None:
        await valkey.end_stale()
    specs = _specs(studio, valkey)
    stop = trio.Event()
    names = [spec.name for spec in specs]
    async with open_output(sys.stdout.fileno(), names, os.environ) as output, trio.open_nursery() as nursery:
        await nursery.start(partial(_obey_signals, studio, output, stop, nursery.cancel_scope.cancel))
        await run_processes(specs, hear=output.line, stop=stop, started=partial(output.say, _welcome(studio)))
        nursery.cancel_scope.cancel()


async def _obey_signals(
    studio: Studio,
    output: Output,
    stop: trio.Event,
    at_once: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """The first signal stops everything in order, the second at once. A terminal that hangs up is a signal, too."""
    numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # nohup
    with trio.open_signal_receiver(*numbers) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                at_once()
            else:
                studio.stop_listening()
                output.say("Stopping. Once more stops at once.")
                stop.set()


def _specs(studio: Studio, valkey: EmbeddedValkey | None) -> list[ProcessSpec]:
    """The parts in the order in which they start."""
    environ = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "OMNISONIC_DATA_DIR": str(studio.data),
        # The real ports: the gateway lets the web's own pages in, and the web tells pages where the gateway is.
        "WEB_PORT": str(port_of(studio.web)),
        "GATEWAY_PORT": str(port_of(studio.gateway)),
    }
    if valkey is not None:
        environ["REDIS_URL"] = valkey.url
    parts = [_part("gateway", studio.gateway, environ), _part("web", studio.web, environ)]
    return parts if valkey is None else [valkey.spec(), *parts]


def _part(name: str, listener: socket.socket, environ: dict[str, str]) -> ProcessSpec:
    fd = listener.fileno()
    command = (sys.executable, "-m", "omnisonic", name, "--fd", str(fd), "--supervised")
    return ProcessSpec(name, command, environ, pass_fds=(fd,))


def _welcome(studio: Studio) -> str:
    settings = studio.settings
    if settings.access == "open":
        rooms = "open: whoever reaches the gateway may enter"
    else:
        rooms = "by ticket: nobody can enter until there are accounts; ROOM_ACCESS=open lets everybody in"
    rows = {
        "Studio": settings.nextauth_url or url_of(studio.web, "http"),
        "Gateway": settings.gateway_public_url or url_of(studio.gateway, "ws"),
        "Data": str(studio.data),
        "Rooms": rooms,
        "Stop": "Ctrl-C",
    }
    lines = [f"  {label:<8}  {value}" for label, value in rows.items()]
    return "\n".join(["", f"Omnisonic Studio {__version__} is running.", "", *lines, ""])
