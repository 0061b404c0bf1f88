"""What is asyncio's own in `omnisonic.aio.connect`: tasks, cancellation and the socket. The rest is tried on both."""

import asyncio
import inspect
import math
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio

import omnisonic
from omnisonic import aio
from omnisonic.client.asyncio_backend import ASYNCIO, AsyncioBackend, AsyncioStream
from omnisonic.client.backend import READ_BYTES, ConnectionBroken
from omnisonic.client.reconnector import CLOSE_S
from omnisonic.concurrency.asyncio_thread import AsyncioThread, open_asyncio_thread
from omnisonic.wire.frames import CLOSE
from tests.client.serving import Peer, scripted, stays
from tests.clients import DEADLINE_S
from tests.embedding.staging import band, hear, until
from tests.rooms import eventually

BIG_BYTES = 8_000_000
"""More than the buffers of two sockets hold."""


@pytest.fixture
async def thread() -> AsyncIterator[AsyncioThread]:
    async with open_asyncio_thread() as thread:
        yield thread


class Reader:
    """A server that reads only when it is told to."""

    def __init__(self) -> None:
        self.may_read = trio.Event()
        self.received = bytearray()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Read to the end."""
        async with stream:
            await self.may_read.wait()
            async for data in stream:
                self.received += data


async def test_a_frame_whose_sender_is_cancelled_is_sent_whole(thread: AsyncioThread) -> None:
    """The next one comes behind it; a sender who is cancelled before its turn sends nothing."""
    reader = Reader()

    async def send(port: int) -> None:
        stream = await ASYNCIO.open_stream("127.0.0.1", port, None)
        first = asyncio.create_task(stream.send(b"a" * BIG_BYTES))
        await asyncio.sleep(0.05)
        first.cancel()
        second = asyncio.create_task(stream.send(b"b" * 10))
        await asyncio.sleep(0.05)
        second.cancel()
        assert all(
            isinstance(each, asyncio.CancelledError)
            for each in await asyncio.gather(first, second, return_exceptions=True)
        )
        thread.tell_trio(reader.may_read.set)
        await stream.send(b"c" * 10)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, reader.serve, 0, host="127.0.0.1"))
        await thread.call(send, listener.socket.getsockname()[1], timeout_s=DEADLINE_S)
        await eventually(lambda: reader.received.endswith(b"c"))
        nursery.cancel_scope.cancel()
    assert reader.received == b"a" * BIG_BYTES + b"c" * 10


async def test_a_stream_that_accepts_nothing_for_too_long_is_broken(thread: AsyncioThread) -> None:
    """And so is one that was closed here, whose reader wakes up."""
    hasty = AsyncioBackend(send_s=0.05)
    reader = Reader()

    async def send(port: int) -> None:
        stream = await hasty.open_stream("127.0.0.1", port, None)
        for _ in range(2):
            with pytest.raises(ConnectionBroken):
                await stream.send(b"a" * BIG_BYTES)
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        await stream.aclose()
        assert await receiving == b""
        with pytest.raises(ConnectionBroken):
            await stream.send(b"a")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, reader.serve, 0, host="127.0.0.1"))
        await thread.call(send, listener.socket.getsockname()[1], timeout_s=DEADLINE_S)
        nursery.cancel_scope.cancel()


async def test_what_was_received_is_read_before_the_end_and_never_too_much_of_it(thread: AsyncioThread) -> None:
    """Also when the connection breaks meanwhile. Who does not read makes the sender wait."""
    wrote = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal wrote
        await stream.send_all(b"x" * 10)
        async with stream:
            try:
                while True:
                    await stream.send_all(b"x" * 100_000)
                    wrote += 100_000
            except trio.BrokenResourceError:
                pass

    async def read(port: int) -> None:
        stream = await ASYNCIO.open_stream("127.0.0.1", port, None)
        assert isinstance(stream, AsyncioStream)
        await asyncio.sleep(0.2)
        before = wrote
        await asyncio.sleep(0.1)
        assert wrote == before
        data = await stream.receive()
        assert READ_BYTES <= len(data) < 3 * READ_BYTES
        while wrote == before:
            await stream.receive()
        await stream._readable.wait()
        stream.connection_lost(ConnectionResetError())  # as the transport says it
        assert await stream.receive() != b""
        assert await stream.receive() == b""
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        await thread.call(read, listener.socket.getsockname()[1], timeout_s=DEADLINE_S)
        nursery.cancel_scope.cancel()


async def test_what_the_block_raises_comes_out_as_it_is(thread: AsyncioThread) -> None:
    """So does a cancellation, a timeout, and one that comes while it leaves. All of them leave in order."""
    async with band("bo") as (gateway, [bo]):
        ada = partial(aio.connect, gateway.url, room="jam", name="Ada", member_id="ada")

        async def raises() -> None:
            async with ada():
                raise LookupError("mine")

        async def times_out() -> None:
            async with asyncio.timeout(None) as deadline, ada():
                deadline.reschedule(asyncio.get_running_loop().time() + 0.01)
                await asyncio.Event().wait()

        async def is_cancelled() -> None:
            async with ada():
                raise asyncio.CancelledError

        async def is_cancelled_twice() -> None:
            async def stay() -> None:
                async with ada():
                    entered.set()
                    await asyncio.Event().wait()

            entered = asyncio.Event()
            task = asyncio.create_task(stay())
            await entered.wait()
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await task

        for block, error in (
            (raises, LookupError),
            (times_out, TimeoutError),
            (is_cancelled, omnisonic.Unavailable),  # which is how the thread tells it
            (is_cancelled_twice, omnisonic.Unavailable),
        ):
            with pytest.raises(error):
                await thread.call(block, timeout_s=DEADLINE_S)
            assert (await hear(bo, "presence.leave")).payload["reason"] == "left"


async def test_a_server_that_does_not_say_goodbye_is_not_waited_for(thread: AsyncioThread) -> None:
    """The close is sent, and after `CLOSE_S` the client is gone."""
    closes: list[bytes] = []

    async def rude(peer: Peer) -> None:
        await peer.welcome()
        closes.append(await peer.receive_frame(CLOSE))
        await trio.sleep_forever()

    async def leave(url: str) -> float:
        loop = asyncio.get_running_loop()
        async with aio.connect(url, room="jam"):
            begun_s = loop.time()
        return loop.time() - begun_s

    async with scripted(rude) as url:
        assert CLOSE_S <= await thread.call(leave, url, timeout_s=CLOSE_S + DEADLINE_S) < CLOSE_S + DEADLINE_S
    assert closes[0][:2] == b"\x03\xe8"


async def test_an_error_of_the_ticket_function_is_not_taken_for_a_timeout_of_the_clients(thread: AsyncioThread) -> None:
    """It is raised as it is; the client's own says so in its words."""

    async def ticket() -> str:
        await asyncio.sleep(0)
        raise TimeoutError("the office is closed")

    async def enter(url: str) -> None:
        async with aio.connect(url, ticket=ticket):
            pass

    async with scripted(stays) as url:
        with pytest.raises(TimeoutError, match="the office is closed"):
            await thread.call(enter, url, timeout_s=DEADLINE_S)


