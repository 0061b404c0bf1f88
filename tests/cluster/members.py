"""What members hear, listened to in the background."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.clients import Bare
from tests.rooms import eventually

LONG_S = 60.0
"""Tests have deadlines of their own."""


class Hearing:
    """What one member has heard. `heard` are the payloads of notes; `acks` the ids of what was accepted."""

    def __init__(self, member: Bare) -> None:
        self.messages: list[dict[str, Any]] = []
        self.epoch: str = member.welcome["payload"]["epoch"]
        self._member = member

    @property
    def heard(self) -> list[Any]:
        return [each["payload"] for each in self.messages if each["type"] == "note"]

    @property
    def gaps(self) -> int:
        return self._count("history.gap")

    @property
    def acks(self) -> list[Any]:
        return [each["payload"]["id"] for each in self.messages if each["type"] == "ack"]

    async def until(self, payload: object) -> None:
        """Wait until this note is heard."""
        await self._wait(lambda: payload in self.heard)

    async def welcomes(self, count: int) -> None:
        """Wait until so many welcomes have come, after the first."""
        await self._wait(lambda: self._count("welcome") >= count)

    async def hears(self, type_: str) -> None:
        """Wait for a message of this type."""
        await self._wait(lambda: self._count(type_) > 0)

    async def listen(self) -> None:
        """Hear until the connection ends."""
        self._member.deadline_s = LONG_S
        while True:
            message = await self._member.hear()
            if message["type"] == "welcome":
                self.epoch = message["payload"]["epoch"]
            self.messages.append(message)

    def _count(self, type_: str) -> int:
        return sum(each["type"] == type_ for each in self.messages)

    async def _wait(self, holds: Callable[[], bool]) -> None:
        await eventually(holds, LONG_S)


@asynccontextmanager
async def hearing(*members: Bare) -> AsyncIterator[list[Hearing]]:
    """Listen for these members until the block ends."""
    hearings = [Hearing(member) for member in members]
    async with trio.open_nursery() as nursery:
        for each in hearings:
            nursery.start_soon(each.listen)
        yield hearings
        nursery.cancel_scope.cancel()
