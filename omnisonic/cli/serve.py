"""`omnisonic serve`: the whole studio on one machine, each part as a process (DESIGN 1).

It opens the listening sockets and passes them to the parts. So ports are checked before anything starts, and new
connections wait in the backlog while a part is restarted. Settings and secrets are passed in the environment.

The embedded database and Valkey start first, then the migrations run, then the parts start. On Linux these are forks of
a process that has imported what they need, and that starts with the database (`omnisonic.operations.fork_server`).

Overload, crash of a process, shutdown: see `omnisonic.operations.supervisor`. Crash of this process itself: the parts
stop when their readiness pipe closes, the embedded servers die with it (`omnisonic.process.die_with_parent`), and the
next start finds all data.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import trio

from omnisonic import __version__
from omnisonic.actors.workers.place import WorkerChannels
from omnisonic.cli.forked_parts import create_fork_server, without_secrets
from omnisonic.cli.gateway_workers import worker_names, worker_specs
from omnisonic.cli.listening_sockets import open_listener, port_of, url_of
from omnisonic.cli.output import Output, open_output
from omnisonic.cli.room_class import load_room_class
from omnisonic.identity.signing import believed_secrets, signing_secret
from omnisonic.operations.child_process import ProcessSpec, start_program
from omnisonic.operations.embedded.postgres import FOLDER as POSTGRES
from omnisonic.operations.embedded.postgres import MAX_CONNECTIONS, EmbeddedPostgres
from omnisonic.operations.embedded.valkey import FOLDER as VALKEY
from omnisonic.operations.embedded.valkey import EmbeddedValkey
from omnisonic.operations.fork_server import NAME as FORK_SERVER
from omnisonic.operations.gateway_records import CONNECTIONS as KEEPING_CONNECTIONS
from omnisonic.operations.heartbeat import SILENT_S
from omnisonic.operations.supervisor import run_processes
from omnisonic.process.descriptors import allow_descriptors
from omnisonic.settings.data_directory import GATEWAY, OPERATOR, data_directory, kept_secret, write_private
from omnisonic.settings.settings import Settings
from omnisonic.stores.database import CONNECTIONS

MIGRATE_S: Final = 3600.0
"""A migration may rewrite large tables, so it gets a lot of time."""
OTHER_CONNECTIONS: Final = 40
"""Connections to the embedded database for gateway, worker, operator, and a reserve."""
GATEWAY_CONNECTIONS: Final = CONNECTIONS + KEEPING_CONNECTIONS
"""Those of each further process of the gateway."""
WORKER_CONNECTIONS: Final = 2
"""Those of each mixdown that the worker makes at once."""
NICENESS: Final = 10
"""Added for Postgres and all parts but the gateway: rooms have priority over pages, uploads and mixdowns."""
IGNORED_LINE: Final = "WARNING Memory overcommit must be enabled"
"""Advice of Valkey for servers that save to disk, which the embedded one does not."""
PROVIDER_NAMES: Final = {"github": "GitHub", "google": "Google", "discord": "Discord"}
SERVERS: Final = "servers"
"""The group of what the parts need. Its processes start at the same time."""
BACKGROUND: Final = "background"
"""The group of what rooms never wait for. None of it needs another, so that they stop together, before the gateway."""


@dataclass(frozen=True, slots=True)
class Studio:
    """What one `serve` owns: settings, listening sockets (`parity` may be off), and the data directory.

    `channels` are those between the workers of the gateway, if it has several.
    """

    settings: Settings
    web: socket.socket
    gateway: socket.socket
    parity: socket.socket | None
    data: Path
    channels: WorkerChannels | None = None

    def stop_listening(self) -> None:
        """Close the sockets here; the parts have copies."""
        for listener in (self.web, self.gateway, self.parity):
            if listener is not None:
                listener.close()


def run(settings: Settings) -> None:
    """Run until a signal.

    Raises:
        BadSettings, CannotOpenSocket, UnusableDataDirectory, EmbeddedUnavailable: Before anything has started.
        ProcessDied: A process exits too often. All of them have been stopped.
    """
    allow_descriptors()
    settings.check_sign_in()
    if settings.gateway_rooms is not None:
        load_room_class(settings.gateway_rooms)  # the gateway does so, too, but only after the database has started
    with ExitStack() as held:
        web = held.enter_context(open_listener(settings.web_host, settings.web_port, setting="WEB"))
        gateway = held.enter_context(open_listener(settings.gateway_host, settings.gateway_port, setting="GATEWAY"))
        parity = None
        if settings.parity_on:
            parity = held.enter_context(open_listener(settings.parity_host, settings.parity_port, setting="PARITY"))
        channels = None
        if settings.gateway_workers > 1:
            channels = held.enter_context(closing(WorkerChannels(settings.gateway_workers)))
        data = held.enter_context(data_directory(settings.data_dir))
        write_private(data / GATEWAY, f"{url_of(gateway, 'ws')}\n")
        try:
            trio.run(_serve, Studio(settings, web, gateway, parity, data, channels))
        finally:
            (data / GATEWAY).unlink(missing_ok=True)


async def _serve(studio: Studio) -> None:
    stop = trio.Event()
    names = _process_names(studio.settings)
    as_json, least = studio.settings.logs_json, studio.settings.log_level
    async with (
        open_output(sys.stdout.fileno(), names, os.environ, as_json=as_json, least=least) as output,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(partial(_handle_signals, studio, output, stop, nursery.cancel_scope.cancel))
        servers, urls = await _prepare_servers(studio)
        await run_processes(
            _with_fork_server(studio.settings, servers, _part_specs(studio, _environ(studio, urls))),
            on_line=partial(_print_line, output),
            on_restart=output.report,
            stop=stop,
            started=partial(_print_summary, studio, output),
        )
        nursery.cancel_scope.cancel()


def _print_line(output: Output, part: str, line: str) -> None:
    """Print a line of a process, unless it is `IGNORED_LINE`."""
    if IGNORED_LINE not in line:
        output.line(part, line)


async def _handle_signals(
    studio: Studio,
    output: Output,
    stop: trio.Event,
    stop_now: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Stop everything in order at the first signal, and at once at the second. SIGHUP counts, except under nohup."""
    numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # nohup
    with trio.open_signal_receiver(*numbers) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                stop_now()
            else:
                studio.stop_listening()
                output.note("Stopping. Press Ctrl-C again to stop at once.", "serve.stopping")
                stop.set()


