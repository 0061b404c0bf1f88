"""Connections that count in all workers, over real channels."""

import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest
import trio
import trio.testing

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.workers.channels import Channels
from omnisonic.actors.workers.counts import ADDRESSES, SharedConnections
from omnisonic.actors.workers.packets import Counts, Packet, Started
from omnisonic.actors.workers.place import WorkerChannels
from omnisonic.wire.handshake import Refused
from tests.rooms import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process")


class Peer:
    """One worker with nothing but its connections and its channel."""

    def __init__(self, channels: WorkerChannels, index: int, most: int, most_per_address: int) -> None:
        place = channels.place(index)
        self.scope = trio.CancelScope()
        self.channels = Channels(place)
        self.connections = SharedConnections(most, most_per_address, place, self.channels)

    def handle(self, packet: Packet, _sock: socket.socket | None) -> None:
        if isinstance(packet, Counts):
            self.connections.on_counts(packet)
        elif isinstance(packet, Started):
            self.connections.on_started(packet.sender)

    async def run(self) -> None:
        """Share and receive, until cancelled."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.connections.share, trio.TASK_STATUS_IGNORED)
                nursery.start_soon(self.channels.read, self.handle, trio.TASK_STATUS_IGNORED)

    def connect(self, address: str) -> Connection:
        """A connection that has come in. Errors: `Refused`."""
        connection = cast("Connection", Counted(address=address))
        self.connections.add(connection)
        try:
            self.connections.check_caps(connection)
        except Refused:
            self.connections.remove(connection)
            raise
        return connection


@dataclass(eq=False)
class Counted:
    """What is counted of a connection."""

    address: str


@pytest.fixture
def channels() -> Iterator[WorkerChannels]:
    """The channels between three workers."""
    held = WorkerChannels(3)
    yield held
    held.close()


async def test_caps_hold_over_all_workers(channels: WorkerChannels, nursery: trio.Nursery) -> None:
    """Whole and for each address; who leaves makes room, in whichever worker."""
    peers = [Peer(channels, index, 6, 3) for index in range(3)]
    for peer in peers:
        nursery.start_soon(peer.run)
    first = peers[0].connect("10.0.0.1")
    for peer in peers[1:]:
        peer.connect("10.0.0.1")
    await eventually(lambda: [peer.connections.elsewhere_from("10.0.0.1") for peer in peers] == [2, 2, 2])
    for peer in peers:
        with pytest.raises(Refused, match="as many connections"):
            peer.connect("10.0.0.1")
        peer.connect("10.0.0.2")
    await eventually(lambda: [peer.connections.elsewhere for peer in peers] == [4, 4, 4])
    with pytest.raises(Refused):
        peers[1].connect("10.0.0.3")
    peers[0].connections.remove(first)
    await eventually(lambda: peers[1].connections.elsewhere == 3)
    peers[1].connect("10.0.0.3")


async def test_a_worker_that_starts_again_has_no_connections_and_learns_those_of_the_others(
    channels: WorkerChannels, nursery: trio.Nursery
) -> None:
    """What the one before it had does not count for ever, and what it missed is told whole."""
    peers = [Peer(channels, index, 0, 5) for index in range(3)]
    nursery.start_soon(peers[0].run)
    nursery.start_soon(peers[1].run)
    gone = peers[2].connect("10.0.0.9")
    nursery.start_soon(peers[2].run)
    await eventually(lambda: peers[0].connections.elsewhere_from("10.0.0.9") == 1)
    peers[0].connect("10.0.0.1")
    assert gone in peers[2].connections

    peers[2].scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    again = Peer(channels, 2, 0, 5)
    for index in (0, 1):
        again.channels.send(index, Started(2))
    await eventually(lambda: peers[0].connections.elsewhere_from("10.0.0.9") == 0)
    nursery.start_soon(again.run)
    await eventually(lambda: again.connections.elsewhere_from("10.0.0.1") == 1)


async def test_more_addresses_than_one_packet_holds_are_told_in_several(
    channels: WorkerChannels, nursery: trio.Nursery
) -> None:
    """To a worker that reads late as to one that reads at once."""
    peers = [Peer(channels, index, 0, 5) for index in range(3)]
    nursery.start_soon(peers[0].connections.share, trio.TASK_STATUS_IGNORED)
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(3 * ADDRESSES)]
    for address in addresses:
        peers[0].connect(address)
    nursery.start_soon(peers[1].run)
    await eventually(lambda: peers[1].connections.elsewhere == len(addresses))
    await eventually(lambda: all(peers[1].connections.elsewhere_from(address) == 1 for address in addresses))


async def test_without_caps_nothing_is_told(channels: WorkerChannels, nursery: trio.Nursery) -> None:
    """Nobody wants to know."""
    peers = [Peer(channels, index, 0, 0) for index in range(2)]
    nursery.start_soon(peers[0].connections.share, trio.TASK_STATUS_IGNORED)
    peers[0].connect("10.0.0.1")
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(BlockingIOError):
        channels.place(1).channels[1].receiving.recv(1)
