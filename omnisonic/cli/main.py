"""`omnisonic`, the command: parses, reads the settings, runs the part, and puts what went wrong into a sentence.

Exit codes: 0 after a clean stop, 1 when something failed, 2 for wrong arguments or settings, 130 after Ctrl-C before
the part itself could take it. Modules are imported where they are needed, so that a part starts with nothing but its
own (the gateway without the web's libraries, the web without the gateway's).
"""

import logging
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnisonic import __version__
from omnisonic.cli.command import (
    CleanUploadsCommand,
    DatabaseCommand,
    DoctorCommand,
    GatewayCommand,
    ParityCommand,
    ServeCommand,
    WebCommand,
    WorkerCommand,
)
from omnisonic.cli.rooms.commands import rooms
from omnisonic.errors import BadSettings, OmnisonicError

if TYPE_CHECKING:
    from omnisonic.settings.settings import Settings

app = typer.Typer(
    name="omnisonic",
    help="Omnisonic Studio: realtime rooms for musicians.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

users = typer.Typer(
    help="List accounts, make them, and give them other passwords.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(users, name="users")
app.add_typer(rooms, name="rooms")

PARTS: Final = frozenset({"serve", "gateway", "web", "worker", "parity"})
"""What runs on, and has a log."""

Fd = Annotated[
    int | None, typer.Option("--fd", metavar="N", min=3, help="A listening socket that is already open, as its number.")
]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def main() -> None:
    """Run the command line and exit."""
    try:
        app(prog_name="omnisonic")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - nobody is left to raise it to
        sys.exit(_explained(error))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"omnisonic {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)]


@app.callback()
def omnisonic(version: Version = False) -> None:
    """What may come before a command."""


@app.command(cls=ServeCommand)
def serve() -> None:
    """Run the whole studio: web, realtime gateway, worker, parity service, and what they need.

    Parts that end are started again. Ctrl-C or SIGTERM stops everything within 10 seconds.
    """
    settings = _settings("serve")
    from omnisonic.cli import serve

    serve.run(settings)


@app.command(cls=GatewayCommand)
def gateway(fd: Fd = None, supervised: Supervised = False) -> None:
    """Run the realtime gateway alone.

    Without REDIS_URL its rooms and rosters are known to this process only. With ROOM_ACCESS=ticket it needs
    DATABASE_URL, and the web's NEXTAUTH_SECRET.
    """
    settings = _settings("gateway", supervised=supervised)
    from omnisonic.cli import gateway

    gateway.run(settings, fd=fd, supervised=supervised)


@app.command(cls=WebCommand)
def web(fd: Fd = None, supervised: Supervised = False) -> None:
    """Run the web alone. It meets the gateway in REDIS_URL and keeps accounts in DATABASE_URL; both must be set."""
    settings = _settings("web", supervised=supervised)
    from omnisonic.cli import web

    web.run(settings, fd=fd, supervised=supervised)


@app.command(cls=WorkerCommand)
def worker(supervised: Supervised = False) -> None:
    """Run the worker alone: it makes mixdowns, listens to uploads, for their waveforms, and tidies up.

    It meets the other parts in DATABASE_URL and REDIS_URL, which must be set, and in their storage.
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
    """Bring the database to what this version needs.

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


@app.command(cls=DoctorCommand)
def doctor(as_json: AsJson = False) -> None:
    """Check everything that is configured, end to end, and say what is wrong and how to mend it."""
    from omnisonic.cli import doctor
    from omnisonic.settings.settings import Settings

    if not doctor.run(Settings.load(), as_json=as_json):
        raise typer.Exit(1)


@users.command(cls=DatabaseCommand)
def add(
    email: Annotated[str, typer.Argument(help="The e-mail address to sign in with.")],
    name: Annotated[str | None, typer.Option("--name", help="What others see.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give an account another password, and sign it out everywhere.")
    ] = False,
) -> None:
    """Make an account with a password.

    The password is asked for, or read as a line of standard input; it has 8 characters or more.
    """
    settings = _settings()
    from omnisonic.cli import users

    if replace and name is not None:
        raise typer.BadParameter("--name is for a new account, not for --replace.")
    if replace:
        users.replace_password(settings, email)
    else:
        users.add(settings, email, name=name)


@users.command(cls=DatabaseCommand)
def ls(as_json: AsJson = False) -> None:
    """List all accounts, and how they sign in."""
    settings = _settings()
    from omnisonic.cli import users

    users.show(settings, as_json=as_json)


def _settings(part: str = "", *, supervised: bool = False) -> "Settings":
    """The settings, of a `part` that runs on or of a command, before anything heavy is imported."""
    from omnisonic.cli.read_settings import settings_of_command, settings_of_part

    return settings_of_part(part, supervised=supervised) if part else settings_of_command()


def _explained(error: BaseException) -> int:
    """Say what went wrong in a sentence on standard error; the exit code. Nurseries wrap what they raise in groups."""
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
    """A bug may come before the part has set its logs up, and Python's own handler would print a traceback."""
    if not logging.getLogger().handlers:
        from omnisonic.observability.logs import configure_logs
        from omnisonic.settings.settings import Settings

        configure_logs(Settings(), "omnisonic")


def _complain(*sentences: str) -> None:
    """Say it on standard error; for a part whose log is JSON, as an event of its log."""
    logs = sys.modules.get("omnisonic.observability.logs")
    if sys.argv[1:2] and sys.argv[1] in PARTS and logs is not None and logs.log_is_json():
        for sentence in sentences:
            logging.getLogger("omnisonic").critical("omnisonic.ended", extra={"problem": sentence})
        return
    for sentence in sentences:
        typer.echo(f"omnisonic: {sentence}", err=True)
