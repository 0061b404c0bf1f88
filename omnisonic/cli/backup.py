"""`omnisonic backup` and `omnisonic restore`: a whole installation in one archive (`omnisonic.operations.backup`).

A backup may run while the studio runs, and when it does not; a restore needs the data directory for itself. Ctrl-C: a
backup leaves nothing; a restore is repeated.
"""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from omnisonic.cli.own_database import find_running_database, has_embedded_database, run_on_database
from omnisonic.cli.storage import create_storage
from omnisonic.errors import BadSettings
from omnisonic.identity.signing import FILE as SIGNING_SECRET
from omnisonic.observability.logs import configure_logs
from omnisonic.operations.backup import BackupIncomplete, NothingToBackUp, Report, Summary, count_files
from omnisonic.operations.backup.archive_reader import ArchiveReader, open_archive
from omnisonic.operations.backup.archive_writer import ArchiveWriter, new_archive, standard_output
from omnisonic.operations.backup.backup import Secrets, back_up
from omnisonic.operations.backup.restore import restore
from omnisonic.operations.backup.verification import Contents, verify_archive
from omnisonic.settings.data_directory import OPERATOR, UnusableDataDirectory, data_directory, put_secret
from omnisonic.settings.settings import Settings

STREAM: Final = "-"
"""The name of standard output."""
SECRETS: Final = (SIGNING_SECRET, OPERATOR)
LISTED: Final = 10
"""How many keys a sentence names."""


def run_backup(settings: Settings, file: str, *, replace: bool, as_json: bool) -> None:
    """Write everything into the archive `file`, and print what is in it.

    Raises:
        BackupIncomplete: The archive was made, but the storage lacks files.
        OmnisonicError: Those of `back_up`; no archive was made.
    """
    configure_logs(settings, "backup")
    with ExitStack() as held:
        url = find_running_database(settings)
        if url is None:
            if not has_embedded_database(settings):
                raise NothingToBackUp(
                    f"There is nothing to back up: DATABASE_URL is not set, and there is no database in "
                    f"{settings.data_dir.absolute()}. Set OMNISONIC_DATA_DIR."
                )
            held.enter_context(data_directory(settings.data_dir))
        output = standard_output() if file == STREAM else new_archive(Path(file), replace=replace)
        target = held.enter_context(output)
        report = held.enter_context(_open_report())
        now = datetime.now(UTC)
        archive = ArchiveWriter(target, _name(file), written_at=int(now.timestamp()))
        held.callback(archive.close)

        async def work(url: str) -> Summary:
            async with aclosing(create_storage(settings)) as storage:
                return await back_up(url, storage, _read_secrets(settings.data_dir), archive, report, now=now)

        summary = run_on_database(url, settings.data_dir, work)
        size_bytes = archive.size_bytes
    _print_backup(file, summary, size_bytes, as_json=as_json)
    _complain_of_storage(_name(file), summary)


def run_restore(settings: Settings, file: str, *, check_only: bool, as_json: bool) -> None:
    """Restore the archive `file` onto an empty installation, or only verify it. Print what was in it.

    Raises:
        OmnisonicError: Those of `verify_archive` and `restore`.
    """
    configure_logs(settings, "restore")
    if file == STREAM:
        raise BadSettings(["An archive is checked before it is restored, so it must be a file: save it first."])
    with ExitStack() as held:
        archive = held.enter_context(open_archive(Path(file)))
        data = settings.data_dir if check_only else held.enter_context(data_directory(settings.data_dir))
        report = held.enter_context(_open_report())
        contents = verify_archive(archive, report)
        if not check_only:
            work = partial(_restore, settings, archive, contents, report)
            run_on_database(settings.database_url, data, work)
    _print_restore(file, contents, check_only=check_only, as_json=as_json)


async def _restore(settings: Settings, archive: ArchiveReader, contents: Contents, report: Report, url: str) -> None:
    async with aclosing(create_storage(settings)) as storage:
        await restore(url, storage, partial(_put_secret, settings.data_dir), archive, contents, report)