async def _prepare_servers(studio: Studio) -> tuple[list[ProcessSpec], dict[str, str]]:
    """Prepare the embedded servers that are needed. Returns how to run them, and their URLs as variables."""
    specs, urls = [], {}
    if studio.settings.database_url is None:
        # In threads: programs may be copied, and the first start creates a cluster, which takes a second or two.
        others = OTHER_CONNECTIONS + (studio.settings.gateway_workers - 1) * GATEWAY_CONNECTIONS
        others += WORKER_CONNECTIONS * studio.settings.export_worker_concurrency
        wanted = CONNECTIONS * studio.settings.web_workers + others
        open_postgres = partial(EmbeddedPostgres, max_connections=max(MAX_CONNECTIONS, wanted))
        postgres = await trio.to_thread.run_sync(open_postgres, studio.data / POSTGRES)
        await postgres.end_stale()
        spec = await trio.to_thread.run_sync(postgres.spec)
        specs.append(replace(spec, niceness=_niceness(studio.settings)))
        urls["DATABASE_URL"] = postgres.url
    if studio.settings.redis_url is None:
        valkey = EmbeddedValkey(studio.data / VALKEY)
        await valkey.end_stale()
        specs.append(await trio.to_thread.run_sync(valkey.spec))
        urls["REDIS_URL"] = valkey.url
    return specs, urls


def _with_fork_server(settings: Settings, servers: list[ProcessSpec], parts: list[ProcessSpec]) -> list[ProcessSpec]:
    """The servers and the parts, in the order of their start. Where it can be, a fork server starts the parts."""
    start = start_program
    if sys.platform == "linux":
        fork_server = create_fork_server(settings)
        servers, start = [fork_server.spec, *servers], fork_server.start
    return [*(replace(each, group=SERVERS) for each in servers), *(replace(each, start=start) for each in parts)]


def _environ(studio: Studio, urls: dict[str, str]) -> dict[str, str]:
    """The environment of the parts. Secrets that are not set are created once, in the data directory."""
    environ = {
        **os.environ,
        **urls,
        "PYTHONUNBUFFERED": "1",
        "OMNISONIC_DATA_DIR": str(studio.data),
        "NEXTAUTH_SECRET": believed_secrets(signing_secret(studio.settings))[-1],
        # The real ports: the gateway allows the origin of the web, and the web tells pages where the gateway is.
        "WEB_PORT": str(port_of(studio.web)),
        "GATEWAY_PORT": str(port_of(studio.gateway)),
    }
    if studio.settings.gateway_rooms is not None:
        environ["GATEWAY_ROOMS"] = studio.settings.gateway_rooms
    if studio.settings.admin_token is None:
        environ["ADMIN_TOKEN"] = kept_secret(studio.data, OPERATOR)
    return environ


