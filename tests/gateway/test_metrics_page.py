"""`GET /metrics` on the gateway's port: who may read, and that no room waits for it (SPEC 9)."""

import threading
from typing import Final

import pytest
import trio

from omnisonic.actors.inspection.metrics import ASKERS
from omnisonic.observability.metrics import PROMETHEUS_TEXT
from tests.gateway.http_answers import asked
from tests.rooms import Stage, eventually, open_stage

TOKEN: Final = "a token of this test"
TEXT: Final = b"# TYPE omnisonic_rooms gauge\nomnisonic_rooms 1.0\n"
DEADLINE_S: Final = 10.0


def request(stage: Stage, *headers: str, method: str = "GET") -> bytes:
    lines = (f"{method} /metrics HTTP/1.1", f"Host: 127.0.0.1:{stage.port}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def read(stage: Stage, *headers: str) -> tuple[str, bytes]:
    """The head and the body of the answer."""
    with trio.fail_after(DEADLINE_S):
        async with await stage.bare() as bare:
            await bare.stream.send_all(request(stage, *headers))
            return (await bare.head()).decode(), await bare.rest()


async def refused(stage: Stage, *headers: str, method: str = "GET") -> tuple[int, object]:
    """The status and the code of a refusal."""
    with trio.fail_after(DEADLINE_S):
        status, _, body = await asked(stage, request(stage, *headers, method=method))
    return status, body["code"]


class Slow:
    """Renders when it may, and counts how often it began."""

    def __init__(self) -> None:
        self.begun = 0
        self.threads: set[int] = set()
        self.may_end = threading.Event()

    def __call__(self) -> bytes:
        self.begun += 1
        self.threads.add(threading.get_ident())
        assert self.may_end.wait(DEADLINE_S)
        return TEXT


async def test_a_program_on_this_machine_reads_the_metrics() -> None:
    """200, in the media type that Prometheus knows, never from a cache."""
    async with open_stage(render_metrics=lambda: TEXT) as stage:
        head, body = await read(stage)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert {f"Content-Type: {PROMETHEUS_TEXT}", "Cache-Control: no-store"} <= set(head.split("\r\n"))
    assert body == TEXT


async def test_what_a_proxy_passes_on_needs_the_token() -> None:
    """403 where there is no token, 401 without it and with another, 200 with it."""
    passed_on = "X-Forwarded-For: 127.0.0.1"
    async with open_stage(render_metrics=lambda: TEXT) as stage:
        assert await refused(stage, passed_on) == (403, "loopback_only")
    async with open_stage(render_metrics=lambda: TEXT, metrics_token=TOKEN) as stage:
        assert await refused(stage, passed_on) == (401, "token_required")
        assert await refused(stage, passed_on, "Authorization: Bearer wrong") == (401, "invalid_token")
        assert (await read(stage, passed_on, f"Authorization: Bearer {TOKEN}"))[1] == TEXT


async def test_where_nothing_is_measured_there_is_nothing_to_read() -> None:
    """404, for those who might read; the others learn nothing of it."""
    async with open_stage() as stage:
        assert await refused(stage) == (404, "not_found")
        assert await refused(stage, "X-Real-IP: 10.0.0.5") == (403, "loopback_only")


async def test_metrics_are_only_read() -> None:
    """Another method is 405."""
    async with open_stage(render_metrics=lambda: TEXT) as stage:
        assert await refused(stage, method="POST") == (405, "method_not_allowed")


async def test_rooms_go_on_while_metrics_are_rendered() -> None:
    """On another thread: members hear each other meanwhile."""
    render = Slow()
    async with (
        open_stage(render_metrics=render) as stage,
        stage.band("ada", "bo") as (ada, bo),
        await stage.bare() as bare,
    ):
        await bare.stream.send_all(request(stage))
        await eventually(lambda: render.begun == 1)
        await ada.say("note", {"pitch": 60})
        assert (await bo.next("note"))["payload"] == {"pitch": 60}
        render.may_end.set()
        assert (await bare.head()).startswith(b"HTTP/1.1 200 ")
    assert threading.get_ident() not in render.threads


async def test_however_many_ask_one_rendering_answers_them() -> None:
    """Those who are too many are told to come back; who has left is forgotten."""
    render = Slow()
    async with open_stage(render_metrics=render) as stage, trio.open_nursery() as nursery:
        async with await stage.bare() as gone:
            await gone.stream.send_all(request(stage))
            await eventually(lambda: render.begun == 1)
        statuses: list[str] = []

        async def ask() -> None:
            statuses.append((await read(stage))[0].split()[1])

        for _ in range(ASKERS + 3):
            nursery.start_soon(ask)
        await eventually(lambda: len(statuses) >= 3)
        assert set(statuses) == {"503"}
        render.may_end.set()
        await eventually(lambda: len(statuses) == ASKERS + 3)
        assert statuses.count("200") >= ASKERS - 1
        assert render.begun == 1


async def test_a_rendering_that_fails_is_500_and_the_gateway_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """Its traceback is in the log, and not in the answer."""

    def fail() -> bytes:
        raise RuntimeError("the secret of a metric")

    async with open_stage(render_metrics=fail) as stage:
        for _ in range(2):
            head, body = await read(stage)
            assert head.startswith("HTTP/1.1 500 ")
            assert b"secret" not in body
        async with stage.member("ada"):
            assert stage.roster() == ["ada"]
    assert [record.message for record in caplog.records] == ["metrics.failed"] * 2


async def test_a_gateway_stops_while_metrics_are_rendered() -> None:
    """Who waits is told 503, and the rendering is not waited for."""
    render = Slow()
    with trio.fail_after(DEADLINE_S / 2):
        async with trio.open_nursery() as nursery:
            heads: list[str] = []

            async def ask(stage: Stage) -> None:
                heads.append((await read(stage))[0])

            async with open_stage(render_metrics=render) as stage:
                nursery.start_soon(ask, stage)
                await eventually(lambda: render.begun == 1)
    render.may_end.set()
    assert [head.split()[1] for head in heads] == ["503"]
