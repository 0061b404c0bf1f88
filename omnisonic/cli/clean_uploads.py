"""`omnisonic clean-uploads`: deletes stale uploads once, as the worker does by itself
(`omnisonic.operations.housekeeping`).

A stale row goes first, which leaves its object due, and then the object; a store that is away keeps nothing from being
deleted later. Two at once take turns batch by batch. Crash and Ctrl-C: what was begun is finished by the next one.
"""

import asyncio
import json
import re
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from omnisonic.cli.service_urls import find_database_url
from omnisonic.cli.startup_checks import check_schema
from omnisonic.cli.storage import create_storage
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.stores.database.pool import Database
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.uploads.retention_store import PostgresRetention

BATCH: Final = 50
CONNECTIONS: Final = 2
_AGE: Final = re.compile("([0-9]{1,5})([dh])")
_UNITS: Final = {"d": "days", "h": "hours"}


def run(settings: Settings, *, dry_run: bool, older_than: str, as_json: bool) -> None:
    """Delete, and print how much that was.

    Errors: `BadSettings`, `InvalidInput`, and what the database says; `Unavailable` when objects could not be deleted.
    """
    configure_logs(settings, "clean-uploads")
    age = _age(older_than) if older_than else timedelta(days=settings.upload_retention_days)
    asyncio.run(_clean(settings, find_database_url(settings), age, dry_run=dry_run, as_json=as_json))


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None or not int(found[1]):
        raise InvalidInput("--older-than must be a number of days or hours, such as 30d or 12h.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


async def _clean(settings: Settings, database_url: str, age: timedelta, *, dry_run: bool, as_json: bool) -> None:
    await check_schema(database_url)
    async with AsyncExitStack() as after:
        database = Database(database_url, connections=CONNECTIONS)
        await database.open()
        after.push_async_callback(database.aclose)
        storage = create_storage(settings)
        after.push_async_callback(storage.aclose)
        upkeep = PostgresRetention(database)
        stale = await upkeep.stale(age)
        if dry_run:
            _say(
                as_json,
                f"{_counted(stale.uploads)} would be deleted, {stale.size_bytes:,} bytes.",
                {"uploads": stale.uploads, "bytes": stale.size_bytes, "dryRun": True},
            )
            return
        uploads, size_bytes = await _drop_stale(upkeep, age, stale.uploads)
        await upkeep.drop_expired(BATCH)
        disposal = GarbageCollector(upkeep, storage)
        objects = await disposal.sweep()
        _say(
            as_json,
            f"{_counted(uploads)} deleted, {size_bytes:,} bytes; {objects} objects taken from the storage.",
            {"uploads": uploads, "bytes": size_bytes, "objects": objects, "dryRun": False},
        )
        if disposal.left:
            raise Unavailable("The storage did not delete everything now; the worker tries again every ten minutes.")


async def _drop_stale(upkeep: UploadRetention, age: timedelta, expected: int) -> tuple[int, int]:
    """Drop all that is stale, with a bar on a terminal: how many uploads, and how many bytes."""
    uploads = size_bytes = 0
    columns = TextColumn("Deleting stale uploads"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("", total=expected)
        while dropped := await upkeep.drop_stale(age, BATCH):
            uploads += len(dropped)
            size_bytes += sum(upload.file_size for upload in dropped)
            bar.update(task, completed=uploads)
    return uploads, size_bytes


def _counted(uploads: int) -> str:
    return f"{uploads} stale upload{'' if uploads == 1 else 's'}"


def _say(as_json: bool, sentence: str, properties: dict[str, object]) -> None:
    typer.echo(json.dumps(properties) if as_json else sentence)
