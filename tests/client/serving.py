"""Servers for the client: a gateway that comes and goes on one port, and one that does what a script says."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import trio

import omnisonic
from omnisonic.concurrency.background import open_background
from omnisonic.models import Member
from omnisonic.wire import handshake, messages
from omnisonic.wire.frames import CLOSE, TEXT, Frame, Splitter, frame

Script: TypeAlias = Callable[["Peer"], Awaitable[Any]]


class Peer:
    """The server's end of one connection of a client's."""

    request: handshake.Request

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._splitter = Splitter()
        self._frames: list[Frame] = []
        """Received, and not asked for yet."""
        self._is_asked = False

    async def asked(self) -> handshake.Request:
        """Read the request's head, once."""
        if self._is_asked:
            return self.request
        self._is_asked = True
        received = bytearray()
        while b"\r\n\r\n" not in received:
            received += await self.stream.receive_some()
        self.request = handshake.read_request(bytes(received))
        return self.request

    async def receive_frame(self, opcode: int) -> bytes:
        """What the next frame of this kind says; others are passed over. Errors: `EOFError`."""
        while True:
            while self._frames:
                each, payload = self._frames.pop(0)
                if each == opcode:
                    return payload
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise EOFError
            frames, controls, _ = self._splitter.feed(bytes(data))
            self._frames += (*frames, *controls)

    async def rest(self) -> None:
        """Wait until the client says goodbye, and answer; or until it is just gone."""
        with suppress(EOFError, trio.BrokenResourceError):
            await self.stream.send_all(frame(CLOSE, await self.receive_frame(CLOSE)))

    async def hang_up(self) -> None:
        """End the connection without a goodbye, after the client has all that was told.

        What is closed with a heartbeat in it that nobody read is reset, and a reset takes away what was sent.
        """
        with suppress(EOFError, trio.BrokenResourceError):
            await self.stream.send_eof()
            await self.receive_frame(CLOSE)
        await self.stream.aclose()

    async def upgrade(self) -> None:
        """Open the WebSocket."""
        key = handshake.check_upgrade(await self.asked())
        await self.stream.send_all(handshake.upgrade_response(key, self.request.subprotocols))

    async def receive_text(self, type_: str) -> bytes:
        """The next text message of this type; others are passed over. Errors: `EOFError`."""
        while json.loads(text := await self.receive_frame(TEXT))["type"] != type_:
            pass
        return text

    async def welcome(
        self,
        member_id: str = "ada",
        *,
        epoch: str = "e",
        offset: int = 0,
        recovered: bool = False,
        now_ms: int = 0,
        transport: bytes = b"{}",
    ) -> None:
        """Open the WebSocket, and welcome whoever it is."""
        await self.upgrade()
        line = messages.member_line(Member(member_id, "Ada"))
        welcome = messages.Welcome("jam", member_id, 60, epoch, offset, now_ms, recovered)
        await self.stream.send_all(messages.welcome_frame(welcome, [line], b"{}", transport))

    async def welcome_again(self, *members: Member, state: bytes = b"{}", **fields: Any) -> None:
        """Send another `welcome` on the open connection, as a gateway does that has taken the room over."""
        transport = fields.pop("transport", b"{}")
        now_ms = fields.pop("now_ms", 0)
        welcome = messages.Welcome("jam", "ada", 60, server_time=now_ms, **fields)
        lines = [messages.member_line(member) for member in members]
        await self.stream.send_all(messages.welcome_frame(welcome, lines, state, transport))

    @property
    def since(self) -> str | None:
        """From where the client wants to recover."""
        return dict(parse_qsl(self.request.query)).get("since")

    async def tell(self, text: bytes) -> None:
        """Send a text message."""
        await self.stream.send_all(frame(TEXT, text))

    async def close(self, code: int, reason: str = "") -> None:
        """Close the WebSocket."""
        await self.stream.send_all(frame(CLOSE, code.to_bytes(2, "big") + reason.encode()))

    async def answer(self, status: int, body: object, **headers: str) -> None:
        """Answer with HTTP instead."""
        await self.asked()
        await self.stream.send_all(handshake.http_response(HTTPStatus(status), body, **headers))


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[str]:
    """A server that follows one script a connection, in turn, and hangs up on those beyond. Its URL."""
    waiting = list(scripts)

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            if waiting:
                await waiting.pop(0)(Peer(stream))

    async with open_background() as background:
        (listener,) = await background.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"


async def stays(peer: Peer) -> None:
    """Welcome them, and stay until they go."""
    await peer.welcome()
    await peer.rest()


def closes(code: int, reason: str = "") -> Script:
    """Welcome them, and close with this."""

    async def close(peer: Peer) -> None:
        await peer.welcome()
        await peer.close(code, reason)
        await peer.rest()

    return close


def refuses(status: int, code: str = "no", **headers: str) -> Script:
    """Answer with an HTTP error."""

    async def refuse(peer: Peer) -> None:
        await peer.answer(status, {"error": "No.", "code": code}, **headers)

    return refuse


async def hangs_up(peer: Peer) -> None:
    """Read the request, and go."""
    await peer.asked()


class Building:
    """A gateway on a port of its own that can be opened, closed, and opened again."""

    def __init__(self, background: trio.Nursery) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self._background = background
        self._stop = trio.Event()
        self._stopped = trio.Event()

    async def open(self, **options: Any) -> omnisonic.RunningGateway:
        """Let people in."""
        self._stop, self._stopped = trio.Event(), trio.Event()
        gateway: omnisonic.RunningGateway = await self._background.start(partial(self._run, options))
        return gateway

    async def close(self) -> None:
        """Send everybody away (1001)."""
        self._stop.set()
        await self._stopped.wait()

    async def _run(self, options: dict[str, Any], task_status: trio.TaskStatus[omnisonic.RunningGateway]) -> None:
        async with omnisonic.open_gateway(port=self.port, **options) as gateway:
            task_status.started(gateway)
            await self._stop.wait()
        self._stopped.set()


@asynccontextmanager
async def building() -> AsyncIterator[Building]:
    """A gateway that is not open yet."""
    async with open_background() as background:
        yield Building(background)