async def test_a_loop_that_only_speaks_lets_other_tasks_run(thread: AsyncioThread) -> None:
    """And `timeout_s` may be endless."""
    async with band("bo") as (gateway, [bo]):

        async def speak() -> int:
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            async with aio.connect(gateway.url, room="jam", name="Ada") as ada:
                counting = asyncio.create_task(count())
                for number in range(50):
                    await ada.say("note", number)
                counting.cancel()
                await ada.ask("done", timeout_s=math.inf)
                return turns

        assert await thread.call(speak, timeout_s=DEADLINE_S) >= 50
        assert [each.payload for each in await until(bo, "done") if each.type == "note"] == list(range(50))


def test_both_take_the_same_arguments() -> None:
    """With the same names, types and defaults."""
    assert inspect.signature(aio.connect) == inspect.signature(omnisonic.connect)
    assert omnisonic.aio is aio


def test_neither_brings_the_other_library() -> None:
    """`omnisonic` alone brings none of them, and no thread is started."""
    code = (
        "import sys, omnisonic\n"
        "print('trio' in sys.modules, 'asyncio' in sys.modules)\n"
        "import omnisonic.aio\n"
        "print('trio' in sys.modules, 'asyncio' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "False False\nFalse True\n"
    ran = subprocess.run(
        [sys.executable, "-c", "import sys, omnisonic; omnisonic.connect; print('asyncio' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout == "False\n"