def _part_specs(studio: Studio, environ: dict[str, str]) -> list[ProcessSpec]:
    """The migrations and the parts, in the order of their start."""
    webs = [_part_spec("web", environ, studio.web, name=name) for name in _web_names(studio.settings)]
    background = [*webs, _part_spec("worker", environ)]
    if studio.parity is not None:
        background.append(_part_spec("parity", without_secrets(environ), studio.parity))  # it needs none
    niceness = _niceness(studio.settings)
    return [
        replace(_part_spec("migrate", environ), once=True, start_s=MIGRATE_S, silent_s=None),
        *_gateway_specs(studio, environ),
        *(replace(part, niceness=niceness, group=BACKGROUND) for part in background),
    ]


def _gateway_specs(studio: Studio, environ: dict[str, str]) -> list[ProcessSpec]:
    """The gateway: one process, or several workers."""
    if studio.channels is None:
        return [_part_spec("gateway", environ, studio.gateway)]
    return worker_specs(studio.gateway, environ, studio.channels, studio.settings.gateway_workers)


def _part_spec(
    command: str, environ: dict[str, str], listener: socket.socket | None = None, *, name: str | None = None
) -> ProcessSpec:
    """How to run `omnisonic COMMAND`, on `listener` if it has one. Its lines are printed under `name`."""
    fds = () if listener is None else (listener.fileno(),)
    options = [word for fd in fds for word in ("--fd", str(fd))]
    program = (sys.executable, "-m", "omnisonic", command, *options, "--supervised")
    return ProcessSpec(name or command, program, environ, pass_fds=fds, silent_s=SILENT_S)


def _niceness(settings: Settings) -> int:
    """The niceness of what rooms never wait for."""
    return NICENESS if settings.rooms_first else 0


def _process_names(settings: Settings) -> list[str]:
    """The names of all processes that may print."""
    gateways = worker_names(settings.gateway_workers)
    return [FORK_SERVER, "postgres", "valkey", "migrate", *gateways, *_web_names(settings), "worker", "parity"]


def _web_names(settings: Settings) -> list[str]:
    """`web`, or `web-1` and so on."""
    workers = settings.web_workers
    return ["web"] if workers == 1 else [f"web-{number}" for number in range(1, workers + 1)]


def _print_summary(studio: Studio, output: Output) -> None:
    """Print where everything is."""
    settings = studio.settings
    if settings.access == "open":
        rooms = "open: whoever reaches the gateway may enter any that is no session's"
    else:
        rooms = "for members: people enter the rooms of their own sessions, and of those shared with them"
    rows = {
        "Studio": settings.nextauth_url or url_of(studio.web, "http"),
        "Sign in": _ways_in(settings),
        "Gateway": settings.gateway_public_url or url_of(studio.gateway, "ws"),
        "Parity": "off" if studio.parity is None else url_of(studio.parity, "http"),
        "Data": str(studio.data),
        "Rooms": rooms,
        "Stop": "Ctrl-C",
    }
    if settings.gateway_rooms is not None:
        rows = {**rows, "Rooms": f"{rooms}; each is a {settings.gateway_rooms}"}
    lines = [f"  {label:<8}  {value}" for label, value in rows.items()]
    text = "\n".join(["", f"Omnisonic Studio {__version__} is running.", "", *lines, ""])
    fields = {label.lower().replace(" ", "_"): value for label, value in rows.items() if label != "Stop"}
    output.say(text, "serve.running", version=__version__, **fields)


def _ways_in(settings: Settings) -> str:
    """How people sign in."""
    ways = [PROVIDER_NAMES[name] for name in settings.providers_on]
    if not settings.credentials_on:
        return "with " + " or ".join(ways) if ways else "nobody can: set AUTH_ENABLE_CREDENTIALS or a provider"
    if settings.is_production:
        return "with " + " or ".join([*ways, "e-mail and password (`omnisonic users add` makes accounts)"])
    ways.append("any e-mail and password; an unknown e-mail makes an account")
    return "with " + ", or ".join(ways)
