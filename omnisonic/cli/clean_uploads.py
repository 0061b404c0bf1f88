"""`omnisonic clean-uploads`: deletes stale uploads once, as the worker does (`omnisonic.operations.housekeeping`).

It deletes the rows first, which marks their objects for deletion, and then the objects. Storage unavailable: the
objects are deleted later. Two at once take turns, batch by batch. Crash and Ctrl-C: the next run finishes the work.
"""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from omnisonic.cli.service_urls import find_database_url
from omnisonic.cli.startup_checks import check_schema
from omnisonic.cli.storage import create_storage
from omnisonic.errors import BadSettings, Unavailable
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.stores.database.pool import COMMAND, Database
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention import UploadRetention

BATCH: Final = 50
CONNECTIONS: Final = 2
_AGE: Final = re.compile("([0-9]{1,5})([dh])")
_UNITS: Final = {"d": "days", "h": "hours"}


def run(settings: Settings, *, dry_run: bool, older_than: str, as_json: bool) -> None:
    """Delete stale uploads, and print how many.

    Raises:
        BadSettings: A setting or an argument cannot be used.
        Unavailable: Some objects could not be deleted now.
    """
    configure_logs(settings, "clean-uploads")
    age = _parse_age(older_than) if older_than else timedelta(days=settings.upload_retention_days)
    asyncio.run(_clean(settings, find_database_url(settings), age, dry_run=dry_run, as_json=as_json))


def _parse_age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None or not int(found[1]):
        raise BadSettings(["--older-than must be a number of days or hours, such as 30d or 12h."])
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


async def _clean(settings: Settings, database_url: str, age: timedelta, *, dry_run: bool, as_json: bool) -> None:
    await check_schema(database_url)
    async with AsyncExitStack() as after:
        database = Database(database_url, connections=CONNECTIONS, deadlines=COMMAND)
        await database.open()
        after.push_async_callback(database.aclose)
        storage = create_storage(settings)
        after.push_async_callback(storage.aclose)
        retention = UploadRetention(database)
        stale = await retention.count_stale(age)
        if dry_run:
            _print(
                as_json,
                f"{_count_stale(stale.uploads)} would be deleted, {stale.size_bytes:,} bytes.",
                {"uploads": stale.uploads, "bytes": stale.size_bytes, "dryRun": True},
            )
            return
        uploads, size_bytes = await _drop_stale(retention, age, stale.uploads)
        unfinished = await _drop_all(retention.drop_expired)
        removed = await _drop_all(retention.drop_removed)
        garbage_collector = GarbageCollector(retention, storage)
        objects = await garbage_collector.sweep()
        _print(
            as_json,
            f"{_count_stale(uploads)} deleted, {size_bytes:,} bytes; also {unfinished:,} unfinished, and {removed:,} "
            f"from the bin; {_count(objects, 'object')} taken from the storage.",
            {
                "uploads": uploads,
                "bytes": size_bytes,
                "unfinished": unfinished,
                "removed": removed,
                "objects": objects,
                "dryRun": False,
            },
        )
        if garbage_collector.left:
            raise Unavailable("The storage did not delete everything now; the worker tries again every ten minutes.")


async def _drop_stale(retention: UploadRetention, age: timedelta, expected: int) -> tuple[int, int]:
    """Delete all stale rows, with a progress bar on a terminal. Returns how many uploads and bytes."""
    uploads = size_bytes = 0
    columns = TextColumn("Deleting stale uploads"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("", total=expected)
        while dropped := await retention.drop_stale(age, BATCH):
            uploads += len(dropped)
            size_bytes += sum(upload.file_size for upload in dropped)
            bar.update(task, completed=uploads)
    return uploads, size_bytes


async def _drop_all(drop: Callable[[int], Awaitable[int]]) -> int:
    """Delete all rows that `drop` deletes in batches. Returns how many."""
    total = 0
    while dropped := await drop(BATCH):
        total += dropped
    return total


def _count_stale(uploads: int) -> str:
    return _count(uploads, "stale upload")


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _print(as_json: bool, sentence: str, properties: dict[str, object]) -> None:
    typer.echo(json.dumps(properties) if as_json else sentence)
