"""The command `omnisonic`: parses arguments, reads the settings, runs the command, and prints errors as sentences.

Exit codes: 0 after a clean stop, 1 when something failed, 2 for wrong arguments or settings, 130 after Ctrl-C before
the part handles signals. Modules are imported where they are needed, so that each part loads only its own libraries.
"""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnisonic import __version__
from omnisonic.cli.backup_commands import backup, restore
from omnisonic.cli.command import (
    BackupCommand,
    CleanUploadsCommand,
    DatabaseCommand,
    DoctorCommand,
    GatewayCommand,
    ParityCommand,
    ServeCommand,
    UnitsCommand,
    WebCommand,
    WorkerCommand,
)
from omnisonic.cli.key_commands import keys
from omnisonic.cli.monitoring import monitoring
from omnisonic.cli.rooms.commands import rooms
from omnisonic.cli.user_commands import users
from omnisonic.cli.webhook_commands import webhooks
from omnisonic.errors import BadSettings, OmnisonicError

if TYPE_CHECKING:
    from omnisonic.settings.settings import Settings

app = typer.Typer(
    name="omnisonic",
    help="Omnisonic Studio: realtime rooms for musicians.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.add_typer(webhooks, name="webhooks")
app.add_typer(rooms, name="rooms")
app.add_typer(monitoring, name="monitoring")

PARTS: Final = frozenset({"serve", "gateway", "web", "worker", "parity"})
"""The commands that run until they are stopped, and have a log."""

Fd = Annotated[
    int | None, typer.Option("--fd", metavar="N", min=3, help="A listening socket that is already open, as its number.")
]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Rooms = Annotated[
    str | None,
    typer.Option(
        "--rooms", metavar="MODULE:CLASS", help="A room class of your own: a subclass of omnisonic.Room. GATEWAY_ROOMS."
    ),
]


def main() -> None:
    """Run the command line and exit."""
    try:
        app(prog_name="omnisonic")
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseExceptionGroup as group:  # nurseries wrap what ends them
        sys.exit(130 if group.subgroup(KeyboardInterrupt) else _print_error(group))
    except Exception as error:  # noqa: BLE001 - there is no caller left
        sys.exit(_print_error(error))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"omnisonic {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)]


@app.callback()
def omnisonic(version: Version = False) -> None:
    """Options that come before a command."""


@app.command(cls=ServeCommand)
def serve(rooms: Rooms = None) -> None:
    """Run the whole studio: web, realtime gateway, worker, parity service, and what they need.

    Parts that end are started again. Ctrl-C or SIGTERM stops everything within 10 seconds.
    """
    settings = _settings("serve", rooms=rooms)
    from omnisonic.cli import serve

    serve.run(settings)


@app.command(cls=GatewayCommand)
def gateway(
    rooms: Rooms = None,
    fd: Fd = None,
    supervised: Supervised = False,
    worker: Annotated[str | None, typer.Option("--worker", hidden=True)] = None,
) -> None:
    """Run the realtime gateway alone.

    Without REDIS_URL its rooms and rosters are known to this process only. With ROOM_ACCESS=ticket it needs
    DATABASE_URL, and the web's NEXTAUTH_SECRET.
    """
    index = "" if worker is None else worker.partition(",")[0]
    part = f"gateway-{int(index) + 1}" if index.isdecimal() else "gateway"
    settings = _settings(part, supervised=supervised, rooms=rooms)
    from omnisonic.cli import gateway

    gateway.run(settings, fd=fd, supervised=supervised, worker=worker)


@app.command(cls=WebCommand)
def web(fd: Fd = None, supervised: Supervised = False) -> None:
    """Run the web alone. DATABASE_URL and REDIS_URL must be set, to the same as for the gateway."""
    settings = _settings("web", supervised=supervised)
    from omnisonic.cli import web

    web.run(settings, fd=fd, supervised=supervised)


@app.command(cls=WorkerCommand)
def worker(supervised: Supervised = False) -> None:
    """Run the worker alone: it makes mixdowns, analyses uploads, delivers webhooks, deletes what has expired.

    DATABASE_URL and REDIS_URL must be set, and the storage must be that of the web.
    """
    settings = _settings("worker", supervised=supervised)
    from omnisonic.cli import worker

    worker.run(settings, supervised=supervised)


@app.command(cls=ParityCommand)
def parity(fd: Fd = None, supervised: Supervised = False) -> None:
    """Run the parity service alone: the sessions' API on a store in memory, without sign-in."""
    settings = _settings("parity", supervised=supervised)
    from omnisonic.cli import parity

    parity.run(settings, fd=fd, supervised=supervised)


@app.command(cls=DatabaseCommand)
def migrate(
    status: Annotated[bool, typer.Option("--status", help="Show the migrations, and apply none.")] = False,
    as_json: AsJson = False,
    supervised: Supervised = False,
) -> None:
    """Apply the migrations that this version needs to the database.

    Without DATABASE_URL it is the one that `omnisonic serve` runs in OMNISONIC_DATA_DIR.
    """
    settings = _settings("migrate", supervised=True) if supervised else _settings()
    from omnisonic.cli import migrate

    if status:
        migrate.show(settings, as_json=as_json)
    else:
        migrate.run(settings, as_json=as_json, supervised=supervised)


@app.command("clean-uploads", cls=CleanUploadsCommand)
def clean_uploads(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Such as 30d or 12h; default: UPLOAD_RETENTION_DAYS.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Delete uploads without a session that are older, and what broken uploads have left in the storage.

    The worker does so by itself every ten minutes. Without DATABASE_URL the database is the one that `omnisonic serve`
    runs in OMNISONIC_DATA_DIR.
    """
    settings = _settings()
    from omnisonic.cli import clean_uploads

    clean_uploads.run(settings, dry_run=dry_run, older_than=older_than, as_json=as_json)


app.command(cls=BackupCommand)(backup)
app.command(cls=BackupCommand)(restore)


@app.command(cls=DoctorCommand)
def doctor(as_json: AsJson = False) -> None:
    """Check everything that is configured, end to end, and say what is wrong and how to mend it."""
    from omnisonic.cli import doctor
    from omnisonic.settings.settings import Settings

    if not doctor.run(Settings.load(), as_json=as_json):
        raise typer.Exit(1)


@app.command(cls=UnitsCommand)
def units(
    parts: Annotated[
        bool, typer.Option("--parts", help="A unit for each process, instead of one for everything.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FOLDER", help="Write them there, over what is there. Default: print them."),
    ] = None,
    account: Annotated[str, typer.Option("--user", metavar="NAME", help="The account that they run as.")] = "omnisonic",
    settings_file: Annotated[
        Path,
        typer.Option("--settings", metavar="FILE", help="The file with the settings, a NAME=value on each line."),
    ] = Path("/etc/omnisonic.env"),
) -> None:
    """Print units for systemd that run this installation."""
    settings = _settings()
    from omnisonic.cli import units

    units.run(settings, parts=parts, into=into, account=account, settings_file=settings_file)


def _settings(part: str = "", *, supervised: bool = False, rooms: str | None = None) -> "Settings":
    """Read the settings of a part or of a command, before anything heavy is imported. `rooms` is an option's."""
    from omnisonic.cli.read_settings import read_command_settings, read_part_settings

    if not part:
        return read_command_settings()
    return read_part_settings(part, supervised=supervised, given={"GATEWAY_ROOMS": rooms})


def _print_error(error: BaseException) -> int:
    """Print a sentence on standard error. Returns the exit code. Nurseries wrap errors in groups."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    match error:
        case BadSettings():
            _complain(*error.problems)
            return 2
        case OmnisonicError():
            _complain(error.message)
        case _:
            _log_somewhere()
            logging.getLogger(__name__).critical("omnisonic.crashed", exc_info=error)
            _complain(f"This should not have happened ({type(error).__name__}); the line above says where it did.")
    return 1


def _log_somewhere() -> None:
    """Set up a log if there is none yet, because Python's own handler would print a traceback."""
    if not logging.getLogger().handlers:
        from omnisonic.observability.logs import configure_logs
        from omnisonic.settings.settings import Settings

        configure_logs(Settings(), "omnisonic")


def _complain(*sentences: str) -> None:
    """Print sentences on standard error; for a part whose log is JSON, as events of its log."""
    logs = sys.modules.get("omnisonic.observability.logs")
    if sys.argv[1:2] and sys.argv[1] in PARTS and logs is not None and logs.log_is_json():
        for sentence in sentences:
            logging.getLogger("omnisonic").critical("omnisonic.ended", extra={"problem": sentence})
        return
    for sentence in sentences:
        typer.echo(f"omnisonic: {sentence}", err=True)
