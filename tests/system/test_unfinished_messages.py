"""Members who begin messages and do not end them: a gateway's memory stays small, and nobody else feels it.

The figures of a process are read from proc(5), so this test needs Linux.
"""

from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.cli.running import running
from tests.clients import BINARY, FRAGMENT_OF_TEXT, LAST, Bare, masked_frame
from tests.system.process_figures import figure_kib
from tests.system.visitors import visitors_of

pytestmark = pytest.mark.timing

MEMBERS: Final = 300
MOST_BYTES: Final = 64 * 1024 * 1024
"""What all of them together may cost."""
CUT_S: Final = 10.0
ALMOST_A_MEGABYTE: Final = masked_frame(BINARY, bytes(1_000_000))[:-1]
ROUNDS: Final = 20

linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc on this machine")


@linux_only
async def test_a_megabyte_of_three_hundred_messages_each_that_never_end_costs_little() -> None:
    """All are cut within ten seconds (1013), and two others say long things in fragments all the while."""
    with running("gateway") as command:
        visitors = visitors_of(command)
        async with AsyncExitStack() as stack:
            ada, bo = [await stack.enter_async_context(visitors.bare_member(name, "quiet")) for name in ("ada", "bo")]
            crowd = [
                await stack.enter_async_context(visitors.bare_member(f"m{number}", f"loud{number // 8}"))
                for number in range(MEMBERS)
            ]
            before_kib = figure_kib(command.pid, "VmRSS")
            codes: list[int] = []

            async def attack(member: Bare) -> None:
                member.deadline_s = CUT_S
                async with trio.open_nursery() as sending:
                    sending.start_soon(send, member, ALMOST_A_MEGABYTE)
                    codes.append((await member.closed())[0])
                    sending.cancel_scope.cancel()

            async with trio.open_nursery() as nursery:
                for member in crowd:
                    nursery.start_soon(attack, member)
                nursery.start_soon(talk, ada, bo)
            grown_kib = figure_kib(command.pid, "VmHWM") - before_kib
            await talk(ada, bo)
    assert codes == [1013] * MEMBERS
    assert grown_kib * 1024 < MOST_BYTES


async def send(member: Bare, data: bytes) -> None:
    """Send as much as the server takes."""
    with suppress(trio.BrokenResourceError):
        await member.stream.send_all(data)


async def talk(ada: Bare, bo: Bare) -> None:
    """Ada says 60 KB in two fragments, and Bo hears it, many times."""
    for _ in range(ROUNDS):
        text = b'{"type":"note","payload":"' + b"x" * 60_000 + b'"}'
        await ada.send(FRAGMENT_OF_TEXT, text[:30_000])
        await ada.send(LAST, text[30_000:])
        assert len((await bo.next("note"))["payload"]) == 60_000
