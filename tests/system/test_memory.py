"""Nothing leaks: what a gateway holds after thousands have come and gone, and what one idle member costs.

The figures of a process are read from proc(5), so these tests need Linux.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.cli.running import running
from tests.clients import CLOSE, LAST, TEXT, Bare, envelope, masked_frame
from tests.rooms import eventually, open_stage
from tests.system.process_figures import figure_kib
from tests.system.visitors import Visitors, visitors_of

pytestmark = pytest.mark.timing

MEMBER_BYTES: Final = 16 * 1024
"""Most that an idle member may cost."""
IDLE_MEMBERS: Final = 1_000
COMERS: Final = 2_000
AT_ONCE: Final = 40
ROOMS: Final = 20
GROWTH_BYTES: Final = 1024 * 1024
"""About 0.4 MiB of cyclic garbage waits for the collector, which comes rarely. A connection that were kept for each of
`COMERS` would make it 2.5 MiB."""
CHURN_S: Final = 20.0

linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc on this machine")


@linux_only
async def test_two_thousand_who_came_and_went_leave_nothing() -> None:
    """Descriptors are what they were at rest, and memory is what it was after the first few hundred.

    What rooms remember on purpose is switched off; it has bounds of its own.
    """
    with running("gateway", HISTORY_MESSAGES="0", RECONNECT_GRACE_S="0") as command:
        visitors = visitors_of(command)
        at_rest = _descriptors(command.pid)
        await _churn(visitors, COMERS // 4)
        await eventually(lambda: _descriptors(command.pid) == at_rest)
        threads, memory = figure_kib(command.pid, "Threads"), figure_kib(command.pid, "VmRSS")
        await _churn(visitors, COMERS)
        await eventually(lambda: _descriptors(command.pid) == at_rest)
        assert figure_kib(command.pid, "Threads") == threads
        assert (figure_kib(command.pid, "VmRSS") - memory) * 1024 < GROWTH_BYTES


@linux_only
async def test_an_idle_member_costs_less_than_sixteen_kilobytes() -> None:
    """A thousand members in rooms of eight, measured by the resident memory of the process."""
    with running("gateway") as command:
        visitors = visitors_of(command)
        await _churn(visitors, AT_ONCE)
        before = figure_kib(command.pid, "VmRSS")
        async with _sitting(visitors, IDLE_MEMBERS):
            grown = (figure_kib(command.pid, "VmRSS") - before) * 1024
        assert 0 < grown / IDLE_MEMBERS < MEMBER_BYTES


async def test_no_task_is_left_of_those_who_came_and_went() -> None:
    """Those who sent fragments had a task each; it goes with them, however they go."""
    async with open_stage() as stage:
        at_rest = trio.lowlevel.current_statistics().tasks_living
        async with stage.crowd(AT_ONCE) as members:
            for member in members:
                await member.send(TEXT & ~LAST, b'{"type":"chat"')
                await member.send(LAST, b',"id":1}')
            for member in members:
                await member.next("ack")
            assert trio.lowlevel.current_statistics().tasks_living > at_rest + AT_ONCE
        await eventually(lambda: trio.lowlevel.current_statistics().tasks_living == at_rest)
        assert not stage.gateway.connections


async def _churn(visitors: Visitors, count: int) -> None:
    """`count` members come, say something, and leave."""
    numbers = iter(range(count))

    async def come_and_go() -> None:
        for number in numbers:
            async with visitors.bare_member(f"m{number}", f"churn{number % ROOMS}") as bare:
                await bare.say("chat", {"text": "hello"})
                await bare.say("heartbeat", id=number)
                await bare.next("ack")
                await _leave(bare, number)

    with trio.fail_after(CHURN_S):
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(come_and_go)


async def _leave(bare: Bare, number: int) -> None:
    """In order, without a word, in the middle of a frame, or (one in twenty) of a message in fragments."""
    match number % 20:
        case 0:
            await bare.send(TEXT & ~LAST, b'{"type":')
        case 1 | 4 | 7 | 10 | 13 | 16 | 19:
            await bare.stream.send_all(masked_frame(TEXT, envelope("chat").encode())[:-1])
        case 2 | 5 | 8 | 11 | 14 | 17:
            await bare.send(CLOSE, (1000).to_bytes(2, "big"))
            await bare.closed()


@asynccontextmanager
async def _sitting(visitors: Visitors, count: int) -> AsyncIterator[None]:
    """`count` members who are in rooms of eight and say nothing."""
    async with AsyncExitStack() as stack:
        for number in range(count):
            await stack.enter_async_context(visitors.bare_member(f"m{number}", f"idle{number // 8}"))
        yield


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
