"""A gateway of several real worker processes for tests."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

from tests.cli.running import Command, completed, running
from tests.clients import Bare
from tests.gateway.workers_stage import WorkersPort
from tests.inspectors import TOKEN

DEADLINE_S: Final = 30.0


class Gateway(WorkersPort):
    """A running `omnisonic gateway` of several workers."""

    def __init__(self, command: Command, count: int) -> None:
        super().__init__(int(command.printed(r"^ws://127\.0\.0\.1:(\d+)$")[1]), count)
        self.command = command

    def rooms(self, *words: str) -> tuple[int, dict[str, Any]]:
        """The exit code of `omnisonic rooms`, and what it prints as JSON."""
        address = f"ws://127.0.0.1:{self.port}"
        done = completed("rooms", *words, "--json", "--gateway", address, ADMIN_TOKEN=TOKEN)
        return done.returncode, json.loads(done.stdout or "{}")

    def pids(self) -> list[int]:
        """The process ids of the workers that answer, by their numbers."""
        _, printed = self.rooms("tree")
        children = printed["gateways"][0]["children"]
        found = {child["name"]: re.match(r"pid (\d+)", child["note"]) for child in children}
        return [int(pid[1]) for number in range(self.count) if (pid := found.get(f"worker {number + 1}"))]

    @asynccontextmanager
    async def members(self, names: dict[str, str]) -> AsyncIterator[dict[str, Bare]]:
        """Members by name, each in their room, who hear for `DEADLINE_S`; gone with the block."""
        async with AsyncExitStack() as stack:
            found: dict[str, Bare] = {}
            for name, room in names.items():
                found[name] = await stack.enter_async_context(await self.enter(name, room))
                found[name].deadline_s = DEADLINE_S
            yield found


@contextmanager
def running_workers(count: int, **settings: str) -> Iterator[Gateway]:
    """A gateway of `count` workers with open rooms, stopped with the block."""
    given = {"GATEWAY_WORKERS": str(count), "ROOM_ACCESS": "open", "ADMIN_TOKEN": TOKEN}
    with running("gateway", **given, **settings) as command:
        yield Gateway(command, count)
