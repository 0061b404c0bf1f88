"""Packets between workers, over real channels."""

import socket
import sys
from collections.abc import Iterator

import pytest
import trio

from omnisonic.actors.workers.channels import Channels
from omnisonic.actors.workers.packets import Counts, HandOver, Packet, Ping
from omnisonic.actors.workers.place import WorkerChannels
from tests.rooms import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process")

PACKETS = 2000


@pytest.fixture
def channels() -> Iterator[WorkerChannels]:
    """The channels between two workers."""
    held = WorkerChannels(2)
    yield held
    held.close()


async def test_packets_to_a_worker_that_does_not_read_wait_in_order(
    channels: WorkerChannels, nursery: trio.Nursery
) -> None:
    """Far more than the kernel takes; none is lost, none waited for, and what may be dropped is refused."""
    sender, receiver = Channels(channels.place(0)), Channels(channels.place(1))
    for number in range(PACKETS):
        sender.send(1, HandOver(0, b"run", number, 0.0, "10.0.0.1", bytes(500)))
    assert 0 < len(sender) < PACKETS
    assert not sender.try_send(1, Ping(0, 1))
    received: list[int] = []

    def note(packet: Packet, _sock: socket.socket | None) -> None:
        assert isinstance(packet, HandOver)
        received.append(packet.number)

    nursery.start_soon(sender.write, 1, trio.TASK_STATUS_IGNORED)
    nursery.start_soon(receiver.read, note, trio.TASK_STATUS_IGNORED)
    await eventually(lambda: len(received) == PACKETS)
    assert received == list(range(PACKETS))
    assert sender.try_send(1, Ping(0, 1))


async def test_a_socket_arrives_with_its_packet(channels: WorkerChannels, nursery: trio.Nursery) -> None:
    """Each with its own, and one that was closed meanwhile not at all."""
    sender, receiver = Channels(channels.place(0)), Channels(channels.place(1))
    arrived: dict[int, socket.socket | None] = {}
    pairs = [socket.socketpair() for _ in range(3)]

    def note(packet: Packet, sock: socket.socket | None) -> None:
        assert isinstance(packet, Ping)
        arrived[packet.number] = sock

    pairs[2][1].close()
    for number, (_, theirs) in enumerate(pairs):
        sender.send(1, Ping(0, number), theirs)
        theirs.close()
    sender.send(1, Ping(0, 9))
    nursery.start_soon(receiver.read, note, trio.TASK_STATUS_IGNORED)
    await eventually(lambda: 9 in arrived)
    assert sorted(arrived) == [0, 1, 9]
    for number in (0, 1):
        pairs[number][0].send(b"%d" % number)
        sock = arrived[number]
        assert sock is not None
        assert sock.recv(10) == b"%d" % number
        sock.close()
    for ours, _ in pairs:
        ours.close()


async def test_a_packet_that_cannot_be_read_or_handled_costs_that_packet_only(
    channels: WorkerChannels, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one is handled, and the log says what happened."""
    sender, receiver = Channels(channels.place(0)), Channels(channels.place(1))
    handled: list[Packet] = []

    def handle(packet: Packet, _sock: socket.socket | None) -> None:
        assert not isinstance(packet, Ping)
        handled.append(packet)

    channels.place(0).channels[1].sending.send(b"no packet")
    sender.send(1, Ping(0, 1))
    sender.send(1, Counts(0, 3, {}))
    nursery.start_soon(receiver.read, handle, trio.TASK_STATUS_IGNORED)
    await eventually(lambda: bool(handled))
    assert handled == [Counts(0, 3, {})]
    assert [record.message for record in caplog.records] == ["worker.bad_packet", "worker.packet_crashed"]
