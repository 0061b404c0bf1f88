"""Letters between workers, over real posts."""

import socket
from collections.abc import Iterator

import pytest
import trio

from omnisonic.actors.workers.letters import Counts, HandOver, Letter, Ping
from omnisonic.actors.workers.place import WorkerPosts
from omnisonic.actors.workers.post_office import PostOffice
from tests.rooms import eventually

LETTERS = 2000


@pytest.fixture
def posts() -> Iterator[WorkerPosts]:
    """The posts between two workers."""
    held = WorkerPosts(2)
    yield held
    held.close()


async def test_letters_to_a_worker_that_does_not_read_wait_in_order(posts: WorkerPosts, nursery: trio.Nursery) -> None:
    """Far more than the kernel takes; none is lost, none waited for, and what may be dropped is refused."""
    sender, receiver = PostOffice(posts.place(0)), PostOffice(posts.place(1))
    for number in range(LETTERS):
        sender.send(1, HandOver(0, b"run", number, 0.0, "10.0.0.1", bytes(500)))
    assert 0 < len(sender) < LETTERS
    assert not sender.try_send(1, Ping(0, 1))
    received: list[int] = []

    def note(letter: Letter, _sock: socket.socket | None) -> None:
        assert isinstance(letter, HandOver)
        received.append(letter.number)

    nursery.start_soon(sender.write, 1, trio.TASK_STATUS_IGNORED)
    nursery.start_soon(receiver.read, note, trio.TASK_STATUS_IGNORED)
    await eventually(lambda: len(received) == LETTERS)
    assert received == list(range(LETTERS))
    assert sender.try_send(1, Ping(0, 1))


async def test_a_socket_arrives_with_its_letter(posts: WorkerPosts, nursery: trio.Nursery) -> None:
    """Each with its own, and one that was closed meanwhile not at all."""
    sender, receiver = PostOffice(posts.place(0)), PostOffice(posts.place(1))
    arrived: dict[int, socket.socket | None] = {}
    pairs = [socket.socketpair() for _ in range(3)]

    def note(letter: Letter, sock: socket.socket | None) -> None:
        assert isinstance(letter, Ping)
        arrived[letter.number] = sock

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


async def test_a_letter_that_cannot_be_read_or_handled_costs_that_letter_only(
    posts: WorkerPosts, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one is handled, and the log says what happened."""
    sender, receiver = PostOffice(posts.place(0)), PostOffice(posts.place(1))
    handled: list[Letter] = []

    def handle(letter: Letter, _sock: socket.socket | None) -> None:
        assert not isinstance(letter, Ping)
        handled.append(letter)

    posts.place(0).posts[1].sending.send(b"no letter")
    sender.send(1, Ping(0, 1))
    sender.send(1, Counts(0, 3, {}))
    nursery.start_soon(receiver.read, handle, trio.TASK_STATUS_IGNORED)
    await eventually(lambda: bool(handled))
    assert handled == [Counts(0, 3, {})]
    assert [record.message for record in caplog.records] == ["worker.bad_letter", "worker.letter_crashed"]
