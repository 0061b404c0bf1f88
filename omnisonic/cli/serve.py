"""`omnisonic serve`: the whole studio on one machine, each part a process of its own (DESIGN 1).

It opens the listening sockets itself and hands them to its parts: the ports are known and checked before anything
starts, and while a part is restarted, its newcomers wait in the socket's backlog. What the parts are told, secrets
included, goes by environment.

The database and Valkey start first, when they are embedded; then the migrations are applied, and only then the parts
start. Overload, crashes and shutdown of all of them: `omnisonic.operations.supervisor`. A crash of this process itself:
the parts notice that their lifeline closed and stop, the servers die on their leashes, and the next start finds all
data there.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import trio

from omnisonic import __version__
from omnisonic.cli.listening_sockets import open_listener, port_of, url_of
from omnisonic.cli.output import Output, open_output
from omnisonic.identity.signing import signing_secret
from omnisonic.operations.child_process import ProcessSpec
from omnisonic.operations.embedded.postgres import FOLDER as POSTGRES
from omnisonic.operations.embedded.postgres import MAX_CONNECTIONS, EmbeddedPostgres
from omnisonic.operations.embedded.valkey import FOLDER as VALKEY
from omnisonic.operations.embedded.valkey import EmbeddedValkey
from omnisonic.operations.heartbeat import SILENT_S
from omnisonic.operations.supervisor import run_processes
from omnisonic.process.descriptors import allow_descriptors
from omnisonic.settings.data_directory import GATEWAY, OPERATOR, data_directory, kept_secret, write_private
from omnisonic.settings.settings import Settings
from omnisonic.stores.database.pool import CONNECTIONS

MIGRATE_S: Final = 3600.0
"""A migration may rewrite large tables; it is cut off only when it has surely gone astray."""
OTHER_CONNECTIONS: Final = 40
"""To the embedded database, beside those of the web: gateway, worker, operator, and a reserve."""
BEHIND_ROOMS: Final = 10
"""By how much pages, uploads and work come behind the rooms on the processors: music does not wait, a page may."""
NO_ADVICE: Final = "WARNING Memory overcommit must be enabled"
PROVIDER_NAMES: Final = {"github": "GitHub", "google": "Google", "discord": "Discord"}
CONFIDENTIAL: Final = (
    "DATABASE_URL",
    "REDIS_URL",
    "NEXTAUTH_SECRET",
    "ADMIN_TOKEN",
    "STORAGE_",
    "S3_",
    "AWS_",
    "MINIO_",
)
"""What the variables begin with that hold secrets, or make no sense without one."""


@dataclass(frozen=True, slots=True)
class Studio:
    """What one `serve` holds: its settings, its listening sockets, and the directory for its files.

    `parity` is None where that service is off.
    """

    settings: Settings
    web: socket.socket
    gateway: socket.socket
    parity: socket.socket | None
    data: Path

    def stop_listening(self) -> None:
        """Let go of the sockets; the parts have their own."""
        for listener in (self.web, self.gateway, self.parity):
            if listener is not None:
                listener.close()


def run(settings: Settings) -> None:
    """Run until a signal.

    Errors: `BadSettings`, `CannotListen`, `UnusableDataDirectory` and `EmbeddedUnavailable` before anything has
    started; `ProcessDied` when a part cannot be kept up, after all of them were stopped.
    """
    allow_descriptors()
    settings.check_sign_in()
    with ExitStack() as held:
        web = held.enter_context(open_listener(settings.web_host, settings.web_port, setting="WEB"))
        gateway = held.enter_context(open_listener(settings.gateway_host, settings.gateway_port, setting="GATEWAY"))
        parity = None
        if settings.parity_on:
            parity = held.enter_context(open_listener(settings.parity_host, settings.parity_port, setting="PARITY"))
        data = held.enter_context(data_directory(settings.data_dir))
        write_private(data / GATEWAY, f"{url_of(gateway, 'ws')}\n")
        try:
            trio.run(_serve, Studio(settings, web, gateway, parity, data))
        finally:
            (data / GATEWAY).unlink(missing_ok=True)


async def _serve(studio: Studio) -> None:
    stop = trio.Event()
    names = _names(studio.settings)
    as_json = studio.settings.logs_json
    async with (
        open_output(sys.stdout.fileno(), names, os.environ, as_json=as_json) as output,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(partial(_obey_signals, studio, output, stop, nursery.cancel_scope.cancel))
        stores, urls = await _embedded(studio)
        specs = [*stores, *_parts(studio, _environ(studio, urls))]
        await run_processes(
            specs,
            on_line=partial(_print_line, output),
            on_restart=output.report,
            stop=stop,
            started=partial(_welcome, studio, output),
        )
        nursery.cancel_scope.cancel()


def _print_line(output: Output, part: str, line: str) -> None:
    """Print what a part says, but for advice that does not hold here: the embedded Valkey never saves."""
    if NO_ADVICE not in line:
        output.line(part, line)


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
                output.say("Stopping. Once more stops at once.", "serve.stopping")
                stop.set()


async def _embedded(studio: Studio) -> tuple[list[ProcessSpec], dict[str, str]]:
    """The servers that the environment does not name, and the variables that say where they are."""
    specs, urls = [], {}
    if studio.settings.database_url is None:
        # Its programs may have to be copied, and the first start makes a cluster, which takes a second or two.
        wanted = CONNECTIONS * studio.settings.web_workers + OTHER_CONNECTIONS
        open_postgres = partial(EmbeddedPostgres, max_connections=max(MAX_CONNECTIONS, wanted))
        postgres = await trio.to_thread.run_sync(open_postgres, studio.data / POSTGRES)
        await postgres.end_stale()
        specs.append(await trio.to_thread.run_sync(postgres.spec))
        urls["DATABASE_URL"] = postgres.url
    if studio.settings.redis_url is None:
        valkey = EmbeddedValkey(studio.data / VALKEY)
        await valkey.end_stale()
        specs.append(valkey.spec())
        urls["REDIS_URL"] = valkey.url
    return specs, urls


def _environ(studio: Studio, urls: dict[str, str]) -> dict[str, str]:
    """What the parts are told. Secrets that nobody has set are made once and kept in the data directory."""
    environ = {
        **os.environ,
        **urls,
        "PYTHONUNBUFFERED": "1",
        "OMNISONIC_DATA_DIR": str(studio.data),
        "NEXTAUTH_SECRET": signing_secret(studio.settings),
        # The real ports: the gateway lets the web's own pages in, and the web tells pages where the gateway is.
        "WEB_PORT": str(port_of(studio.web)),
        "GATEWAY_PORT": str(port_of(studio.gateway)),
    }
    if studio.settings.admin_token is None:
        environ["ADMIN_TOKEN"] = kept_secret(studio.data, OPERATOR)
    return environ


def _parts(studio: Studio, environ: dict[str, str]) -> list[ProcessSpec]:
    """The database's migrations, and the parts in the order in which they start."""
    webs = [_part("web", environ, studio.web, name=name) for name in _web_names(studio.settings)]
    behind = [*webs, _part("worker", environ)]
    if studio.parity is not None:
        # Nobody's secrets are the parity service's business.
        unconfided = {name: value for name, value in environ.items() if not name.startswith(CONFIDENTIAL)}
        behind.append(_part("parity", unconfided, studio.parity))
    niceness = BEHIND_ROOMS if studio.settings.rooms_first else 0
    return [
        replace(_part("migrate", environ), once=True, start_s=MIGRATE_S, silent_s=None),
        _part("gateway", environ, studio.gateway),
        *(replace(part, niceness=niceness) for part in behind),
    ]


