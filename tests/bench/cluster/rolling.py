"""A rolling restart under load: two gateways are replaced one after another (SIGTERM), and everybody goes on.

Their members are on the client of the package (`crowd.py`), which reconnects to whichever gateway accepts.
"""

import os
from contextlib import ExitStack
from dataclasses import asdict
from typing import Final

import trio

from tests.bench.cluster.crowd import Outcome, open_crowd
from tests.bench.cluster.serving import Server, gateway, valkey

GATEWAYS: Final = 2
BEFORE_S: Final = 5.0
"""Of talk before, between and after the replacements."""
SETTLES_S: Final = 30.0


def rolling(members: int, rooms: int, pause_s: float) -> Outcome:
    """Replace both gateways under the talk of so many members, and print what became of it."""
    with valkey() as (url, _), ExitStack() as stack:
        outcome = trio.run(_replace_all, stack, url, members, rooms, pause_s)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    for name, value in asdict(outcome).items():
        print(f"{name:>16} {value:>10.2f}" if isinstance(value, float) else f"{name:>16} {value:>10,}")
    return outcome


async def _replace_all(stack: ExitStack, url: str, members: int, rooms: int, pause_s: float) -> Outcome:
    servers: list[Server] = [stack.enter_context(gateway(url, f"g{number}")) for number in range(GATEWAYS)]
    ports = [server.port for server in servers]
    async with open_crowd(ports, members, rooms) as crowd:
        async with trio.open_nursery() as talking:
            talking.start_soon(crowd.talk, pause_s)
            await trio.sleep(BEFORE_S)
            for number in range(GATEWAYS):
                began_s = trio.current_time()
                await trio.to_thread.run_sync(servers[number].stop)
                stopped_s = trio.current_time()
                server = await trio.to_thread.run_sync(stack.enter_context, gateway(url, f"g{number}"))
                ports[number] = server.port
                started_s = trio.current_time()
                print(f"gateway {number}: {stopped_s - began_s:.1f} s to stop, {started_s - stopped_s:.1f} s to start")
                await trio.sleep(BEFORE_S)
            talking.cancel_scope.cancel()
        await crowd.settle(SETTLES_S)
        return crowd.count()
