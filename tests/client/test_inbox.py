"""What waits to be read: bounded, in order, and never a silent hole (SPEC 8)."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import omnisonic
from omnisonic.client.inbox import Inbox
from omnisonic.client.trio_backend import TRIO
from omnisonic.wire.decoded_message import Message
from tests.client.libraries import Client
from tests.clients import DEADLINE_S
from tests.embedding.staging import hear
from tests.patience import patient_for


def read(*numbers: int) -> list[Message]:
    """What one read brought."""
    return [Message("note", number) for number in numbers]


async def test_messages_come_in_order_and_then_the_end() -> None:
    """Across reads; whoever waits is woken by the next read, or the end."""
    inbox = Inbox(TRIO)
    inbox.put(read(1, 2), 20)
    inbox.put(read(3), 10)
    assert [message.payload for message in [await inbox.next() for _ in range(3)] if message] == [1, 2, 3]
    async with trio.open_nursery() as nursery:
        received: list[Message | None] = []

        async def listen() -> None:
            received.extend([await inbox.next(), await inbox.next()])

        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        inbox.put(read(4), 10)
        await wait_all_tasks_blocked()
        inbox.close()
    assert received == [*read(4), None]


async def test_all_who_wait_are_woken() -> None:
    """By messages of one read, by the end, and whoever waits again."""
    inbox = Inbox(TRIO)
    received: list[int] = []

    async def listen() -> None:
        while (message := await inbox.next()) is not None:
            received.append(message.payload)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(listen)
            for number in range(3):
                await wait_all_tasks_blocked()
                inbox.put(read(number, number + 10), 20)
            await wait_all_tasks_blocked()
            assert received == [0, 10, 1, 11, 2, 12]
            inbox.close()


async def test_over_its_limit_the_oldest_are_dropped_and_that_is_told() -> None:
    """What is being read already is read to its end, and the newest read is kept however long it is."""
    inbox = Inbox(TRIO, limit_bytes=100)
    inbox.put(read(0, 1), 50)
    first = await inbox.next()
    for number in range(2, 12, 2):
        inbox.put(read(number, number + 1), 50)
    assert inbox.dropped == 6
    inbox.close()
    received = [first]
    while (message := await inbox.next()) is not None:
        received.append(message)
    assert received == [*read(0, 1), Message("inbox.overflow", {"dropped": 6}), *read(8, 9, 10, 11)]
    inbox.put(read(1), 1000)
    assert await inbox.next() == Message("note", 1)


async def test_reading_pauses_while_much_waits_but_not_for_ever(mock_clock: MockClock) -> None:
    """It goes on at once when the program reads, and otherwise after a moment."""
    inbox = Inbox(TRIO, limit_bytes=100)
    inbox.put(read(1), 50)
    await inbox.pause()
    inbox.put(read(2), 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.pause)
        await wait_all_tasks_blocked()
        await inbox.next()
    inbox.put(read(3), 90)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.pause)
        await wait_all_tasks_blocked()
        mock_clock.jump(0.05)


async def test_a_program_that_only_acts_loses_messages_and_keeps_its_connection(client: Client) -> None:
    """Its questions are answered all the while, and iteration tells of what it missed."""
    async with (
        omnisonic.open_gateway(member_rate_per_s=0) as gateway,
        client.connect(gateway.url, room="jam", name="Ada", inbox_bytes=2_000) as ada,
        client.connect(gateway.url, room="jam", name="Bo") as bo,
    ):
        with trio.fail_after(DEADLINE_S):
            for number in range(200):
                await bo.ask("note", "x" * 100)
                if number % 10 == 0:
                    await ada.ask("alive")
        assert ada.connection_state == "connected"
        assert ada.dropped > 100
        overflow = await hear(ada, "inbox.overflow")
        assert (overflow.payload, overflow.sender) == ({"dropped": ada.dropped}, None)
        assert (await anext(ada)).type == "note"


@pytest.mark.parametrize("size", [1, 3_000])
async def test_a_burst_is_heard_whole_by_a_program_that_listens(client: Client, size: int) -> None:
    """Many messages in each read; none is lost, doubled or out of order."""
    count = 2_000
    async with (
        omnisonic.open_gateway(member_rate_per_s=0, member_queue_bytes=0) as gateway,
        client.connect(gateway.url, room="jam", name="Ada") as ada,
        client.connect(gateway.url, room="jam", name="Bo") as bo,
        trio.open_nursery() as nursery,
    ):

        async def talk() -> None:
            for number in range(count):
                await bo.say("note", [number, "x" * size])

        nursery.start_soon(talk)
        received: list[int] = []
        async with patient_for(4 * DEADLINE_S):
            while len(received) < count:
                message = await anext(ada)
                if message.type == "note":
                    received.append(message.payload[0])
        assert received == list(range(count))
