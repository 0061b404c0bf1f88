"""Members of a room of `omnisonic serve`, on raw sockets, while its gateway is stopped and killed (SPEC 5.2, 5.4).

Each of them does what docs/realtime.md says a client does, talks all the time, and sends again what was not
acknowledged. `OMNISONIC_KILLS=20` stops and kills as often.
"""

import os
import random
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.clients import Bare
from tests.rooms import eventually
from tests.system.studio import end, running_studio
from tests.system.visitors import Visitors

pytestmark = pytest.mark.timing

KILLS: Final = int(os.environ.get("OMNISONIC_KILLS", "3"))
NAMES: Final = ("ada", "bob", "cy")
EVERY_S: Final = 0.005
GONE: Final = (EOFError, OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)
"""How a connection ends when its gateway does."""
QUIET_S: Final = 60.0
"""After the last of it everybody has everything by then."""


@dataclass
class Member:
    """One who talks, listens, and comes back."""

    name: str
    visitors: Visitors
    epoch: str = ""
    offset: int = 0
    said: int = 0
    unanswered: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[str, int, str, int]] = field(default_factory=list)
    """Each message by epoch and offset, its sender and its number."""
    gaps: int = 0
    is_quiet: bool = False

    async def live(self) -> None:
        """Be in the room until cancelled, over as many connections as that takes."""
        while True:
            async with AsyncExitStack() as stack:
                if (bare := await self.connect(stack)) is not None:
                    self.welcome(bare.welcome["payload"])
                    try:
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(self.talk, bare)
                            while True:
                                self.hear(await bare.hear())
                    except* GONE:
                        pass
            await trio.sleep(random.uniform(0.02, 0.2))

    async def connect(self, stack: AsyncExitStack) -> Bare | None:
        """A new connection; None while nobody answers."""
        query = {} if not self.epoch else {"since": f"{self.epoch}:{self.offset}"}
        try:
            return await stack.enter_async_context(self.visitors.bare_member(self.name, "jam", **query))
        except (*GONE, AssertionError):
            return None

    def welcome(self, payload: dict[str, Any]) -> None:
        if self.epoch and payload["recovered"]:
            assert (payload["epoch"], payload["offset"]) == (self.epoch, self.offset)
        self.epoch, self.offset = payload["epoch"], payload["offset"]

    def hear(self, message: dict[str, Any]) -> None:
        payload = message["payload"]
        if message["type"] == "note":
            assert message["offset"] > self.offset
            self.offset = message["offset"]
            self.seen.append((self.epoch, message["offset"], message["from"], payload))
        elif message["type"] == "ack":
            self.unanswered.pop(payload["id"], None)
            if "epoch" not in payload:
                self.offset = max(self.offset, payload["offset"])
        elif message["type"] == "history.gap":
            self.gaps += 1

    async def talk(self, bare: Bare) -> None:
        for id_, number in list(self.unanswered.items()):
            await bare.say("note", number, id=id_)
        while True:
            if not self.is_quiet:
                self.said += 1
                id_ = f"{self.name}-{self.said}"
                self.unanswered[id_] = self.said
                await bare.say("note", self.said, id=id_)
            await trio.sleep(EVERY_S)


async def talk_while(folder: Path, how: signal.Signals) -> list[Member]:
    """Everybody talks while the gateway ends again and again like this, at random moments; then all is quiet."""
    with running_studio("serve", folder) as studio:
        members = [Member(name, studio.visitors) for name in NAMES]
        async with trio.open_nursery() as nursery:
            for member in members:
                nursery.start_soon(member.live)
            for _ in range(KILLS):
                said = [member.said for member in members]
                more = random.randint(300, 600)  # `serve` gives up after more than 5 ends in 10 s
                await eventually(
                    lambda said=said, more=more: all(  # type: ignore[misc]
                        member.said > before + more for member, before in zip(members, said, strict=True)
                    ),
                    deadline_s=QUIET_S,
                )
                await end(studio, "gateway", how)
            for member in members:
                member.is_quiet = True
            await eventually(lambda: not any(member.unanswered for member in members), deadline_s=QUIET_S)
            await eventually(lambda: len({member.offset for member in members}) == 1, deadline_s=QUIET_S)
            nursery.cancel_scope.cancel()
        return members


def check_order(members: list[Member]) -> None:
    """Nobody has seen another message at the same place."""
    places: dict[tuple[str, int], tuple[str, int]] = {}
    for member in members:
        for epoch, offset, sender, number in member.seen:
            assert places.setdefault((epoch, offset), (sender, number)) == (sender, number)


async def test_nobody_misses_anything_while_the_gateway_is_stopped_and_started(tmp_path: Path) -> None:
    """SIGTERM at random moments: one order, each message once, no gap."""
    members = await talk_while(tmp_path, signal.SIGTERM)
    check_order(members)
    assert [member.gaps for member in members] == [0, 0, 0]
    assert len({epoch for member in members for epoch, *_ in member.seen}) == 1
    for member in members:
        for other in members:
            numbers = [number for *_, sender, number in member.seen if sender == other.name]
            wanted = [] if other is member else list(range(1, other.said + 1))
            assert sorted(numbers) == wanted


async def test_everybody_is_told_what_was_lost_when_the_gateway_is_killed(tmp_path: Path) -> None:
    """kill -9 at random moments: what is missing, or comes twice, lies at a gap that was told."""
    members = await talk_while(tmp_path, signal.SIGKILL)
    check_order(members)
    for member in members:
        assert member.gaps <= KILLS
        for other in members:
            if other is not member:
                numbers = [number for *_, sender, number in member.seen if sender == other.name]
                assert set(numbers) == set(range(1, other.said + 1)) or member.gaps
                assert len(numbers) == len(set(numbers)) or member.gaps
