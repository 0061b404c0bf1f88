"""The acceptor on a real listening socket, and on a system that has run out (RELIABILITY, overload)."""

import logging
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from omnisonic.actors.runtime.acceptor import LOG_EVERY_S, accept_forever
from tests.rooms import eventually


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Nothing more can be opened in this process until the block ends."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_every_connection_is_handed_over_ready_for_the_poller() -> None:
    """Not blocking, without delay, and with the peer's address."""
    taken: list[tuple[socket.socket, str]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with trio.open_nursery() as nursery:
            await nursery.start(accept_forever, listener, lambda sock, address: taken.append((sock, address)))
            callers = [socket.create_connection(listener.getsockname()) for _ in range(3)]
            await eventually(lambda: len(taken) == 3)
            nursery.cancel_scope.cancel()
    for sock, address in taken:
        assert address == "127.0.0.1"
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.close()
    for caller in callers:
        caller.close()


async def test_without_descriptors_newcomers_wait_and_are_taken_later(caplog: pytest.LogCaptureFixture) -> None:
    """It says so and goes on trying, instead of ending or spinning."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as caller:
        async with trio.open_nursery() as nursery:
            await nursery.start(accept_forever, listener, lambda sock, _: taken.append(sock))
            with no_descriptors_left(), caplog.at_level(logging.WARNING):
                caller.connect(listener.getsockname())
                await eventually(lambda: "acceptor.out_of_resources" in caplog.text)
                assert not taken
            await eventually(lambda: len(taken) == 1)
            nursery.cancel_scope.cancel()
    taken[0].close()


async def test_without_descriptors_it_does_not_say_so_at_each_try(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """Once in a while: a log that fills the disk helps nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as caller:
        async with trio.open_nursery() as nursery:
            await nursery.start(accept_forever, listener, lambda sock, _: sock.close())
            with no_descriptors_left(), caplog.at_level(logging.WARNING):
                caller.connect(listener.getsockname())
                await trio.sleep(LOG_EVERY_S / 2)
                assert caplog.text.count("acceptor.out_of_resources") == 1
            nursery.cancel_scope.cancel()
