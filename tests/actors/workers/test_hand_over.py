"""Hand-overs between two workers, over real channels: who answers a client, and that it is one of them only."""

import socket
import sys
import time
from collections.abc import Iterator
from typing import cast

import pytest
import trio

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.workers.channels import Channels
from omnisonic.actors.workers.hand_over import HandOvers
from omnisonic.actors.workers.packets import HandOver, Packet, Taken
from omnisonic.actors.workers.place import WorkerChannels
from omnisonic.wire.handshake import read_request
from tests.rooms import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process")

REQUEST = read_request(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")


class Accepted:
    """A connection whose head was read, and the client's end of it."""

    address = "10.0.0.1"

    def __init__(self) -> None:
        self.client, self._ours = socket.socketpair()
        self.client.setblocking(False)

    def detach_socket(self) -> tuple[socket.socket, bytes]:
        return self._ours, b"early"


class Peer:
    """One worker with nothing but its hand-overs."""

    def __init__(self, channels: WorkerChannels, index: int, wait_s: float) -> None:
        self.taken: list[tuple[socket.socket, str, bytes]] = []
        self.channels = Channels(channels.place(index))
        self.hand_overs = HandOvers(channels.place(index), self.channels, self._take, wait_s)

    def _take(self, sock: socket.socket, address: str, received: bytes) -> None:
        self.taken.append((sock, address, received))

    def handle(self, packet: Packet, sock: socket.socket | None) -> None:
        if isinstance(packet, HandOver):
            self.hand_overs.on_hand_over(packet, sock)
        elif isinstance(packet, Taken):
            self.hand_overs.on_taken(packet)

    async def read(self) -> None:
        await self.channels.read(self.handle, trio.TASK_STATUS_IGNORED)

    def give(self, accepted: Accepted) -> None:
        self.hand_overs.give(cast("Connection", accepted), REQUEST, 1)


@pytest.fixture
def channels() -> Iterator[WorkerChannels]:
    """The channels between two workers."""
    held = WorkerChannels(2)
    yield held
    held.close()


async def test_the_socket_and_all_that_was_read_arrive(channels: WorkerChannels, nursery: trio.Nursery) -> None:
    """The copy of the giver is closed, so the client's end is that of the taker alone."""
    giver, taker, accepted = Peer(channels, 0, 8.0), Peer(channels, 1, 8.0), Accepted()
    giver.give(accepted)
    nursery.start_soon(giver.read)
    nursery.start_soon(taker.read)
    await eventually(lambda: bool(taker.taken) and not len(giver.hand_overs))
    ((sock, address, received),) = taker.taken
    assert (address, received) == ("10.0.0.1", REQUEST.head + b"early")
    sock.send(b"answer")
    sock.close()
    with accepted.client:
        assert accepted.client.recv(100) == b"answer"
        assert accepted.client.recv(100) == b""


async def test_one_that_was_taken_is_not_answered_by_a_giver_that_stood_still(
    channels: WorkerChannels, nursery: trio.Nursery
) -> None:
    """Its time is over when it goes on, and that it was taken is not read yet: it is read first."""
    giver, taker, accepted = Peer(channels, 0, 0.2), Peer(channels, 1, 8.0), Accepted()
    giver.give(accepted)
    nursery.start_soon(taker.read)
    await eventually(lambda: bool(taker.taken))
    over_s = time.monotonic() + 0.2
    await eventually(lambda: time.monotonic() > over_s)
    giver.hand_overs.answer_overdue()
    assert len(giver.hand_overs) == 1
    nursery.start_soon(giver.read)
    await eventually(lambda: not len(giver.hand_overs))
    giver.hand_overs.answer_overdue()
    with accepted.client, taker.taken[0][0], pytest.raises(BlockingIOError):
        accepted.client.recv(100)


async def test_one_whose_socket_was_lost_on_the_way_is_answered(
    channels: WorkerChannels, nursery: trio.Nursery
) -> None:
    """A worker without descriptors left says so, and the giver answers the client."""
    giver, taker, accepted = Peer(channels, 0, 8.0), Peer(channels, 1, 8.0), Accepted()
    giver.give(accepted)
    data, sock = channels.place(1).channels[1].receiving.recv(100_000), None
    assert data
    taker.handle(HandOver(0, giver.hand_overs.run_id, 0, 1e12, "10.0.0.1", b""), sock)
    nursery.start_soon(giver.read)
    await eventually(lambda: not len(giver.hand_overs))
    with accepted.client:
        assert accepted.client.recv(12) == b"HTTP/1.1 503"
    assert not taker.taken


async def test_an_answer_to_an_earlier_process_is_none(channels: WorkerChannels) -> None:
    """Its numbers mean other connections."""
    giver, accepted = Peer(channels, 0, 8.0), Accepted()
    giver.give(accepted)
    giver.hand_overs.on_taken(Taken(1, b"another run", 0))
    assert len(giver.hand_overs) == 1
    giver.hand_overs.stop()
    accepted.client.close()
