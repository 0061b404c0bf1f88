"""A program that makes a gateway's telemetry and prints it as JSON: the SDK's providers can be set once a process."""

import io
import json
import logging
import math
import sys
import time
from typing import Any

from msgspec import Raw
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import ExternalMessage, Join
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.runtime.telemetry import MESSAGES_PER_SPAN, TurnTracer, publish_metrics
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.events import Reply
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.messages import Envelope
from tests.actors.handles import FakeConnection, Setting, member, sent, text
from tests.actors.room_stage import Poisoned

SECRET = "do not show this"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""Of somebody outside who tells the room something."""
LOG = logging.getLogger("omnisonic")


def unheard(reply: Reply) -> None:
    """Whoever told it does not wait."""


class Events:
    """As the registry does: a crash is sampled."""

    def __init__(self, sampler: TurnTracer) -> None:
        self._sampler = sampler

    def schedule(self, actor: RoomActor) -> None:
        pass

    def on_roster_change(self, actor: RoomActor) -> None:
        pass

    def on_memory_change(self, actor: RoomActor) -> None:
        pass

    def drop(self, actor: RoomActor, closing: Closing) -> None:
        pass

    def on_crash(self, actor: RoomActor, crash: Exception, letter: DeadLetter) -> None:
        with self._sampler.trace_crash(actor.room_id, crash):
            LOG.error("room.crashed")


class Measured:
    """Numbers that change between looks."""

    def __init__(self) -> None:
        self.connections = 1.0

    def measure(self) -> dict[str, float]:
        names = (
            "rooms members messages deliveries fanned_out_bytes mailbox_depth room_restarts dead_letters "
            "slow_consumer_closes mirror_lag_s memory_lag_s kept_messages keep_lag_s dropped_room_events"
        )
        return {"connections": self.connections, **dict.fromkeys(names.split(), 7.0)}


def spans_of(work: str, exporter: InMemorySpanExporter) -> list[dict[str, Any]]:
    """The spans of one kind of work, made now."""
    exporter.clear()
    sampler = TurnTracer() if work == "burst" else TurnTracer(spans_per_s=math.inf)
    actor = RoomActor(Setting().context(), Poisoned, Events(sampler), sampler)
    connections = [FakeConnection("ada"), FakeConnection("bob")]
    for connection in connections:
        actor.tell(Join(connection, member(connection.name)))
    actor.run_turn()
    if work in ("messages", "burst"):
        for _ in range(10 * MESSAGES_PER_SPAN):
            actor.offer(sent(connections[0], text("note", SECRET)))
            actor.run_turn()
    elif work == "crash":
        actor.offer(sent(connections[0], text("poison", SECRET)))
        actor.run_turn()
    elif work == "told":
        for type_ in ("cue", "poison"):
            actor.tell(ExternalMessage(Envelope(type_, Raw(SECRET.encode())), unheard, TRACE))
        actor.tell(ExternalMessage(Envelope("untraced", Raw(b"1")), unheard))
        actor.run_turn()
    else:
        sampler.trace_connection("jam", 2.5, CloseCode.TOO_SLOW, "too_slow")
    return [_plain(span) for span in exporter.get_finished_spans()]


def _plain(span: ReadableSpan) -> dict[str, Any]:
    return {
        "name": span.name,
        "tracer": span.instrumentation_scope.name if span.instrumentation_scope else None,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "events": [event.name for event in span.events],
        "took_s": ((span.end_time or 0) - (span.start_time or 0)) / 1e9,
        "id": span.context.span_id if span.context else 0,
        "trace": f"{span.context.trace_id:032x}" if span.context else "",
        "parent": span.parent.span_id if span.parent else None,
    }


def points_of(reader: InMemoryMetricReader) -> dict[str, Any]:
    """The last value of each metric, or how many there were of a histogram."""
    data = reader.get_metrics_data()
    points: dict[str, Any] = {}
    for resource in data.resource_metrics if data else []:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    points[metric.name] = getattr(point, "value", None) or getattr(point, "count", None)
    return points


def main() -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    measured = Measured()
    publish_metrics(measured)
    log = io.StringIO()
    configure_logs(Settings.load({"OMNISONIC_ENV": "production"}), "gateway", stream=log)
    spans, took_s = {}, {}
    for work in ("messages", "burst", "crash", "told", "connection"):
        began_s = time.monotonic()
        spans[work] = spans_of(work, exporter)
        took_s[work] = time.monotonic() - began_s
    first = points_of(reader)
    measured.connections = 3.0
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    json.dump({"spans": spans, "took_s": took_s, "metrics": [first, points_of(reader)], "log": lines}, sys.stdout)


if __name__ == "__main__":
    main()
