"""Traces and metrics of the whole product, as an OTLP receiver gets them: one trace is all that a request leads to."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

from omnisonic.observability.metrics import METRICS, OF_CLUSTERS, OF_PEERS
from tests.cli.running import START_S, Command, eventually, running
from tests.http.conftest import deadline
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan, running_otlp_receiver
from tests.prepared_postgres import prepare_data_directory
from tests.studio.media.recordings import tone
from tests.system.musicians import Musician, musician
from tests.system.visitors import Visitors

__all__ = ["deadline"]

LIBRARIES: Final = "opentelemetry.instrumentation."
"""What the tracers are called of OpenTelemetry's own instrumentations."""
WORKER_STEPS: Final = ["export.copy", "export.mix", "export.deliver"]


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with running_otlp_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def command(receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """`omnisonic serve`, which sends there, with its rooms behind tickets."""
    folder: Path = tmp_path_factory.mktemp("traces")
    with running(
        "serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(folder)), ROOM_ACCESS="ticket", **receiver.environment
    ) as command:
        command.printed("is running")
        yield command


@pytest.fixture(scope="module")
def visitors(command: Command) -> Visitors:
    return Visitors(command.port("Studio"), command.port("Gateway"))


async def arrived(condition: Callable[[], bool], what: str) -> None:
    """Wait until it has arrived at the receiver."""
    await trio.to_thread.run_sync(lambda: eventually(condition, what=what))


def names(spans: list[ReceivedSpan]) -> list[str]:
    return [span.name for span in spans]


def the(spans: list[ReceivedSpan], name: str) -> ReceivedSpan:
    """The one span of this name."""
    (span,) = [span for span in spans if span.name == name]
    return span


async def asked(ada: Musician, path: str, body: dict[str, Any]) -> str:
    """Ask for something that is done elsewhere; the id of the request."""
    answer = await ada.ask("POST", path, body)
    assert answer.status_code == 202, answer.text
    return answer.headers["X-Request-Id"]


async def test_what_is_said_over_http_is_one_trace_as_far_as_the_room(
    visitors: Visitors, receiver: OtlpReceiver
) -> None:
    """The request, and the turn of the room that hands it to everybody, under the request's own id."""
    async with musician(visitors, "ada") as ada:
        session = await ada.create("Night jam")
        async with ada.in_room(session) as client:
            trace = await asked(ada, f"/api/rooms/{session}/messages", {"type": "cue", "payload": {"bar": 17}})
            assert (await client.next("cue"))["from"] is None
            await arrived(lambda: len(_ours(receiver, trace)) == 2, "both spans")
    spans = _ours(receiver, trace)
    request, turn = the(spans, "POST /api/rooms/<room_id>/messages"), the(spans, "ws.message")
    assert (request.service, request.tracer, request.parent) == ("omnisonic-web", "studio-web-api", "")
    assert (turn.service, turn.tracer, turn.parent) == ("omnisonic-gateway", "realtime-gateway", request.id)
    assert turn.attributes == {"room": session, "type": "cue", "members": 1}


async def test_a_presence_over_http_is_one_trace_as_far_as_the_room(visitors: Visitors, receiver: OtlpReceiver) -> None:
    """Its tracer has a name of its own."""
    async with musician(visitors, "bo") as bo:
        session = await bo.create("Quiet")
        async with bo.in_room(session) as client:
            answer = await bo.ask(
                "POST", "/api/presence", {"roomId": session, "memberId": "recorder", "displayName": "Recorder"}
            )
            assert answer.status_code == 200, answer.text
            await client.next("presence.join")
            trace = answer.headers["X-Request-Id"]
            await arrived(lambda: len(_ours(receiver, trace)) == 2, "both spans")
    spans = _ours(receiver, trace)
    request, turn = the(spans, "POST /api/presence"), the(spans, "ws.message")
    assert request.tracer == "studio-web-api-presence"
    assert turn.parent == request.id


async def test_a_mixdown_is_one_trace_from_the_request_over_the_worker_into_the_room(
    visitors: Visitors, receiver: OtlpReceiver
) -> None:
    """The upload is heard in the trace in which it arrived, and the mixdown is made in that of whoever asked for it."""
    async with musician(visitors, "cy") as cy:
        session = await cy.create("Mix")
        async with cy.in_room(session) as client:
            uploaded = await _uploaded(visitors, cy, session)
            await client.next("upload.changed")
            trace = await asked(cy, "/api/export", {"sessionId": session})
            while (await client.next("export.progress"))["payload"]["status"] != "completed":
                pass
            await arrived(lambda: _is_delivered(receiver, trace), "the whole trace")
            await arrived(lambda: "upload.analyse" in names(receiver.spans(uploaded)), "that it was heard")
    spans = _ours(receiver, trace)
    request, render = the(spans, "POST /api/export"), the(spans, "export.render")
    assert (render.service, render.tracer, render.parent) == ("omnisonic-worker", "studio-worker", request.id)
    assert (render.attributes["status"], render.attributes["stems"]) == ("completed", 1)
    assert [the(spans, step).parent for step in WORKER_STEPS] == [render.id] * len(WORKER_STEPS)
    turns = [span for span in spans if span.name == "ws.message"]
    assert {turn.service for turn in turns} == {"omnisonic-gateway"}
    assert {turn.attributes["type"] for turn in turns} == {"export.progress", "activity.added"}
    assert {turn.parent for turn in turns} >= {request.id, render.id}
    received = _ours(receiver, uploaded)
    listened = the(received, "upload.analyse")
    assert listened.parent == the(received, "POST /api/upload").id
    assert listened.id in [span.parent for span in received if span.name == "ws.message"]


async def test_what_goes_wrong_in_the_worker_is_logged_under_the_id_of_the_request(
    command: Command, visitors: Visitors, receiver: OtlpReceiver
) -> None:
    """So that what somebody reports by its `X-Request-Id` is found in whatever part it happened."""
    async with musician(visitors, "fay") as fay:
        session = await fay.create("Muted")
        await _uploaded(visitors, fay, session)
        (listed,) = (await fay.reported("GET", f"/api/upload/list?sessionId={session}"))["uploads"]
        await fay.reported("PATCH", f"/api/upload/{listed['upload']['id']}", {"muted": True})
        trace = await asked(fay, "/api/export", {"sessionId": session})
    await trio.to_thread.run_sync(command.printed, rf"export\.incomplete .*trace_id={trace}")
    await arrived(lambda: any(span.failed for span in receiver.spans(trace)), "the span that failed")
    assert the(_ours(receiver, trace), "export.render").attributes["status"] == "failed"


async def test_calls_to_the_database_and_to_redis_are_in_the_trace_without_their_values(
    visitors: Visitors, receiver: OtlpReceiver
) -> None:
    """By OpenTelemetry's own instrumentations, and named after what is done; none has a trace to itself."""
    async with musician(visitors, "gus") as gus:
        session = await gus.create("A name that stays here")
        answer = await gus.ask("PATCH", f"/api/sessions/{session}", {"name": "Another that does, too"})
        trace = answer.headers["X-Request-Id"]
        await arrived(lambda: "PATCH /api/sessions/<session_id>" in names(receiver.spans(trace)), "the request")
    libraries = [span for span in receiver.spans(trace) if span.tracer.startswith(LIBRARIES)]
    statements = [span for span in libraries if span.tracer.endswith("asyncpg")]
    assert statements
    assert {span.name.rstrip(";") for span in statements} <= {"BEGIN", "COMMIT", "SELECT", "UPDATE", "WITH"}
    assert "PUBLISH ? ?" in [span.attributes.get("db.statement") for span in libraries]
    shown = str([span.attributes for span in libraries])
    assert [value for value in (session, gus.id, "that stays", "that does") if value in shown] == []
    called = {span.trace for span in receiver.spans() if span.tracer.startswith(LIBRARIES)}
    await arrived(lambda: called <= _traces(receiver), "what they are part of")


async def test_a_connection_is_a_trace_of_its_own(visitors: Visitors, receiver: OtlpReceiver) -> None:
    """With its close inside; and writing the roster to the presence store is a span, too."""
    async with musician(visitors, "di") as di:
        session = await di.create("Short")
        async with di.in_room(session):
            pass
        await arrived(lambda: bool(_connections(receiver, session)), "the connection")
    (connection,) = _connections(receiver, session)
    close = the(receiver.spans(connection.trace), "ws.close")
    assert (close.parent, close.attributes["code"]) == (connection.id, 1000)
    await arrived(lambda: "presence.touch" in names(receiver.spans()), "the mirror")


async def test_every_metric_arrives_as_what_it_is(visitors: Visitors, receiver: OtlpReceiver) -> None:
    """Each part sends what the documentation says it has, of that kind; a gateway alone sends nothing of clusters."""
    of_clusters = {*OF_CLUSTERS.values(), *OF_PEERS.values()}
    async with musician(visitors, "ed") as ed:
        session = await ed.create("Loud")
        async with ed.in_room(session) as client, ed.in_room(session, memberId="other") as other:
            for number in range(300):
                await client.say("note", number)
            while (await other.next("note"))["payload"] != 299:
                pass
            await _uploaded(visitors, ed, session)
            await asked(ed, "/api/export", {"sessionId": session})
            while (await client.next("export.progress"))["payload"]["status"] != "completed":
                pass
            for part, metrics in METRICS.items():
                kinds = {metric.name: metric.kind for metric in metrics if metric not in of_clusters}
                await arrived(partial(_has_kinds, receiver, part, kinds), f"all of the {part}")
            await arrived(lambda: receiver.metrics("omnisonic-gateway")["omnisonic.messages"][1] >= 300, "the messages")
    gateway, web = receiver.metrics("omnisonic-gateway"), receiver.metrics("omnisonic-web")
    assert gateway["omnisonic.connections"][1] >= 2
    assert gateway["omnisonic.deliveries"][1] >= 300
    assert gateway["omnisonic.fanned_out_bytes"][1] > 300 * 20
    assert web["omnisonic.uploads"][1] >= 1
    assert web["omnisonic.uploaded_bytes"][1] > 1000
    assert receiver.metrics("omnisonic-worker")["omnisonic.exports"][1] >= 1


def _ours(receiver: OtlpReceiver, trace: str) -> list[ReceivedSpan]:
    """The spans of a trace, but for those of libraries."""
    return [span for span in receiver.spans(trace) if not span.tracer.startswith(LIBRARIES)]


def _traces(receiver: OtlpReceiver) -> set[str]:
    """The traces that hold something of ours."""
    return {span.trace for span in receiver.spans() if not span.tracer.startswith(LIBRARIES)}


def _is_delivered(receiver: OtlpReceiver, trace: str) -> bool:
    found = names(receiver.spans(trace))
    return {"POST /api/export", "export.render", *WORKER_STEPS} <= set(found) and found.count("ws.message") >= 2


def _connections(receiver: OtlpReceiver, session: str) -> list[ReceivedSpan]:
    return [span for span in receiver.spans() if span.name == "ws.connection" and span.attributes["room"] == session]


def _has_kinds(receiver: OtlpReceiver, part: str, wanted: Mapping[str, str]) -> bool:
    """Whether a part has sent these metrics, of these kinds, and no other of ours."""
    return _kinds(receiver, part) == wanted


def _kinds(receiver: OtlpReceiver, part: str) -> dict[str, str]:
    return {
        name: kind
        for name, (kind, _) in receiver.metrics(f"omnisonic-{part}").items()
        if name.startswith(("omnisonic.", "http.server."))
    }


async def _uploaded(visitors: Visitors, who: Musician, session: str) -> str:
    """A stem of the session; the id of the request."""
    headers = {"Cookie": who.cookie, "Origin": f"http://127.0.0.1:{visitors.web_port}"}
    async with httpx.AsyncClient(timeout=START_S, headers=headers) as client:
        answer = await client.post(
            f"http://127.0.0.1:{visitors.web_port}/api/upload",
            files={"file": ("tone.wav", tone("wav", "pcm_s16le", seconds=1))},
            data={"sessionId": session},
        )
    assert answer.status_code == 201, answer.text
    return answer.headers["X-Request-Id"]
