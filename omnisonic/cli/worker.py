"""`omnisonic worker`: work that nobody waits for, on asyncio: housekeeping, listening to what was uploaded, mixdowns.

Overload: it gives itself its work; uploads and exports wait in the database until it comes to them. Crash: what fails
is logged and tried again; a crash of the process is its supervisor's matter, and loses nothing. SIGTERM or Ctrl-C ends
it at once: what it was doing is done later, by itself or another worker.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Final

from omnisonic.cli.announcement import announcement
from omnisonic.cli.readiness_pipe import end_with_supervisor, ready_in_asyncio
from omnisonic.cli.schema_check import refuse_when_behind
from omnisonic.cli.stop_signal import stop_signal
from omnisonic.cli.storage import storage_of
from omnisonic.errors import BadSettings
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.observability.telemetry import configure_telemetry
from omnisonic.operations.housekeeping import Chore, chores, keep_house
from omnisonic.process.descriptors import allow_descriptors
from omnisonic.process.sandbox import missing_layers
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Storage
from omnisonic.studio.accounts.account_store import PostgresAccounts
from omnisonic.studio.exports.export_queue import PostgresExportQueue
from omnisonic.studio.exports.export_worker import ExportWorker
from omnisonic.studio.exports.telemetry import ExportTelemetry
from omnisonic.studio.media.analyser import analyse_file
from omnisonic.studio.mixdown.mixer import mix
from omnisonic.studio.uploads.analysis_queue import PostgresAnalyses
from omnisonic.studio.uploads.analysis_worker import AT_ONCE, AnalysisWorker
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention_store import PostgresRetention

CONNECTIONS: Final = AT_ONCE + 1
"""To the database: one for housekeeping. Each mixdown has two more: one for its heartbeat."""

_log = logging.getLogger(__name__)


def run(settings: Settings, *, supervised: bool) -> None:
    """Run until a signal. `supervised`: standard input is a lifeline. Errors: `BadSettings`, `DatabaseBehind`."""
    database_url, redis_url = _places(settings)
    allow_descriptors()
    if supervised:
        end_with_supervisor()
    if missing := missing_layers():
        _log.warning("sandbox.incomplete", extra={"missing": missing})
    ready = ready_in_asyncio if supervised else announcement(settings, "worker", "At work.")
    telemetry = configure_telemetry(settings, "worker")
    try:
        asyncio.run(_work(settings, database_url, redis_url, ready, is_measured=telemetry.has_metrics))
    finally:
        telemetry.shutdown()


def _places(settings: Settings) -> tuple[str, str]:
    """Where the rows are, and where rooms hear what has become of them."""
    problems = []
    if settings.database_url is None:
        problems.append("DATABASE_URL is not set: set it to where accounts are kept, or run `omnisonic serve`.")
    if settings.redis_url is None:
        problems.append("REDIS_URL is not set: set it to where the gateway hears of news, or run `omnisonic serve`.")
    if settings.database_url is None or settings.redis_url is None:
        raise BadSettings(problems)
    return settings.database_url, settings.redis_url


async def _work(
    settings: Settings, database_url: str, redis_url: str, ready: Callable[[], None], *, is_measured: bool
) -> None:
    stop = stop_signal()
    await refuse_when_behind(database_url)
    async with AsyncExitStack() as after:
        storage, bus = storage_of(settings), ValkeyBus(redis_url)
        for opened in (storage, bus):
            after.push_async_callback(opened.aclose)
        connections = CONNECTIONS + 2 * settings.export_worker_concurrency
        database = Database(database_url, connections=connections)
        await database.open()
        after.push_async_callback(database.aclose)
        tell = RoomEvents(bus).publish
        yields = settings.rooms_first
        listening = AnalysisWorker(
            PostgresAnalyses(database), storage, partial(analyse_file, in_spare_time=yields), tell
        )
        queue, instruments = PostgresExportQueue(database), ExportTelemetry()
        rendering = ExportWorker(
            queue,
            storage,
            partial(mix, in_spare_time=yields),
            tell,
            at_once=settings.export_worker_concurrency,
            mix_s=settings.export_max_duration_seconds,
            instruments=instruments,
        )
        async with asyncio.TaskGroup() as tasks:
            endless = [keep_house(_todo(settings, database, storage)), listening.run(), rendering.run()]
            if is_measured:
                endless.append(instruments.watch(queue, asyncio.sleep))
            work = [tasks.create_task(each) for each in endless]
            ready()
            await stop.wait()
            for task in work:
                task.cancel()


def _todo(settings: Settings, database: Database, storage: Storage) -> Mapping[str, Chore]:
    upkeep = PostgresRetention(database)
    return chores(
        PostgresAccounts(database),
        upkeep,
        PostgresExportQueue(database),
        GarbageCollector(upkeep, storage),
        upload_retention=timedelta(days=settings.upload_retention_days),
        export_retention=timedelta(days=settings.export_retention_days),
    )
