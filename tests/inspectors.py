"""An operator's end of `/inspect` for tests, and a room that can be made to block the gateway or to crash."""

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final, Protocol

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from omnisonic.models import Member
from omnisonic.wire.inspection import Answer, Question, encode, read_answer
from omnisonic.wire.messages import Envelope
from tests.clients import DEADLINE_S
from tests.rooms import PoisonedRoom

TOKEN: Final = "an operator's token of this test's own"


class StallingRoom(PoisonedRoom):
    """A room that on `stall` does not return to the loop for as many seconds as the payload says; poisoned, too.

    `stalls` is set once one does.
    """

    stalls: ClassVar[threading.Event] = threading.Event()

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        if envelope.type == "stall":
            self.stalls.set()
            ends_s = time.perf_counter() + msgspec.json.decode(envelope.payload, type=float)
            while time.perf_counter() < ends_s:
                pass
        return super().on_message(member, envelope)


class Inspector:
    """An operator's connection."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket

    async def send(self, text: str) -> None:
        """Send anything."""
        await self.websocket.send_message(text)

    async def ask(self, question: Question) -> None:
        """Ask, and do not wait for an answer."""
        await self.send(encode(question))

    async def answer(self) -> Answer:
        """The next answer."""
        with trio.fail_after(DEADLINE_S):
            return read_answer(await self.websocket.get_message())

    async def asked(self, question: Question) -> Answer:
        """The answer to a question, which must be the next."""
        await self.ask(question)
        return await self.answer()

    async def closed(self) -> int:
        """Wait until the gateway closes; with which code."""
        with trio.fail_after(DEADLINE_S):
            try:
                while True:
                    await self.websocket.get_message()
            except ConnectionClosed as closed:
                return 0 if closed.reason is None else int(closed.reason.code)


class Listening(Protocol):
    """Something with a gateway on a port of this machine."""

    @property
    def port(self) -> int: ...


@asynccontextmanager
async def inspector(stage: Listening, token: str = TOKEN, **headers: str) -> AsyncIterator[Inspector]:
    """An inspector who is in; gone with the block."""
    extra: list[tuple[bytes, Any]] = [(b"Authorization", f"Bearer {token}".encode())]
    extra += [(name.encode(), value.encode()) for name, value in headers.items()]
    async with await trio.open_tcp_stream("127.0.0.1", stage.port) as stream, trio.open_nursery() as nursery:
        host = f"127.0.0.1:{stage.port}"
        websocket = await wrap_client_stream(nursery, stream, host, "/inspect", extra_headers=extra)
        yield Inspector(websocket)
        with trio.move_on_after(1):
            await websocket.aclose()
        nursery.cancel_scope.cancel()
