"""Inspection among workers: an inspector is with one worker, which asks the others in the inspector's name (SPEC 1).

Every worker serves the others in its inspection thread, so that a worker whose loop is blocked still says by what. For
a question the asking worker makes a pair of sockets, sends one end to the other worker by the inspection channel, and
speaks the protocol of `/inspect` over it (`omnisonic.wire.inspection`). Only workers have the channel.

Overload: as many questions at once as the inspectors have; a channel that is full is no answer. Worker frozen or
starting: no answer within `PEER_S`. Crash of a worker: its end of the pair closes, which is no answer, either.
Shutdown: cancelled with the inspection thread.
"""

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import trio
from trio_websocket import ConnectionClosed

from omnisonic.actors.inspection.session import InspectorConnection
from omnisonic.actors.inspection.thread_call import NotAnswered
from omnisonic.actors.workers.channels import read_packets
from omnisonic.actors.workers.packets import LARGEST_BYTES
from omnisonic.actors.workers.place import WorkerPlace, owner_of
from omnisonic.models import RoomId
from omnisonic.wire.inspection import Answer, Question, encode, read_answer

PEER_S: Final = 4.0
"""A worker whose loop is blocked says so within one second; the owner of a room, at another gateway, within three."""
SIZE_BYTES: Final = 4

Serve: TypeAlias = Callable[[InspectorConnection, str], Awaitable[None]]
"""Serves one inspector: connection and address."""

_log = logging.getLogger(__name__)


class PeerConnection:
    """A connection between two workers, with the calls of a WebSocket. Each message has its size in front."""

    def __init__(self, sock: socket.socket) -> None:
        self.closed: object = None
        """Something when the other end is gone."""
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._received = bytearray()

    async def get_message(self) -> str | bytes:
        """The next message. Errors: `ConnectionClosed`."""
        size = int.from_bytes(await self._receive(SIZE_BYTES), "big")
        return await self._receive(size)

    async def _receive(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                chunk = await self._stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                chunk = b""
            if not chunk:
                self.closed = "gone"
                raise ConnectionClosed(None)
            self._received += chunk
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    async def send_message(self, message: str | bytes) -> None:
        """Send a message. Errors: `ConnectionClosed`."""
        data = message.encode() if isinstance(message, str) else message
        try:
            await self._stream.send_all(len(data).to_bytes(SIZE_BYTES, "big") + data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.closed = "gone"
            raise ConnectionClosed(None) from None

    async def ping(self) -> None:
        """Nothing: the kernel says when the other end is gone."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close this end."""
        await trio.aclose_forcefully(self._stream)


class InspectionPeers:
    """The workers of one gateway, for the inspection thread of one of them."""

    def __init__(self, place: WorkerPlace) -> None:
        self.place = place

    async def run(self, serve: Serve) -> None:
        """Serve the workers that ask, until cancelled."""
        receiving = self.place.inspection_channels[self.place.index].receiving
        async with trio.open_nursery() as nursery:

            def take(data: bytes, sock: socket.socket | None) -> None:
                if sock is not None:
                    nursery.start_soon(_serve, serve, sock, data.decode(errors="replace"))

            await read_packets(receiving, take)

    def owner_of(self, room_id: RoomId) -> int:
        """The index of the worker that has this room."""
        return owner_of(room_id, self.place.count)

    @asynccontextmanager
    async def ask(self, index: int, question: Question, address: str) -> AsyncIterator["Answers"]:
        """Ask one worker, which may be this one, in the name of an inspector. Errors: `NotAnswered`."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                channel = self.place.inspection_channels[index].sending
                socket.send_fds(channel, [address.encode()[:LARGEST_BYTES]], [theirs.fileno()])
            except OSError:
                ours.close()
                raise NotAnswered from None
        connection = PeerConnection(ours)
        try:
            await connection.send_message(encode(question))
            yield Answers(connection)
        except ConnectionClosed:
            raise NotAnswered from None
        finally:
            await connection.aclose()


class Answers:
    """The answers of one worker to a question."""

    def __init__(self, connection: PeerConnection) -> None:
        self._connection = connection

    async def next(self, within_s: float = PEER_S) -> Answer:
        """The next answer. Errors: `NotAnswered`."""
        with trio.move_on_after(within_s):
            try:
                return read_answer(await self._connection.get_message())
            except ConnectionClosed:
                raise NotAnswered from None
        raise NotAnswered


async def _serve(serve: Serve, sock: socket.socket, address: str) -> None:
    connection = PeerConnection(sock)
    try:
        await serve(connection, address)
    except Exception as crash:  # noqa: BLE001 - one inspector must not end the others
        _log.warning("inspector.failed", extra={"address": address}, exc_info=crash)
    finally:
        await connection.aclose()
