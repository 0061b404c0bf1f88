"""The pool, on servers that are restarted, killed, stopped and out of connections."""

import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import asyncpg
import pytest
import trio

from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.errors import Unavailable
from omnisonic.stores.database.pool import DEADLINES, Database
from tests.patience import patient_timeout
from tests.postgres_server import PostgresServer, blocking, running_postgres
from tests.tcp_proxy import open_tcp_proxy

DEADLINE_S: Final = 20.0
BACK_S: Final = 2.0
"""All is normal so soon after the server is back."""
CALLERS: Final = 12

T = TypeVar("T")


@asynccontextmanager
async def database_at(url: str, *, connections: int = 10) -> AsyncIterator[Database]:
    """A pool, closed with the block."""
    database = Database(url, connections=connections)
    await database.open()
    try:
        yield database
    finally:
        await database.aclose()


def using(url: str, use: Callable[[Database], Awaitable[T]], *, connections: int = 10) -> T:
    """What `use` does with a pool."""

    async def run() -> T:
        async with patient_timeout(DEADLINE_S), database_at(url, connections=connections) as database:
            return await use(database)

    return blocking(run())


class Load:
    """Callers who write two rows in one transaction, over and over, and read what they wrote."""

    def __init__(self, database: Database) -> None:
        self.written: list[int] = []
        self.refused = 0
        self.last_refusal_s = 0.0
        self._database = database
        self._number = 0
        self._wrote = asyncio.Event()
        self._over = False

    async def run(self, during: Callable[[], Awaitable[object]]) -> None:
        """Do it while `during` runs. Errors: whatever a caller gets but `Unavailable`."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(self._call())
            try:
                await during()
            finally:
                self._over = True

    async def wrote(self, more: int) -> None:
        """Return when `more` transactions have succeeded from now on."""
        enough = len(self.written) + more
        while len(self.written) < enough:
            self._wrote.clear()
            await self._wrote.wait()

    async def _call(self) -> None:
        while not self._over:
            self._number += 1
            number = self._number
            try:
                async with self._database.transaction() as connection:
                    await connection.execute("INSERT INTO pairs VALUES ($1)", number)
                    await connection.execute("INSERT INTO pairs VALUES ($1)", -number)
                self.written.append(number)
                self._wrote.set()
                row = await self._database.row("SELECT value FROM pairs WHERE value = $1", number)
                assert row is not None
                assert row["value"] == number
            except Unavailable:
                self.refused += 1
                self.last_refusal_s = time.monotonic()
                await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["stop", "abort", "kill"])
def test_a_restart_under_load_is_unavailable_then_normal_and_leaves_no_half_transaction(how: str) -> None:
    """In order, without tidying, and by a crash: what was said to be written is there, whole."""
    with running_postgres() as server:
        server.execute("CREATE TABLE pairs (value integer)")

        async def load(database: Database) -> tuple[Load, float]:
            load = Load(database)
            back_s = 0.0

            async def restart() -> None:
                nonlocal back_s
                await load.wrote(50)
                await asyncio.to_thread(getattr(server, how))
                await asyncio.to_thread(server.start)
                back_s = time.monotonic()
                await load.wrote(50)
                while time.monotonic() < back_s + BACK_S / 2:
                    await load.wrote(1)

            await load.run(restart)
            return load, back_s

        result, back_s = using(server.url, load)
        assert result.refused > 0
        assert result.last_refusal_s < back_s + BACK_S / 2
        values = {row["value"] for row in server.execute("SELECT value FROM pairs")}
        assert set(result.written) <= values
        assert {-value for value in values} == values


@pytest.mark.timing
def test_an_exhausted_pool_is_unavailable_within_a_second(postgres_process: PostgresServer) -> None:
    """Rather than a queue that grows; and when the others are done, it is normal."""

    async def exhaust(database: Database) -> float:
        sleeping = [asyncio.create_task(database.row("SELECT pg_sleep(1.2)")) for _ in range(2)]
        await asyncio.sleep(0)
        began_s = time.monotonic()
        with pytest.raises(Unavailable):
            await database.ping()
        took_s = time.monotonic() - began_s
        await asyncio.gather(*sleeping)
        await database.ping()
        return took_s

    assert using(postgres_process.url, exhaust, connections=2) < 1.0


def test_a_server_out_of_connections_is_unavailable_until_it_has_some() -> None:
    """Another program may have taken them."""
    with running_postgres(max_connections=5) as server:

        async def crowd(database: Database) -> None:
            others = [await asyncpg.connect(server.url) for _ in range(5)]
            with pytest.raises(Unavailable):
                await database.ping()
            for other in others:
                await other.close()
            while True:
                try:
                    return await database.ping()
                except Unavailable:
                    await asyncio.sleep(0)

        using(server.url, crowd)


@pytest.mark.timing
@pytest.mark.parametrize("warm", [True, False], ids=["connected", "not connected"])
def test_a_server_that_hangs_is_unavailable_within_about_two_seconds(warm: bool) -> None:
    """And when it goes on, all is normal."""
    with running_postgres() as server:

        async def hang(database: Database) -> float:
            if warm:
                await asyncio.gather(*(database.row("SELECT pg_sleep(0.05)") for _ in range(3)))
            server.pause()
            try:
                took_s = await refusal_s(database.ping())
            finally:
                server.resume()
            await database.ping()
            return took_s

        longest_s = DEADLINES.query_s + DEADLINES.release_s if warm else DEADLINES.acquire_s
        assert using(server.url, hang) < longest_s + 0.4


@pytest.mark.timing
def test_a_server_that_hangs_in_a_transaction_is_unavailable_as_soon() -> None:
    """A rollback is not waited for: the server does it by itself when the connection is gone."""
    with running_postgres() as server:

        async def begin_and_hang(database: Database) -> None:
            async with database.transaction() as connection:
                await connection.execute("CREATE TABLE begun ()")
                server.pause()
                await connection.execute("SELECT 1")

        async def hang(database: Database) -> float:
            try:
                took_s = await refusal_s(begin_and_hang(database))
            finally:
                server.resume()
            row = await database.row("SELECT to_regclass('begun')")
            assert row is not None
            assert row[0] is None
            return took_s

        assert using(server.url, hang) < DEADLINES.query_s + DEADLINES.release_s + 0.4


async def refusal_s(call: Awaitable[object]) -> float:
    """The seconds until a call is refused. Errors: when it is not."""
    began_s = time.monotonic()
    with pytest.raises(Unavailable):
        await call
    return time.monotonic() - began_s


@pytest.mark.timing
def test_a_statement_that_takes_too_long_is_cancelled_on_the_server_as_well(postgres_process: PostgresServer) -> None:
    """Or the server would go on working for nobody."""

    async def overrun(database: Database) -> None:
        assert await refusal_s(database.row("SELECT 'overrun', pg_sleep(60)")) < DEADLINES.query_s + DEADLINES.release_s
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%''overrun''%sleep%60)'"
        row = await database.row(running)
        assert row is not None
        assert row[0] == 0

    using(postgres_process.url, overrun)


def test_our_own_mistakes_stay_what_they_are(postgres_process: PostgresServer) -> None:
    """A wrong statement or value is not a database that is away."""

    async def mistake(database: Database) -> None:
        with pytest.raises(asyncpg.UndefinedTableError):
            await database.row("SELECT 1 FROM nowhere")
        with pytest.raises(asyncpg.DataError):
            await database.row("SELECT $1::integer", "one")
        with pytest.raises(asyncpg.InterfaceError):
            await database.row("SELECT $1::integer")
        with pytest.raises(asyncpg.UniqueViolationError):
            await _twice_the_same(database)
        row = await database.row("SELECT to_regclass('unique_')")
        assert row is not None
        assert row[0] is None

    using(postgres_process.url, mistake)


async def _twice_the_same(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE unique_ (value integer PRIMARY KEY)")
        await connection.execute("INSERT INTO unique_ VALUES (1), (1)")


def test_after_it_is_closed_it_is_unavailable(postgres_process: PostgresServer) -> None:
    """A request that is late for the shutdown is told so; and what is in use does not hold it up for good."""

    async def close(database: Database) -> None:
        asleep = asyncio.create_task(refusal_s(database.row("SELECT pg_sleep(60)")))
        await asyncio.sleep(0)
        await database.aclose()
        await database.aclose()
        await asleep
        with pytest.raises(Unavailable):
            await database.ping()

    using(postgres_process.url, close)


@pytest.mark.timing
async def test_a_query_costs_one_round_trip_and_is_prepared_once(postgres_process: PostgresServer) -> None:
    """With a tenth of a second each way it shows: nothing is prepared, reset or asked for again."""
    async with open_tcp_proxy(postgres_process.port) as proxy, open_asyncio_thread() as thread:
        database = Database(f"postgresql://omnisonic@127.0.0.1:{proxy.port}/postgres", connections=1)
        await thread.call(database.open, timeout_s=DEADLINE_S)
        statement = "SELECT $1::integer + 1 AS next"
        await thread.call(database.row, statement, 1, timeout_s=DEADLINE_S)
        proxy.delay_s = 0.1
        began_s = trio.current_time()
        await thread.call(database.row, statement, 2, timeout_s=DEADLINE_S)
        took_s = trio.current_time() - began_s
        assert 2 * proxy.delay_s <= took_s < 4 * proxy.delay_s
        proxy.delay_s = 0.0
        await thread.call(database.aclose, timeout_s=DEADLINE_S)


@pytest.mark.timing
def test_a_server_that_is_not_there_yet_is_no_error_to_open() -> None:
    """Only its use is refused, and at once."""

    async def nobody(database: Database) -> None:
        assert await refusal_s(database.ping()) < DEADLINES.acquire_s + 0.2

    using("postgresql://nobody@127.0.0.1:9/nothing", nobody)


def test_whoever_stops_waiting_for_a_connection_causes_no_complaint(postgres_process: PostgresServer) -> None:
    """At any moment while it is opened: asyncpg would complain, of a probe for TLS that was cut off, say."""
    complaints: list[object] = []

    async def stop_after(steps: int) -> None:
        async with database_at(postgres_process.url) as database:
            asking = asyncio.create_task(database.ping())
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with patient_timeout(DEADLINE_S):
            for doublings in range(10):
                await stop_after(2**doublings)
                await stop_after(3 * 2**doublings)
        gc.collect()

    blocking(run())
    assert complaints == []


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_connection_that_is_opened_while_the_pool_closes_is_closed(
    postgres_process: PostgresServer, is_cancelled: bool
) -> None:
    """At any moment, also when its caller gives up then: nobody would ever close it. Its caller is told."""

    async def close_after(steps: int) -> None:
        database = Database(postgres_process.url)
        await database.open()
        asking = asyncio.create_task(database.ping())
        for _ in range(steps):
            await asyncio.sleep(0)
        await database.aclose()
        if is_cancelled:
            asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled() or isinstance(asking.exception(), Unavailable | None)

    async def run() -> None:
        async with patient_timeout(DEADLINE_S):
            for doublings in range(10):
                await close_after(2**doublings)
                await close_after(3 * 2**doublings)

    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always")
        blocking(run())
        gc.collect()
    assert [str(each.message) for each in left_open] == []


async def test_a_server_that_takes_longer_than_anybody_waits_is_reached_all_the_same(
    postgres_process: PostgresServer,
) -> None:
    """What nobody waits for any more is opened for the next one: each starting anew, nobody would ever get in."""
    async with open_tcp_proxy(postgres_process.port) as proxy, open_asyncio_thread() as thread:
        database = Database(f"postgresql://omnisonic@127.0.0.1:{proxy.port}/postgres", connections=1)
        await thread.call(database.open, timeout_s=DEADLINE_S)
        proxy.delay_s = 0.3
        refused = 0
        with trio.fail_after(DEADLINE_S):
            while True:
                try:
                    await thread.call(database.ping, timeout_s=DEADLINE_S)
                except Unavailable:
                    refused += 1
                else:
                    break
        assert refused
        await thread.call(database.aclose, timeout_s=DEADLINE_S)
