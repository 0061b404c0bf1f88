"""`GET /readyz` on the gateway's port: the loop that runs the rooms says itself how it is (SPEC 5.4)."""

from collections.abc import AsyncIterator
from typing import Any, Final, cast

import pytest
import trio
from trio.testing import MockClock

from omnisonic.actors.inspection.readiness import ASKERS, CHECK_S, FRESH_S, Readiness
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.errors import Unavailable
from omnisonic.operations.gateway_stores import open_presence_and_bus
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.presence.memory import MemoryPresence
from tests.gateway.http_answers import asked
from tests.gateway.people import open_ticket_stage
from tests.postgres_server import PostgresServer
from tests.rooms import Stage, becomes, eventually, open_stage
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

ANSWERED_WITHIN_S: Final = 3.0
SILENT: Final = f"No answer within {CHECK_S:g} s."
WELL: Final = {"loop": "ok", "presence": "ok", "bus": "ok"}


def request(stage: Stage) -> bytes:
    return f"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{stage.port}\r\n\r\n".encode()


async def reported(stage: Stage) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer, in time."""
    with trio.fail_after(ANSWERED_WITHIN_S):
        status, headers, body = await asked(stage, request(stage))
    assert (status == 503) == ("retry-after" in headers)
    return status, body


async def checks(stage: Stage) -> object:
    return (await reported(stage))[1]["checks"]


class Counted(MemoryPresence):
    """A presence store that counts how often it is asked whether it is there, and answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.may_answer = trio.Event()

    async def ping(self) -> None:
        self.asked += 1
        await self.may_answer.wait()


class Broken(MemoryPresence):
    """A presence store with a bug."""

    async def ping(self) -> None:
        raise RuntimeError("the secret of the adapter")


class Away(MemoryBus):
    """A bus that is not there."""

    async def publish(self, channel: str, data: bytes) -> int:
        raise Unavailable("Nobody is home at 10.0.0.5.")


async def test_a_gateway_that_goes_on_is_ready(stage: Stage) -> None:
    """200, and each check by its name."""
    assert await reported(stage) == (200, {"ok": True, "checks": WELL})


async def test_a_gateway_with_tickets_asks_its_database_too(
    database_url: str, postgres_process: PostgresServer
) -> None:
    """503 within its time while it hangs, and 200 again when it goes on."""
    async with open_ticket_stage(database_url) as stage:
        assert await reported(stage) == (200, {"ok": True, "checks": {"database": "ok"} | WELL})
        postgres_process.pause()
        try:
            await becomes(lambda: checks(stage), {"database": SILENT} | WELL)
        finally:
            postgres_process.resume()
        await becomes(lambda: checks(stage), {"database": "ok"} | WELL)


@pytest.fixture
async def on_valkey(valkey: ValkeyServer) -> AsyncIterator[Stage]:
    async with (
        open_presence_and_bus(valkey.url) as (presence, bus),
        open_stage(presence=presence, bus=bus) as stage,
    ):
        yield stage


async def test_a_gateway_without_its_store_says_so(on_valkey: Stage, valkey: ValkeyServer) -> None:
    """503 with what is broken, while the loop goes on."""
    assert await checks(on_valkey) == WELL

    async def broken() -> list[str]:
        return [name for name, outcome in (await reported(on_valkey))[1]["checks"].items() if outcome != "ok"]

    valkey.pause()
    try:
        await becomes(broken, ["presence", "bus"])
    finally:
        valkey.resume()
    await becomes(lambda: checks(on_valkey), WELL)


async def test_what_is_broken_is_named_and_nothing_is_leaked() -> None:
    """Neither where it is nor why it failed."""
    async with open_stage(presence=Broken(), bus=Away()) as stage:
        status, _, body = await asked(stage, request(stage))
    assert (status, body) == (
        503,
        {
            "ok": False,
            "error": "Not ready: presence and bus cannot be reached.",
            "code": "unavailable",
            "checks": {"loop": "ok", "presence": "It could not be checked.", "bus": "It does not answer."},
        },
    )


async def test_however_many_ask_one_probe_runs() -> None:
    """And those who are too many are told to come back; who has left is forgotten."""
    presence = Counted()
    async with open_stage(presence=presence) as stage, trio.open_nursery() as nursery:
        async with await stage.bare() as gone:
            await gone.stream.send_all(request(stage))
            await eventually(lambda: presence.asked == 1)
        statuses: list[int] = []

        async def ask(bare_stage: Stage) -> None:
            statuses.append((await reported(bare_stage))[0])

        for _ in range(ASKERS + 3):
            nursery.start_soon(ask, stage)
        await eventually(lambda: len(statuses) >= 3)
        assert set(statuses) == {503}
        presence.may_answer.set()
        await eventually(lambda: len(statuses) == ASKERS + 3)
        assert statuses.count(200) >= ASKERS - 1
        assert presence.asked == 1


async def test_a_wrong_host_is_not_told(stage: Stage) -> None:
    """As everything else: 421."""
    status, _, body = await asked(stage, b"GET /readyz HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert (status, body["code"]) == (421, "wrong_host")


class Asker:
    """What a connection is to the readiness: somebody to answer."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def send_http_answer(self, data: bytes) -> None:
        self.answers.append(data)


async def test_a_dispatcher_that_gives_no_turns_is_not_ready(autojump_clock: MockClock) -> None:
    """Though the loop around it answers: rooms get their mail from the dispatcher."""
    dispatcher, asker = Dispatcher(), Asker()
    async with trio.open_nursery() as nursery:
        readiness = Readiness(nursery, dispatcher)
        readiness.add(cast("Any", asker))
        await trio.sleep(CHECK_S + FRESH_S)
        (answer,) = asker.answers
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert SILENT.encode() in answer
        nursery.start_soon(dispatcher.run)
        readiness.add(cast("Any", asker))
        await trio.sleep(CHECK_S)
        assert asker.answers[1].startswith(b"HTTP/1.1 200 ")
        nursery.cancel_scope.cancel()
