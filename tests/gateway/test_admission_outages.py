"""Database, guard or both away while people want to enter: 503 in time, and the rooms do not notice (SPEC 5.1)."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.memory import QUEUE_LENGTH
from omnisonic.stores.database.migrations import migrate
from tests.clients import upgrade_request
from tests.gateway.http_answers import asked
from tests.gateway.latency import latencies_ms, percentile
from tests.gateway.people import PAGE, People, enter, open_people, open_ticket_stage, shown
from tests.postgres_server import PostgresServer, blocking, running_postgres
from tests.rooms import Stage
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

ANSWER_S: Final = 3.0
"""A pending admission waits 2 s at most."""
P99_MS: Final = 50.0


async def refused(stage: Stage, **headers: str) -> tuple[int, str, bool]:
    """The answer to a handshake that must be answered in time: status, code, and whether it says when to come back."""
    with trio.fail_after(ANSWER_S):
        status, answered, body = await asked(stage, upgrade_request("/", stage.port, **headers))
    return status, str(body["code"]), int(answered.get("retry-after", 0)) > 0


LATER: Final = (503, "unavailable", True)


async def test_a_database_that_hangs_costs_newcomers_only(
    database_url: str, people: People, postgres_process: PostgresServer
) -> None:
    """They get 503 within the timeout; members who are inside stay, also after a re-check."""
    ada = await people.sign_up("ada")
    room = await people.session(ada)
    async with (
        open_ticket_stage(database_url, recheck_s=0.2) as stage,
        await enter(stage, ada, room) as one,
        await enter(stage, ada, room, member_id="bo") as two,
    ):
        postgres_process.pause()
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(expect_later, stage, ada.ticket(room))
                taken_ms = await latencies_ms(one, two, for_s=1.0)
        finally:
            postgres_process.resume()
        assert percentile(taken_ms, 99) < P99_MS
        async with await enter(stage, ada, room, member_id="cy"):
            assert stage.roster(room) == ["ada", "bo", "cy"]


async def expect_later(stage: Stage, ticket: str) -> None:
    """A newcomer with a good ticket is told to come back."""
    assert await refused(stage, Sec_WebSocket_Protocol=shown(ticket)) == LATER


@pytest.fixture
async def own_database() -> AsyncIterator[tuple[PostgresServer, str]]:
    """A server of the test's own, to be killed."""
    with running_postgres() as server:
        blocking(migrate(server.url))
        yield server, server.url


async def test_a_database_that_is_gone_sends_nobody_out_and_is_asked_when_it_is_back(
    own_database: tuple[PostgresServer, str],
) -> None:
    """A gap while it is down: nobody knows who may stay, so all do, until it tells who may not."""
    server, url = own_database
    async with open_people(url) as people:
        ada = await people.sign_up("ada")
        room = await people.session(ada)
        other = await people.sign_in_again(ada)
    async with (
        open_ticket_stage(url) as stage,
        await enter(stage, ada, room) as stays,
        await enter(stage, other, room, member_id="phone") as goes,
    ):
        server.execute("DELETE FROM logins WHERE id = $1", other.login)
        server.kill()
        for _ in range(QUEUE_LENGTH + 1):
            await stage.bus.publish(ROOM_EVENTS, b"{}")
        assert await refused(stage, Sec_WebSocket_Protocol=shown(ada.ticket(room))) == LATER
        await stays.say("note")
        assert (await goes.next("note"))["from"] == "ada"
        server.start()
        assert await goes.closed() == (4003, "kicked")
        async with await enter(stage, ada, room, member_id="bo"):
            assert stage.roster(room) == ["ada", "bo"]


@pytest.mark.parametrize("how", ["killed", "hanging"])
async def test_without_the_guard_no_ticket_is_taken(
    database_url: str, people: People, valkey: ValkeyServer, how: str
) -> None:
    """Nobody could tell whether it was used: 503. A cookie needs no guard. When it is back, so are tickets."""
    ada = await people.sign_up("ada")
    room = await people.session(ada)
    async with open_ticket_stage(database_url, valkey.url) as stage:
        (valkey.kill if how == "killed" else valkey.pause)()
        try:
            assert await refused(stage, Sec_WebSocket_Protocol=shown(ada.ticket(room))) == LATER
            target = stage.target("ada", room)
            status, _, _ = await asked(stage, upgrade_request(target, stage.port, Cookie=ada.cookie(), Origin=PAGE))
            assert status == 101
        finally:
            (valkey.start if how == "killed" else valkey.resume)()
        async with await enter(stage, ada, room):
            assert "ada" in stage.roster(room)
