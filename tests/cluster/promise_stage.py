"""Two gateways in a thread of their own, on a real Valkey, for a test that is not asynchronous."""

import json
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import trio

from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.stores.bus.threaded import ThreadedBus
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.room_memory.threaded import ThreadedRoomMemory
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from omnisonic.wire.frames import TEXT, Frame
from tests.clients import CLOSE, Bare, upgrade_request
from tests.clients import TEXT as TEXT_FRAME
from tests.cluster.gateways import Stores, cluster_of, open_member_of_cluster, owners
from tests.rooms import Stage, eventually, listening

T = TypeVar("T")

LIMITS: Final = HistoryLimits(messages=12, total_bytes=100_000)
GRACE_S: Final = 15.0
START_S: Final = 30.0
LOOK_S: Final = 0.01
AWAY_S: Final = 0.3


class Line:
    """A connection to a gateway. What comes over it is in `inbox`."""

    def __init__(self, bare: Bare) -> None:
        self.bare = bare
        self.inbox: deque[dict[str, Any]] = deque()
        self.welcomes = 0


class _Running:
    """One gateway that runs until it is told to stop, or ends at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.scope = trio.CancelScope()
        self.stage: Stage

    async def run(self, stores: Stores, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            async with open_member_of_cluster(self.name, stores, grace_s=GRACE_S, history=LIMITS) as self.stage:
                task_status.started()
                await self.stop.wait()
        self.ended.set()


class PromiseStage:
    """All calls block until they are done."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self._gateways: list[_Running] = []
        self._count = 0
        self._thread.start()
        assert self._started.wait(START_S)

    def enter(self, member: str, gateway: int, since: str | None) -> Line:
        """Connect, and have what comes put into the inbox."""
        return self._call(self._enter, member, gateway, since)

    def leave(self, line: Line) -> None:
        """Break the connection."""
        self._call(line.bare.aclose)

    def send(self, line: Line, frame: Frame) -> None:
        """Send a message, if the connection has not ended."""
        self._call(self._send, line, frame)

    def replace(self, gateway: int) -> None:
        """Stop this gateway in order, and start another."""
        self._call(self._replace, gateway, False)

    def crash(self, gateway: int) -> None:
        """End this gateway: it reaches nothing any more, and its lease is over; start another."""
        self._call(self._replace, gateway, True)

    def lose_packets(self, gateway: int) -> None:
        """Let nothing pass to this gateway, or from it, for `AWAY_S`."""
        self._call(self._lose_packets, gateway)

    def owners(self) -> list[int]:
        """Which gateways own the room."""
        return self._call(self._owners)

    def wait_until_copied(self) -> None:
        """Return when the record of the room is up to date."""
        self._call(eventually, lambda: all(each.stage.gateway.memory_lag_s() == 0 for each in self._gateways), START_S)

    def becomes(self, look: Callable[[], bool], deadline_s: float) -> bool:
        """Look again and again until it is so. False when it does not in time."""
        until_s = time.monotonic() + deadline_s
        while not look():
            if time.monotonic() > until_s:
                return False
            self._call(trio.sleep, LOOK_S)
        return True

    def close(self) -> None:
        """End everything."""
        trio.from_thread.run_sync(self._nursery.cancel_scope.cancel, trio_token=self._token)
        self._thread.join()

    def _call(self, call: Callable[..., Awaitable[T]], *args: Any) -> T:
        return trio.from_thread.run(call, *args, trio_token=self._token)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with open_asyncio_thread() as thread:
            # It settles at once: nobody empties this Valkey while gateways run.
            memory = ThreadedRoomMemory(thread, ValkeyRoomMemory(self._url, settle_s=0.0))
            bus = ThreadedBus(thread, ValkeyBus(self._url))
            await memory.forget(["jam"])
            self._stores = Stores(memory, bus)
            async with trio.open_nursery() as self._nursery:
                for _ in range(2):
                    self._gateways.append(await self._start())
                await listening(self._gateways[0].stage, 2)
                self._started.set()
                await trio.sleep_forever()
            with trio.CancelScope(shield=True):
                await memory.aclose()
                await bus.aclose()

    async def _start(self) -> _Running:
        self._count += 1
        gateway = _Running(f"g{self._count}")
        await self._nursery.start(gateway.run, self._stores)
        return gateway

    async def _enter(self, member: str, gateway: int, since: str | None) -> Line:
        stage = self._gateways[gateway].stage
        bare = await stage.bare()
        query = {} if since is None else {"since": since}
        await bare.stream.send_all(upgrade_request(stage.target(member, **query), stage.port))
        assert (await bare.head()).startswith(b"HTTP/1.1 101")
        line = Line(bare)
        self._nursery.start_soon(self._read, line)
        return line

    async def _read(self, line: Line) -> None:
        line.bare.deadline_s = START_S * 10
        with suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError, AssertionError):
            async with line.bare:
                while True:
                    first, payload = await line.bare.frame()
                    if first == CLOSE:
                        return
                    if first == TEXT_FRAME:
                        line.inbox.append(json.loads(payload))

    async def _send(self, line: Line, frame: Frame) -> None:
        assert frame[0] == TEXT
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await line.bare.send(TEXT_FRAME, frame[1])

    async def _replace(self, gateway: int, is_crash: bool) -> None:
        before = self._gateways[gateway]
        if is_crash:
            run = cluster_of(before.stage).lease.run
            self._stores.cut_off(before.name)
            await self._stores.memory.end(run)
            before.scope.cancel()
        else:
            before.stop.set()
        await before.ended.wait()
        self._gateways[gateway] = await self._start()

    async def _lose_packets(self, gateway: int) -> None:
        bus = self._stores.busses[self._gateways[gateway].name]
        bus.is_away = True
        await trio.sleep(AWAY_S)
        bus.is_away = False

    async def _owners(self) -> list[int]:
        return owners([each.stage for each in self._gateways])
