"""`omnisonic worker`: work in the background, on asyncio: analysis, segments, mixdowns, previews, webhooks, and chores.

Overload: uploads, exports and events wait in the database until the worker takes them. Crash: failed work is logged
and tried again; a crash of the process loses nothing, and the supervisor restarts it. Shutdown: SIGTERM or Ctrl-C ends
it at once; its work is done later, by the same or another worker.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Final

from omnisonic.cli.lifecycle import ready_printer, start_heartbeats, stop_on_signals, stop_with_supervisor
from omnisonic.cli.startup_checks import check_schema, require_services
from omnisonic.cli.storage import create_storage
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.identity.signing import signing_secret
from omnisonic.observability.telemetry import configure_telemetry
from omnisonic.operations.housekeeping import Chore, all_chores, run_housekeeping
from omnisonic.process.descriptors import allow_descriptors
from omnisonic.process.sandbox import missing_layers
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.pool import COMMAND, Database
from omnisonic.stores.storage import Storage
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.exports.export_queue import ExportQueue
from omnisonic.studio.exports.export_worker import ExportWorker
from omnisonic.studio.exports.telemetry import ExportTelemetry
from omnisonic.studio.media.analyser import analyse_file
from omnisonic.studio.messages.message_store import MessageStore
from omnisonic.studio.mixdown.mixer import mix
from omnisonic.studio.segments.cutting import Cutting
from omnisonic.studio.segments.segment_queue import SegmentQueue
from omnisonic.studio.segments.segment_worker import AT_ONCE as CUT_AT_ONCE
from omnisonic.studio.segments.segment_worker import SegmentWorker
from omnisonic.studio.shares.preview_queue import PreviewQueue
from omnisonic.studio.shares.preview_worker import PreviewWorker
from omnisonic.studio.stems.exporter import export_stems
from omnisonic.studio.uploads.analysis_queue import AnalysisQueue
from omnisonic.studio.uploads.analysis_worker import AT_ONCE, AnalysisWorker
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.webhooks.delivery_queue import DeliveryQueue
from omnisonic.studio.webhooks.delivery_worker import WebhookWorker
from omnisonic.studio.webhooks.sender import WebhookSender

CONNECTIONS: Final = AT_ONCE + 2 * CUT_AT_ONCE + 4
"""Connections to the database, one of them for housekeeping, and one for webhooks. Segments have two each, one to renew
their lease meanwhile; so has the preview of a mixdown, and each mixdown, for its heartbeat."""

_log = logging.getLogger(__name__)


def run(settings: Settings, *, supervised: bool) -> None:
    """Run until a signal. `supervised`: standard input is a readiness pipe. Raises `BadSettings`, `DatabaseBehind`."""
    redis_url, database_url = require_services(settings)
    allow_descriptors()
    if supervised:
        stop_with_supervisor()
    if missing := missing_layers():
        _log.warning("sandbox.incomplete", extra={"missing": missing})
    ready = start_heartbeats if supervised else ready_printer(settings, "worker", "At work.")
    telemetry = configure_telemetry(settings, "worker")
    try:
        asyncio.run(_work(settings, database_url, redis_url, ready, is_measured=telemetry.has_metrics))
    finally:
        telemetry.shutdown()


async def _work(
    settings: Settings, database_url: str, redis_url: str, ready: Callable[[], None], *, is_measured: bool
) -> None:
    stop = stop_on_signals()
    await check_schema(database_url)
    async with AsyncExitStack() as after:
        storage, bus, sender = create_storage(settings), ValkeyBus(redis_url), WebhookSender()
        for opened in (storage, bus, sender):
            after.push_async_callback(opened.aclose)
        connections = CONNECTIONS + 2 * settings.export_worker_concurrency
        database = Database(database_url, connections=connections, deadlines=COMMAND)
        await database.open()
        after.push_async_callback(database.aclose)
        publish = RoomEvents(bus).publish
        yields = settings.rooms_first
        analyse, mix_files = partial(analyse_file, at_idle_priority=yields), partial(mix, at_idle_priority=yields)
        analysis_worker = AnalysisWorker(AnalysisQueue(database), storage, analyse, publish)
        cut = partial(Cutting, at_idle_priority=yields)
        segment_queue = SegmentQueue(database, quota_bytes=settings.upload_quota_bytes)
        segment_worker = SegmentWorker(segment_queue, storage, cut)
        queue, telemetry = ExportQueue(database), ExportTelemetry()
        export_worker = ExportWorker(
            queue,
            storage,
            mix_files,
            publish,
            export_stems=partial(export_stems, at_idle_priority=yields),
            at_once=settings.export_worker_concurrency,
            mix_s=settings.export_max_duration_seconds,
            telemetry=telemetry,
        )
        preview_worker = PreviewWorker(PreviewQueue(database), storage, analyse, mix_files)
        deliveries = DeliveryQueue(database)
        webhook_worker = WebhookWorker(deliveries, sender, partial(signing_secret, settings))
        async with asyncio.TaskGroup() as tasks:
            endless = [
                run_housekeeping(_chores(settings, database, storage, deliveries)),
                analysis_worker.run(),
                segment_worker.run(),
                export_worker.run(),
                preview_worker.run(),
                webhook_worker.run(),
            ]
            if is_measured:
                endless.append(telemetry.watch_queue(queue, asyncio.sleep))
            work = [tasks.create_task(each) for each in endless]
            ready()
            await stop.wait()
            for task in work:
                task.cancel()


def _chores(settings: Settings, database: Database, storage: Storage, deliveries: DeliveryQueue) -> Mapping[str, Chore]:
    retention = UploadRetention(database)
    return all_chores(
        AccountStore(database),
        retention,
        ExportQueue(database),
        GarbageCollector(retention, storage),
        MessageStore(database),
        deliveries,
        upload_retention=timedelta(days=settings.upload_retention_days),
        export_retention=timedelta(days=settings.export_retention_days),
        message_retention=timedelta(days=settings.message_retention_days),
    )
