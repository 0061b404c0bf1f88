"""A real gateway in a thread of its own, with open rooms, for tests of the web that need its rooms."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import trio

from omnisonic.wire.closing import Closing
from tests.rooms import Stage, open_stage

STOP_TIMEOUT_S: Final = 10.0

T = TypeVar("T")


@dataclass(frozen=True)
class RealGateway:
    """The gateway from the outside: `do` calls a function in its own loop."""

    stage: Stage
    token: trio.lowlevel.TrioToken

    @property
    def port(self) -> int:
        return self.stage.port

    def do(self, act: Callable[..., T], *args: object) -> T:
        return trio.from_thread.run_sync(act, *args, trio_token=self.token)

    def close(self, member: str, closing: Closing) -> None:
        """Close the connection of this member."""

        def close_now() -> None:
            for connection in self.stage.gateway.connections:
                if connection.member is not None and connection.member.member_id == member:
                    connection.close(closing)

        self.do(close_now)


@contextmanager
def running_real_gateway(**options: Any) -> Iterator[RealGateway]:
    """A gateway until the block ends. `options` are fields of `GatewayOptions`."""
    started: queue.Queue[tuple[RealGateway, trio.Event]] = queue.Queue()

    async def serve() -> None:
        async with open_stage(**options) as stage:
            stop = trio.Event()
            started.put((RealGateway(stage, trio.lowlevel.current_trio_token()), stop))
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    gateway, stop = started.get(timeout=STOP_TIMEOUT_S)
    try:
        yield gateway
    finally:
        gateway.do(stop.set)
        thread.join(STOP_TIMEOUT_S)
        assert not thread.is_alive(), "the gateway did not stop"
