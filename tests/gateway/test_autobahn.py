"""The Autobahn cases against a room that says everything back: the wire is RFC 6455 (RELIABILITY 20)."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import pytest
import trio
from kosoku import FailureError, run_fuzzingclient

from omnisonic.actors.connections.keepalive import Timeouts
from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import ClientMessages, Join, Leave, Mail
from omnisonic.actors.rooms.state import RoomState
from omnisonic.models import Member
from omnisonic.wire.closing import CloseCode, Closing, is_utf8
from omnisonic.wire.frames import TEXT, frame
from tests.rooms import open_stage

pytestmark = pytest.mark.timing

LARGEST_BYTES: Final = 16 * 1024 * 1024
"""The largest message of the cases; the product's own limit is lower."""
PROTOCOL: Final = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)]
LIMITS: Final = [f"9.{group}.*" for group in (1, 2, 3, 4, 5, 6)]
"""Sizes. Left out are 9.7 and 9.8, which only take time, and 12 and 13: compression is not offered."""
JUDGE_S: Final = 100.0
"""How long the judge waits for a message. 65,536 fragments of 64 bytes may take longer than the product allows."""
NON_STRICT: Final = {"5.15"}
"""A breach right behind a fragmented message: it may or may not be answered before the close."""


class EchoRoom(RoomState):
    """Says everything back to whom it came from, and nothing else, not even a welcome. Everybody has a seat."""

    def __init__(self, context: RoomContext) -> None:
        super().__init__(context)
        self._names = count()

    def handle(self, mail: Mail, batch: Batch) -> None:
        if isinstance(mail, Join):
            self.roster.join(Member(f"case {next(self._names)}", "Case"), mail.connection)
            batch.begin(mail.connection, b"")
        elif isinstance(mail, Leave):
            self.roster.leave(mail.connection, mail.reason, self.context.now_s())

    def relay(self, received: ClientMessages, batch: Batch) -> None:
        for opcode, payload in received.rest:
            if opcode == TEXT and not is_utf8(payload):
                batch.dismiss(received.connection, Closing(CloseCode.INVALID_UTF8))
                self.roster.leave(received.connection, "invalid_utf8", self.context.now_s())
                return
            batch.to_one(received.connection, frame(opcode, payload))


async def judged(cases: Sequence[str], concurrency: int = 1) -> dict[str, tuple[str, str]]:
    """The verdict on each case, and on how its connection was closed. The judge runs on asyncio, in a thread."""

    async def judge(url: str) -> Sequence[Any]:
        try:
            return await run_fuzzingclient(url, cases, concurrency=concurrency)
        except FailureError as failure:
            return failure.results

    async with open_stage(
        room_class=EchoRoom,
        largest_message_bytes=LARGEST_BYTES,
        unfinished_bytes=2 * LARGEST_BYTES,
        queue_bytes=0,
        timeouts=Timeouts(message_s=JUDGE_S),
    ) as stage:
        results = await trio.to_thread.run_sync(lambda: asyncio.run(judge(stage.url())))
        assert len(stage.gateway.registry.dead_letters) == 0
        assert stage.gateway.counters.connection_crashes == 0
    return {result.case_id: (result.behavior.value, result.behavior_close.value) for result in results}


def failed(verdicts: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """The verdicts that are not good enough."""
    good = {"OK", "INFORMATIONAL"}
    return {
        case: verdict
        for case, verdict in verdicts.items()
        if not good.issuperset(verdict) and (case not in NON_STRICT or verdict != ("NON-STRICT", "OK"))
    }


async def test_no_case_on_the_protocol_fails() -> None:
    """Frames, pings, reserved bits, opcodes, fragments, UTF-8 and closing: 247 cases, one of them may be non-strict."""
    verdicts = await judged(PROTOCOL, concurrency=8)
    assert len(verdicts) == 247
    assert failed(verdicts) == {}


async def test_no_case_on_sizes_fails() -> None:
    """Messages of up to 16 MiB, whole and in fragments of 64 bytes up, where the limit allows them."""
    verdicts = await judged(LIMITS)
    assert len(verdicts) == 42
    assert failed(verdicts) == {}
