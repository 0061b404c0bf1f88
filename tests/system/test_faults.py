"""What a studio with accounts survives: parts and database killed or restarted under load, the pool exhausted.

Each test runs on `omnisonic serve` and on its parts started apart, with rooms by ticket.
"""

import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
import trio

from omnisonic.stores.database import CONNECTIONS
from tests.clients import Client
from tests.postgres_server import blocking
from tests.processor_time import unhindered_s
from tests.rooms import becomes
from tests.system.musicians import Musician, musician
from tests.system.studio import Served, Studio, end, running_studio

pytestmark = pytest.mark.timing

NORMAL_WITHIN_S = 2.0
"""Everything is normal again this long after the database is back (RELIABILITY 11)."""
ANSWERED_WITHIN_S = 1.0
"""Nobody waits longer for an answer who gets no connection, because the pool is exhausted (RELIABILITY 12)."""
HEARD_WITHIN_S = 0.1
ASKERS = 8
STUCK = 30
LOCKED_S = 2.5
"""Longer than an answer may take, shorter than a query may."""


@pytest.fixture(scope="module", params=["serve", "apart"])
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running studio with rooms by ticket that all tests of the module share."""
    settings = {"ROOM_ACCESS": "ticket", "DATABASE_TIMEOUT_SECONDS": "2.5"}
    with running_studio(request.param, tmp_path_factory.mktemp(request.param), **settings) as studio:
        yield studio


@pytest.mark.parametrize("part", ["gateway", "web", "worker"])
async def test_a_killed_part_loses_nobodys_session(part: str, studio: Studio) -> None:
    """Once it is back, the session is there, the sign-in holds, and its room can be entered."""
    async with musician(studio.visitors, f"ada-{part}") as ada:
        session = await ada.create("Kept")
        before = studio.pid(part)
        assert await end(studio, part, signal.SIGKILL) == -signal.SIGKILL
        assert (await ada.session(session))["name"] == "Kept"
        async with ada.in_room(session) as client:
            assert client.welcome["payload"]["memberId"] == ada.id
            await becomes(lambda: ada.roster(session), [ada.id])
        assert studio.pid(part) != before


async def test_a_database_that_is_restarted_under_load_gives_no_wrong_answer(studio: Studio) -> None:
    """Each answer is right, or 503 with `Retry-After`; two seconds later all are right; what was made is there."""
    async with musician(studio.visitors, "ada-restart") as ada:
        asked = _Asked(ada, await ada.create("Steady"))
        async with ada.in_room(asked.session) as client, trio.open_nursery() as nursery:
            for _ in range(ASKERS):
                nursery.start_soon(asked.ask_on)
            nursery.start_soon(asked.create_on)
            await asked.answered(ASKERS * 5)
            await trio.to_thread.run_sync(studio.restart_database)
            normal_s = trio.current_time() + NORMAL_WITHIN_S
            await asked.answered(ASKERS * 5, since_s=normal_s)
            asked.over = True
            await client.say("chat", None, id=1)
            assert (await client.next("ack"))["payload"]["id"] == 1
        assert set(asked.since(normal_s)) == {200}
        assert set(asked.since()) <= {200, 503}
        assert set(asked.created) <= {201, 503}
        names = await _session_names(ada)
        assert [name for name in asked.made if name not in names] == []
        assert await trio.to_thread.run_sync(blocking, _halves(studio.database_url)) == 0


async def test_an_exhausted_pool_is_told_within_a_second_and_no_room_notices(studio: Studio) -> None:
    """While somebody has locked the sessions, whoever asks for them waits or is told 503; rooms go on as ever."""
    async with musician(studio.visitors, "ada-pool") as ada:
        session = await ada.create("Locked")
        async with ada.in_room(session) as client, trio.open_nursery() as nursery:
            over = trio.Event()
            nursery.start_soon(_talk_until, client, over, studio.pid("gateway"))
            async with _locked_sessions(studio), trio.open_nursery() as crowd:
                answers: list[tuple[float, httpx.Response]] = []
                for _ in range(STUCK):
                    crowd.start_soon(_timed, ada, f"/api/sessions?id={session}", answers)
            assert len(answers) == STUCK
            assert len([answer for _, answer in answers if answer.status_code == 503]) >= STUCK - CONNECTIONS
            # Those who did get a connection wait for the lock, each on one of its own.
            slow = [took_s for took_s, _ in answers if took_s >= ANSWERED_WITHIN_S]
            assert len(slow) <= CONNECTIONS, sorted(slow)
            assert all(answer.headers["retry-after"] == "1" for _, answer in answers if answer.status_code == 503)
            assert {answer.status_code for _, answer in answers} <= {200, 503}
            over.set()
        assert (await ada.session(session))["name"] == "Locked"


async def test_a_studio_that_was_killed_is_back_with_all_that_was_in_it(tmp_path: Path) -> None:
    """`kill -9` of `serve` itself: the next start has the sessions and the sign-ins; nothing else was left behind."""
    with running_studio("serve", tmp_path, ROOM_ACCESS="ticket") as first:
        assert isinstance(first, Served)
        async with musician(first.visitors, "ada-killed") as ada:
            session = await ada.create("Survivor")
            cookies = ada.cookie
            await trio.to_thread.run_sync(first.kill)
    with running_studio("serve", tmp_path, ROOM_ACCESS="ticket") as second:
        headers = {"Cookie": cookies}
        found = await second.visitors.ask("GET", "/api/sessions", params={"id": session}, headers=headers)
        assert found["session"]["name"] == "Survivor"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
async def test_an_embedded_database_that_crashes_is_back_with_its_data(how: signal.Signals, tmp_path: Path) -> None:
    """It recovers what was committed, under the same URL, and no other part is started again."""
    with running_studio("serve", tmp_path) as studio:
        async with musician(studio.visitors, "ada-crash") as ada:
            session = await ada.create("Recovered")
            others = {part: studio.pid(part) for part in ("gateway", "web", "worker", "valkey")}
            await end(studio, "postgres", how)

            async def name() -> object:
                answer = await ada.ask("GET", f"/api/sessions?id={session}")
                return answer.json()["session"]["name"] if answer.status_code == 200 else answer.status_code

            await becomes(name, "Recovered")
            assert {part: studio.pid(part) for part in others} == others


class _Asked:
    """What the web answered to somebody who asks for their session, and makes others, on and on."""

    def __init__(self, person: Musician, session: str) -> None:
        self.session = session
        self._answers: list[tuple[float, int]] = []
        self.created: list[int] = []
        self.made: list[str] = []
        self.over = False
        self._person = person

    async def ask_on(self) -> None:
        """Ask for the session, and see that each answer is right."""
        while not self.over:
            begun_s = trio.current_time()
            answer = await self._person.ask("GET", f"/api/sessions?id={self.session}")
            self._check(answer)
            if answer.status_code == 200:
                assert answer.json()["session"]["name"] == "Steady"
            self._answers.append((begun_s, answer.status_code))

    async def create_on(self) -> None:
        """Make sessions, and note those that the web says were made."""
        number = 0
        while not self.over:
            number += 1
            answer = await self._person.ask("POST", "/api/sessions", {"name": f"take {number}"})
            self._check(answer)
            if answer.status_code == 201:
                self.made.append(f"take {number}")
            self.created.append(answer.status_code)

    def since(self, since_s: float = 0.0) -> list[int]:
        """The statuses of all that was asked from `since_s` on."""
        return [status for begun_s, status in self._answers if begun_s >= since_s]

    async def answered(self, count: int, *, since_s: float = 0.0) -> None:
        """Wait until so many questions asked from `since_s` on are answered."""

        async def enough() -> bool:
            return len(self.since(since_s)) >= count

        await becomes(enough, wanted=True, deadline_s=20)

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["code"] == "unavailable"


async def _halves(url: str) -> int:
    """Sessions whose owner has no role in them: halves of a transaction."""
    connection = await asyncpg.connect(url)
    try:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM sessions "
                "WHERE (id, owner_id) NOT IN (SELECT session_id, user_id FROM session_members)"
            )
        )
    finally:
        await connection.close()


async def _session_names(person: Musician) -> set[str]:
    """The names of all their sessions."""
    names: set[str] = set()
    before = ""
    while True:
        page = await person.reported("GET", f"/api/sessions?limit=100{before}")
        names |= {session["name"] for session in page["sessions"]}
        if page["nextBefore"] is None:
            return names
        before = f"&before={httpx.QueryParams({'b': page['nextBefore']})}".replace("b=", "", 1)


async def _talk_until(client: Client, over: trio.Event, gateway: int) -> None:
    """Say something every now and then, which that process acknowledges as quickly as ever."""
    number = 0
    while not over.is_set():
        number += 1
        began_s = unhindered_s(gateway)
        await client.say("count", number, id=number)
        assert (await client.next("ack"))["payload"]["id"] == number
        assert unhindered_s(gateway) - began_s < HEARD_WITHIN_S
        await trio.sleep(0.01)


async def _timed(person: Musician, path: str, answers: list[tuple[float, httpx.Response]]) -> None:
    began_s = time.monotonic()
    answer = await person.ask("GET", path)
    answers.append((time.monotonic() - began_s, answer))


@asynccontextmanager
async def _locked_sessions(studio: Studio) -> AsyncIterator[None]:
    """Nobody can read sessions for `LOCKED_S`, or until the block ends if that takes longer."""
    locked, done = trio.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    async def lock() -> None:
        connection = await asyncpg.connect(studio.database_url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
                token.run_sync_soon(locked.set)
                await connection.fetchval("SELECT pg_sleep($1)", LOCKED_S)
        finally:
            await connection.close()

    async def hold() -> None:
        await trio.to_thread.run_sync(blocking, lock())
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        await locked.wait()
        yield
        await done.wait()
