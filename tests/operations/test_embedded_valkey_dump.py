"""What the embedded Valkey keeps over a graceful stop, and that nothing older ever comes back."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import pytest
import redis
import trio
from trio.testing import MockClock

from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.operations.child_process import ProcessSpec
from omnisonic.operations.embedded.valkey import DUMP, UNREADABLE, EmbeddedValkey
from omnisonic.operations.supervisor import run_processes
from omnisonic.stores.guard.valkey import ValkeyGuard
from omnisonic.stores.room_memory import Claimed, Outcome, RoomMemoryStore, RoomRecord, RoomWrite
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from tests.processes import send_signal
from tests.stores.conftest import InThread

DEADLINE_S: Final = 30.0
TICKET_S: Final = 60.0
VALUES: Final = {"epoch": b"one"}
BLOCKS: Final = [(1, b"hello")]


class Running:
    """A server and what it has printed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lines: list[str] = []
        self.restarts = 0

    @asynccontextmanager
    async def store(self) -> AsyncIterator[RoomMemoryStore]:
        """The room memory in it."""
        async with open_asyncio_thread() as thread:
            store = cast("RoomMemoryStore", InThread(thread, ValkeyRoomMemory(self.url)))
            yield store
            await store.aclose()

    async def is_first_use(self) -> bool:
        """Whether a ticket is used for the first time."""
        async with open_asyncio_thread() as thread:
            guard = InThread(thread, ValkeyGuard(self.url))
            first: bool = await guard.first_use("ticket", "one", ttl_s=TICKET_S)
            await guard.aclose()
            return first

    async def claim(self) -> Claimed:
        """Claim the room."""
        async with self.store() as store:
            return (await store.claim(["jam"], "gateway"))[0]

    async def write(self, *, is_release: bool) -> None:
        """Claim the room and write all of it."""
        async with self.store() as store:
            [claimed] = await store.claim(["jam"], "gateway")
            write = RoomWrite("jam", claimed.fence, 1, VALUES, BLOCKS, is_whole=True, is_release=is_release)
            assert await store.write([write]) == [Outcome.WRITTEN]

    def pid(self) -> int:
        """Its process."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.info("server")["process_id"])


@asynccontextmanager
async def running(folder: Path, *others: ProcessSpec) -> AsyncIterator[Running]:
    """A server as `serve` runs it, before `others`, stopped in order at the end of the block."""
    valkey = EmbeddedValkey(folder)
    await valkey.end_stale()
    spec, stop, started, server = valkey.spec(), trio.Event(), trio.Event(), Running(valkey.url)

    def note_restart(_name: str, _line: str) -> None:
        server.restarts += 1

    async def run() -> None:
        await run_processes(
            [spec, *others],
            on_line=lambda _, line: server.lines.append(line),
            on_restart=note_restart,
            stop=stop,
            started=started.set,
        )

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await started.wait()
            yield server
            stop.set()


async def test_a_graceful_stop_keeps_everything(tmp_path: Path) -> None:
    """A room goes on where it was, also twice, and a ticket that was used stays used. Only its owner reads the file."""
    async with running(tmp_path) as server:
        await server.write(is_release=True)
        assert await server.is_first_use()
    assert (tmp_path / DUMP).stat().st_mode & 0o777 == 0o600
    async with running(tmp_path):
        pass
    async with running(tmp_path) as server:
        assert (await server.claim()).record == RoomRecord(VALUES, BLOCKS, is_clean=True)
        assert not await server.is_first_use()


@pytest.mark.timing
async def test_a_stop_in_which_the_others_take_long_keeps_everything_too(tmp_path: Path, mock_clock: MockClock) -> None:
    """A worker that ends at last, and a web and a gateway that have to be killed."""
    mock_clock.rate = 1
    program = "import os, signal, time; signal.signal(15, lambda *_: (time.sleep({}), os._exit(0))); {}; signal.pause()"
    others = [
        ProcessSpec(name, (sys.executable, "-S", "-E", "-c", program.format(stop_s, "os.write(0, b'ready\\n')")), {})
        for name, stop_s in (("gateway", 60), ("web", 60), ("worker", 0.5))
    ]
    async with running(tmp_path, *others) as server:
        await server.write(is_release=True)
        mock_clock.rate = 3
    assert (tmp_path / DUMP).exists()
    mock_clock.rate = 1
    async with running(tmp_path) as server:
        assert (await server.claim()).record == RoomRecord(VALUES, BLOCKS, is_clean=True)


async def test_a_room_that_was_not_released_is_known_but_not_clean(tmp_path: Path) -> None:
    """Its gateway did not stop in order."""
    async with running(tmp_path) as server:
        await server.write(is_release=False)
    async with running(tmp_path) as server:
        assert (await server.claim()).record == RoomRecord(VALUES, BLOCKS, is_clean=False)


async def test_what_was_loaded_is_gone_before_anybody_is_served(tmp_path: Path) -> None:
    """After a crash nothing comes back: in an older state the room would count the same offsets twice."""
    async with running(tmp_path) as server:
        await server.write(is_release=True)
    async with running(tmp_path) as server:
        assert not (tmp_path / DUMP).exists()
        assert (await server.claim()).record is not None
        send_signal(server.pid(), signal.SIGKILL)
        while True:
            try:
                server.pid()
            except redis.ConnectionError:
                await trio.lowlevel.checkpoint()
            else:
                if server.restarts:
                    break
        assert (await server.claim()).record is None


@pytest.mark.parametrize("length", [0, 100, -1])
async def test_a_file_that_cannot_be_read_is_moved_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, length: int
) -> None:
    """Empty, cut off or altered: the server starts without it, and the log says so."""
    async with running(tmp_path) as server:
        await server.write(is_release=True)
    content = (tmp_path / DUMP).read_bytes()
    if length >= 0:
        (tmp_path / DUMP).write_bytes(content[:length])
    else:
        (tmp_path / DUMP).write_bytes(content.replace(b"hello", b"jello"))
    (tmp_path / "temp-1.rdb").write_bytes(b"half")
    async with running(tmp_path) as server:
        assert (await server.claim()).record is None
        assert not (tmp_path / DUMP).exists()
        assert not (tmp_path / "temp-1.rdb").exists()
    assert (tmp_path / UNREADABLE).exists()
    [record] = [record for record in caplog.records if record.message == "valkey.dump_unreadable"]
    assert vars(record)["moved_to"] == str(tmp_path / UNREADABLE)


@pytest.mark.timing
async def test_a_disk_that_takes_nothing_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    """It stops in time, and the next start is empty."""
    async with running(tmp_path) as server:
        await server.write(is_release=True)
        (tmp_path / DUMP).mkdir()  # it cannot replace a folder, as root neither
        began_s = trio.current_time()
    assert trio.current_time() - began_s < 8
    (tmp_path / DUMP).rmdir()
    async with running(tmp_path) as server:
        assert (await server.claim()).record is None


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs no account")
async def test_the_account_of_the_servers_writes_and_reads_it(tmp_path: Path) -> None:
    """Under root, in a folder that it cannot reach by path; also a file that was put back as root's."""
    async with running(tmp_path / "valkey") as server:
        await server.write(is_release=True)
    assert (tmp_path / "valkey" / DUMP).stat().st_uid != 0
    os.chown(tmp_path / "valkey" / DUMP, 0, 0)
    async with running(tmp_path / "valkey") as server:
        assert (await server.claim()).record == RoomRecord(VALUES, BLOCKS, is_clean=True)
