"""Runs work on the database of the installation, and starts the embedded one for it when no `serve` runs.

Crash and Ctrl-C: the server that was started is stopped in order, or dies with this process
(`omnisonic.process.die_with_parent`).
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
import typer

from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.operations.embedded.postgres import FOLDER, EmbeddedPostgres, running_embedded_url
from omnisonic.operations.supervisor import run_processes
from omnisonic.settings.data_directory import is_there
from omnisonic.settings.settings import Settings

T = TypeVar("T")


def has_embedded_database(settings: Settings) -> bool:
    """Whether there is a database in the data directory, which may be running.

    Raises `UnusableDataDirectory` when the directory is another account's.
    """
    return is_there(settings.data_dir / FOLDER)


def find_running_database(settings: Settings) -> str | None:
    """`DATABASE_URL`, or the URL of the database that a `serve` runs now. None: it has to be started."""
    return settings.database_url or running_embedded_url(settings.data_dir)


def run_on_database(url: str | None, data: Path, work: Callable[[str], Awaitable[T]]) -> T:
    """Run asyncio code on the database at `url`, or on the embedded one, which is started for as long as that takes.

    Args:
        url: The database. None: the one in `data`, which is created if there is none.
        data: The data directory, which is locked if there is no `url`.
        work: Gets the URL of the database.

    Raises:
        EmbeddedUnavailable, ProcessDied: The embedded database cannot be started.
    """
    if url is not None:
        return asyncio.run(_await(work(url)))
    return trio.run(_run_beside, data / FOLDER, work)


async def _await(work: Awaitable[T]) -> T:
    return await work


async def _run_beside(folder: Path, work: Callable[[str], Awaitable[T]]) -> T:
    postgres = await trio.to_thread.run_sync(EmbeddedPostgres, folder)
    await postgres.end_stale()
    spec = await trio.to_thread.run_sync(postgres.spec)
    stop, ready, ended = trio.Event(), trio.Event(), trio.Event()

    async def run_server() -> None:
        try:
            await run_processes([spec], on_line=_print_line, stop=stop, started=ready.set)
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_server)
        await ready.wait()
        try:
            async with open_asyncio_thread() as thread:
                return await thread.call(partial(work, postgres.url), timeout_s=math.inf)
        finally:
            stop.set()
            with trio.CancelScope(shield=True):
                await ended.wait()


def _print_line(part: str, line: str) -> None:
    typer.echo(f"{part}  {line}", err=True)