def _read_secrets(data: Path) -> Secrets:
    found = {}
    for name in SECRETS:
        try:
            found[name] = (data / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as problem:
            raise UnusableDataDirectory(
                f"{data / name} cannot be read ({problem.strerror}): run the command as the account of the studio."
            ) from problem
    return found


def _put_secret(data: Path, name: str, content: bytes) -> None:
    try:
        put_secret(data, name, content)
    except OSError as problem:
        raise UnusableDataDirectory(f"{data / name} cannot be written ({problem.strerror}).") from problem


def _print_backup(file: str, summary: Summary, size_bytes: int, *, as_json: bool) -> None:
    is_stream = file == STREAM
    if as_json:
        typer.echo(_as_json({"file": file, "bytes": size_bytes}, summary), err=is_stream)
        return
    typer.echo(
        f"{_name(file)} has everything: {_counted(summary)}. It holds secrets and people's music: keep it private."
        if not summary.missing and not summary.damaged
        else f"{_name(file)} was made: {_counted(summary)}.",
        err=is_stream,
    )


def _print_restore(file: str, contents: Contents, *, check_only: bool, as_json: bool) -> None:
    description, summary = contents.description, contents.summary
    if as_json:
        made = {"omnisonic": description.omnisonic, "createdAt": description.created_at}
        typer.echo(_as_json({"file": file, "restored": not check_only, **made}, summary))
        return
    if check_only:
        typer.echo(f"{file} is whole. Made at {description.created_at} by Omnisonic {description.omnisonic}:")
    else:
        typer.echo(f"{file} of {description.created_at} was restored:")
    typer.echo(f"{_counted(summary)}.")
    for sentence in _storage_problems(summary):
        typer.echo(f"Already when the backup was made, {sentence}")


def _counted(summary: Summary) -> str:
    rows = "" if summary.rows is None else f" with {summary.rows:,} rows"
    secrets = " and ".join(summary.secrets) or "none in the data directory"
    files = f"{count_files(summary.files)} of {summary.file_bytes:,} bytes"
    return f"{summary.tables} tables{rows}, {files}, secrets: {secrets}"


def _number_of(keys: list[str]) -> str:
    """How many files they are, with the verb."""
    return f"{count_files(len(keys))} {'was' if len(keys) == 1 else 'were'}"


def _storage_problems(summary: Summary) -> list[str]:
    """Sentences about what the storage lacked, without their first words."""
    return [
        f"{_number_of(keys)} {what}: {', '.join(keys[:LISTED])}{' and others' if len(keys) > LISTED else ''}."
        for keys, what in ((summary.missing, "missing"), (summary.damaged, "not as the database says"))
        if keys
    ]


def _complain_of_storage(name: str, summary: Summary) -> None:
    problems = _storage_problems(summary)
    if problems:
        raise BackupIncomplete(f"{name} has all that is there, but in the storage {' And '.join(problems)}")


def _as_json(properties: dict[str, Any], summary: Summary) -> str:
    return msgspec.json.encode(properties | msgspec.to_builtins(summary)).decode()


def _name(file: str) -> str:
    return "The archive" if file == STREAM else file


@contextlib.contextmanager
def _open_report() -> Iterator[Report]:
    """A progress bar on a terminal, otherwise a line for each step; both on standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress)


class _Lines:
    """One line a step."""

    def begin(self, what: str, total_bytes: int) -> None:
        size = f" {total_bytes:,} bytes." if total_bytes else ""
        typer.echo(f"{what}{size}", err=True)

    def advance(self, size_bytes: int) -> None:
        pass


class _Bar:
    """One progress bar, which begins again with each step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)

    def begin(self, what: str, total_bytes: int) -> None:
        self._progress.reset(self._task, description=what.rstrip("."), total=total_bytes or None)

    def advance(self, size_bytes: int) -> None:
        self._progress.advance(self._task, size_bytes)
