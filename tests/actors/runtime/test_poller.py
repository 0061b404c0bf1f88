"""The poller: one task for all sockets, on whatever the system offers to wait with (DESIGN 2). Real sockets."""

import select
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from omnisonic.actors.runtime.scheduler import (
    SWEEPS,
    Dispatcher,
    EpollSource,
    EventSource,
    Poller,
    SelectorSource,
    open_event_source,
)

DEADLINE_S = 5.0


@dataclass
class Owner:
    """The owner of one end of a socket pair."""

    near: socket.socket
    far: socket.socket
    poller: Poller
    received: bytes = b""
    is_at_end: bool = False
    written: int = 0
    crashes: list[Exception] = field(default_factory=list)
    keeps_writing: bool = False

    def __post_init__(self) -> None:
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.poller.watch(self.near.fileno(), self)

    def on_readable(self) -> None:
        data = self.near.recv(64)
        if not data:
            self.is_at_end = True
            self.close()
        if data == b"poison":
            raise ValueError("poison")
        self.received += data

    def on_writable(self) -> None:
        self.written += 1
        if not self.keeps_writing:
            self.poller.set_writing(self.near.fileno(), writing=False)

    def on_crash(self, crash: Exception) -> None:
        self.crashes.append(crash)

    def close(self) -> None:
        self.poller.forget(self.near.fileno())
        self.near.close()


class Stage:
    """A poller and socket pairs that it watches."""

    def __init__(self, source: EventSource, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.dispatcher = Dispatcher()
        self.poller = Poller(self.dispatcher, source, trio.current_time)
        self.owners: list[Owner] = []

    def owner(self) -> Owner:
        """Another pair."""
        owner = Owner(*socket.socketpair(), self.poller)
        self.owners.append(owner)
        return owner

    async def start(self) -> None:
        """Let the poller run."""
        await self._nursery.start(self.poller.run)

    def close(self) -> None:
        """Let go of everything."""
        for owner in self.owners:
            owner.near.close()
            owner.far.close()
        self.poller.close()


@pytest.fixture(params=[EpollSource, SelectorSource, open_event_source], ids=["epoll", "selectors", "best"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A poller on each kind of source."""
    if request.param is EpollSource and not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")
    async with trio.open_nursery() as nursery:
        stage = Stage(request.param(), nursery)
        yield stage
        nursery.cancel_scope.cancel()
    stage.close()


async def until(holds: Callable[[], object]) -> None:
    """Wait until `holds()`, not for ever."""
    with trio.fail_after(DEADLINE_S):
        while not holds():
            await trio.lowlevel.checkpoint()


async def test_every_socket_is_read_by_its_owner(stage: Stage) -> None:
    """Also one that is watched while the poller sleeps."""
    first, second = stage.owner(), stage.owner()
    await stage.start()
    first.far.send(b"one")
    second.far.send(b"two")
    await until(lambda: (first.received, second.received) == (b"one", b"two"))
    await wait_all_tasks_blocked()
    third = stage.owner()
    third.far.send(b"three")
    await until(lambda: third.received == b"three")
    assert len(stage.poller) == 3


class Steps(trio.abc.Instrument):
    """Counts how often the poller's task runs."""

    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += "Poller.run" in task.name


async def test_a_message_alone_is_one_step_of_the_poller(stage: Stage) -> None:
    """It sleeps again as soon as nothing more is ready; it looks once more where a tick may have left something."""
    owner = stage.owner()
    await stage.start()
    await wait_all_tasks_blocked()
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    for reads, wanted in ((1, 1), (SWEEPS - 1, 1), (SWEEPS, 2)):
        steps.count = 0
        owner.far.send(b"-" * 64 * reads)
        await wait_all_tasks_blocked()
        assert steps.count == wanted, reads
    trio.lowlevel.remove_instrument(steps)
    assert len(owner.received) == 64 * 2 * SWEEPS


async def test_a_socket_with_more_than_one_read_is_read_to_its_end(stage: Stage) -> None:
    """Readiness stays until it is used, and the end of a stream is readiness, too."""
    owner = stage.owner()
    owner.far.send(b"-" * 64 * (3 * SWEEPS))
    owner.far.close()
    await stage.start()
    await until(lambda: owner.is_at_end)
    assert len(owner.received) == 64 * 3 * SWEEPS
    assert len(stage.poller) == 0


async def test_writing_is_asked_for_and_not_otherwise_told(stage: Stage) -> None:
    """Once the owner wants it, once it was had, and never again by itself; reading goes on meanwhile."""
    owner = stage.owner()
    await stage.start()
    await wait_all_tasks_blocked()
    assert owner.written == 0
    stage.poller.set_writing(owner.near.fileno(), writing=True)
    owner.far.send(b"read")
    await until(lambda: owner.written == 1 and owner.received == b"read")
    owner.far.send(b" on")
    await until(lambda: owner.received == b"read on")
    assert owner.written == 1


async def test_who_has_much_to_write_is_read_all_the_same(stage: Stage) -> None:
    """A socket may be ready for both for a long time."""
    owner = stage.owner()
    owner.keeps_writing = True
    stage.poller.set_writing(owner.near.fileno(), writing=True)
    owner.far.send(b"note")
    await stage.start()
    await until(lambda: owner.received == b"note")
    assert owner.written > 0


async def test_a_crashing_owner_costs_only_itself(stage: Stage) -> None:
    """What it raised is reported to it; the others, and it itself, are read on."""
    fragile, steady = stage.owner(), stage.owner()
    await stage.start()
    fragile.far.send(b"poison")
    steady.far.send(b"note")
    await until(lambda: fragile.crashes and steady.received)
    assert [repr(crash) for crash in fragile.crashes] == ["ValueError('poison')"]
    assert steady.crashes == []
    fragile.far.send(b"better")
    await until(lambda: fragile.received == b"better")


async def test_a_forgotten_socket_is_left_alone(stage: Stage) -> None:
    """Forgetting twice is once, and asking for writing after that is nothing."""
    owner, other = stage.owner(), stage.owner()
    await stage.start()
    descriptor = owner.near.fileno()
    stage.poller.forget(descriptor)
    stage.poller.forget(descriptor)
    stage.poller.set_writing(descriptor, writing=True)
    owner.far.send(b"note")
    other.far.send(b"note")
    await until(lambda: other.received)
    assert (owner.received, owner.written) == (b"", 0)


async def test_a_peer_that_resets_is_told_as_readable(stage: Stage) -> None:
    """Both sources tell of an abrupt end where an owner looks for it."""
    owner = stage.owner()
    await stage.start()
    owner.far.close()
    await until(lambda: owner.is_at_end)


async def test_rooms_run_in_the_tick_their_mail_came_in(stage: Stage) -> None:
    """After all that was ready has been read, and without the dispatcher's own task."""
    log: list[bytes] = []

    class Room:
        is_ready = False

        def run_turn(self) -> bool:
            log.append(owner.received)
            return False

    class Speaker(Owner):
        def on_readable(self) -> None:
            super().on_readable()
            stage.dispatcher.schedule(room)

    room = Room()
    owner = Speaker(*socket.socketpair(), stage.poller)
    stage.owners.append(owner)
    owner.far.send(b"-" * 64 * 2)
    await stage.start()
    await until(lambda: log)
    assert log == [b"-" * 128]


async def test_an_idle_poller_sleeps(stage: Stage) -> None:
    """It waits in trio, and costs nothing."""
    stage.owner()
    await stage.start()
    with trio.fail_after(DEADLINE_S):
        await wait_all_tasks_blocked()
