"""What is seen of mixdowns from outside: spans in the trace of whoever asked, and metrics (SPEC 7)."""

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from omnisonic.errors import Unavailable
from omnisonic.studio.exports.telemetry import ExportTelemetry
from omnisonic.studio.uploads import Mix
from tests.studio.exports.desk import Desk, desk_at, within_deadline


class Watched:
    """The telemetry of a worker, and what it has recorded."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.traces = TracerProvider(shutdown_on_exit=False)
        self.traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.traces.get_tracer("test")
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = ExportTelemetry(self.traces, meters)

    def spans(self) -> dict[str, ReadableSpan]:
        """By their names; the last of each."""
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def points(self) -> dict[str, list[Any]]:
        """The points of each metric."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def test_a_mixdown_is_made_in_the_trace_in_which_it_was_asked_for(database_url: str, tmp_path: Path) -> None:
    """Its steps within it, though the worker has only the row of it."""

    async def run() -> None:
        watched = Watched()
        async with desk_at(database_url, tmp_path) as desk:
            await desk.upload()
            with watched.tracer.start_as_current_span("request") as request:
                export = await desk.request()
            await desk.render_next(watched.telemetry)
        spans = watched.spans()
        render = spans["export.render"]
        assert render.parent is not None
        assert render.parent.span_id == request.get_span_context().span_id
        assert dict(render.attributes or {}) == {
            "export": export.id,
            "format": "wav",
            "stems": 1,
            "status": "completed",
        }
        assert render.context is not None
        for step in ("export.copy", "export.mix", "export.deliver"):
            parent = spans[step].parent
            assert parent is not None
            assert parent.span_id == render.context.span_id
            assert parent.trace_id == request.get_span_context().trace_id

    within_deadline(run())


def test_one_that_was_asked_for_in_no_trace_has_one_of_its_own(database_url: str, tmp_path: Path) -> None:
    """As those have that wait while this version is installed."""

    async def run() -> None:
        watched = Watched()
        async with desk_at(database_url, tmp_path) as desk:
            await desk.request()
            await desk.render_next(watched.telemetry)
        assert watched.spans()["export.render"].parent is None

    within_deadline(run())


def test_each_try_is_counted_by_how_it_ended(database_url: str, tmp_path: Path) -> None:
    """Made, failed for good, and given back because the storage was away; and how long each took."""

    async def run() -> None:
        watched = Watched()
        async with desk_at(database_url, tmp_path) as desk:
            await desk.request()
            await desk.render_next(watched.telemetry)
            await _muted(desk)
            await desk.request()
            await desk.render_next(watched.telemetry)
            assert not watched.spans()["export.render"].status.is_ok
            await desk.request("mp3")
            desk.mixes.meanwhile = _raise
            await desk.uploads.change(desk.login, (await _stems(desk))[0], Mix(muted=False))
            with pytest.raises(Unavailable):
                await desk.render_next(watched.telemetry)
        points = watched.points()
        counted = {point.attributes["status"]: point.value for point in points["omnisonic.exports"]}
        timed = {point.attributes["status"]: point.count for point in points["omnisonic.export.duration"]}
        assert counted == timed == {"completed": 1, "failed": 1, "pending": 1}

    within_deadline(run())


def test_the_queue_is_counted_now_and_then(database_url: str, tmp_path: Path) -> None:
    """What could be made now; with the database away, the last count stays."""

    async def run() -> None:
        watched, looks = Watched(), 0

        async def pause(_seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 1:
                await desk.request("mp3")
            elif looks == 2:
                assert watched.telemetry.waiting == 2
                await desk.database.aclose()
            else:
                raise EOFError

        async with desk_at(database_url, tmp_path) as desk:
            await desk.request()
            with pytest.raises(EOFError):
                await watched.telemetry.watch_queue(desk.queue, pause)
        assert [point.value for point in watched.points()["omnisonic.exports_waiting"]] == [2]

    within_deadline(run())


async def _muted(desk: Desk) -> None:
    stem = await desk.upload()
    await desk.uploads.change(desk.login, stem.id, Mix(muted=True))


async def _stems(desk: Desk) -> list[str]:
    return [kept.upload.id for kept in (await desk.uploads.list(desk.login, desk.session, limit=9)).uploads]


async def _raise(_on_progress: object) -> None:
    raise Unavailable("The storage is away.")