def _part(
    command: str, environ: dict[str, str], listener: socket.socket | None = None, *, name: str | None = None
) -> ProcessSpec:
    """`omnisonic COMMAND`, on `listener` when it has one. `name` is what its lines are printed under."""
    fds = () if listener is None else (listener.fileno(),)
    words = [word for fd in fds for word in ("--fd", str(fd))]
    program = (sys.executable, "-m", "omnisonic", command, *words, "--supervised")
    return ProcessSpec(name or command, program, environ, pass_fds=fds, silent_s=SILENT_S)


def _names(settings: Settings) -> list[str]:
    """All who may print."""
    return ["postgres", "valkey", "migrate", "gateway", *_web_names(settings), "worker", "parity"]


def _web_names(settings: Settings) -> list[str]:
    """`web`, or `web-1` and so on."""
    workers = settings.web_workers
    return ["web"] if workers == 1 else [f"web-{number}" for number in range(1, workers + 1)]


def _welcome(studio: Studio, output: Output) -> None:
    """Say where everything is."""
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
    lines = [f"  {label:<8}  {value}" for label, value in rows.items()]
    text = "\n".join(["", f"Omnisonic Studio {__version__} is running.", "", *lines, ""])
    fields = {label.lower().replace(" ", "_"): value for label, value in rows.items() if label != "Stop"}
    output.say(text, "serve.running", version=__version__, **fields)


def _ways_in(settings: Settings) -> str:
    """How people sign in, in words."""
    ways = [PROVIDER_NAMES[name] for name in settings.providers_on]
    if not settings.credentials_on:
        return "with " + " or ".join(ways) if ways else "nobody can: set AUTH_ENABLE_CREDENTIALS or a provider"
    if settings.is_production:
        return "with " + " or ".join([*ways, "e-mail and password (`omnisonic users add` makes accounts)"])
    ways.append("any e-mail and password; an unknown e-mail makes an account")
    return "with " + ", or ".join(ways)
