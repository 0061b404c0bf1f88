"""Measures the constants of the simulation on this machine, in about a minute: a real gateway, a real Valkey, sockets.

Rooms are loaded with bursts: the first member says n messages in one write, and the next burst comes when everybody has
them all. So a burst is one turn of the room, and what a turn, a message, a write and a byte cost follows from bursts of
different sizes, to different numbers of members. What is measured is processor time, not the time that passes, so
another program on the machine does little harm.
"""

import asyncio
import select
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import redis.asyncio

from omnisonic.models import PresenceMember
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.stores.room_memory import RoomWrite
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from tests.bench.cluster.costs import Costs
from tests.bench.cluster.serving import Server, gateways, valkey
from tests.bench.load import enter
from tests.rooms import masked_frame

BURST: Final = 16
MANY: Final = 40
MARK: Final = b'"note"'
SMALL: Final = 256
LARGE: Final = 65_536
ROOMS: Final = 100
AT_ONCE: Final = 50
CLAIMS: Final = 16
PATIENCE_S: Final = 30.0
BUSY_ROOMS: Final = 20
"""A gateway that has something to do reads many sockets at a time."""
LARGE_MESSAGE: Final = 4096


def processor_s(pid: int) -> float:
    """The processor time of a process and of those that it has started, theirs and the kernel's for them."""
    used_s = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        used_s += int((thread / "schedstat").read_text().split()[0]) / 1e9
        used_s += sum(processor_s(int(child)) for child in (thread / "children").read_text().split())
    return used_s


def burst_s(
    gateway: Server, members: int, messages: int, seconds: float, size: int = 64, rooms: int = BUSY_ROOMS
) -> float:
    """Processor time of the gateway for one burst to a room with so many members, while other rooms have theirs."""
    first = members * 1_000_000 + messages * 10_000 + size  # other rooms each time
    seats = [[enter(gateway.port, first + room, index) for index in range(members)] for room in range(rooms)]
    ready = select.poll()
    socks = {sock.fileno(): sock for room in seats for sock in room}
    for fd in socks:
        ready.register(fd, select.POLLIN)
    burst = masked_frame(0x81, b'{"type":"note","payload":{"pad":"%b"}}' % (b"x" * size)) * messages
    before_s, end_s, bursts = processor_s(gateway.pid), time.perf_counter() + seconds, 0
    while time.perf_counter() < end_s:
        for room in seats:
            room[0].sendall(burst)
        left = messages * (members - 1) * rooms
        while left > 0:
            for fd, _ in ready.poll(1000):
                left -= socks[fd].recv(1 << 18).count(MARK)
        bursts += rooms
    used_s = processor_s(gateway.pid) - before_s
    for sock in socks.values():
        sock.close()
    return used_s / bursts


def measure_gateway(url: str, seconds: float, rounds: int) -> dict[str, float]:
    """What the rooms cost: of each burst the least of all rounds, and from these what its parts cost."""
    shapes = {
        "few": (2, 1, 64),
        "many": (MANY, 1, 64),
        "few_long": (2, BURST, 64),
        "many_large": (MANY, 1, LARGE_MESSAGE),
    }
    with gateways(1, url) as (gateway,):
        taken = [
            {
                name: burst_s(gateway, members, messages, seconds, size)
                for name, (members, messages, size) in shapes.items()
            }
            for _ in range(rounds)
        ]
    few, many, few_long, many_large = (min(each[name] for each in taken) for name in shapes)
    write_s = max((many - few) / (MANY - 2), 1e-7)
    message_s = max((few_long - few) / (BURST - 1), 1e-7)
    byte_s = max((many_large - many) / (MANY - 1) / (LARGE_MESSAGE - 64), 1e-11)
    return {
        "turn_s": max(few - write_s - message_s, 1e-7),
        "message_s": message_s,
        "write_s": write_s,
        "written_byte_s": byte_s,
    }


async def _spent(server_pid: int, act: Callable[[], Awaitable[object]], times: int) -> tuple[float, float]:
    """Processor time of this process, and of the server, for one `act`."""
    before_s, server_s = time.process_time(), processor_s(server_pid)
    for _ in range(times):
        await act()
    return (time.process_time() - before_s) / times, (processor_s(server_pid) - server_s) / times


async def _measure_publish(url: str, server_pid: int, times: int) -> dict[str, float]:
    publisher, subscriber = redis.asyncio.from_url(url), redis.asyncio.from_url(url)
    pubsub = subscriber.pubsub()
    await pubsub.subscribe("peer")
    await pubsub.get_message(timeout=5)
    costs = {}
    for size in (SMALL, LARGE):
        packet = b"x" * size

        async def send(packet: bytes = packet) -> None:
            await publisher.publish("peer", packet)

        async def receive() -> None:
            while (await pubsub.get_message(timeout=5)) is None:
                pass

        sent_s = received_s = redis_s = 0.0
        for _ in range(times // AT_ONCE):  # so few that the server does not cut the subscriber off
            sent, redis_sent = await _spent(server_pid, send, AT_ONCE)
            received, redis_received = await _spent(server_pid, receive, AT_ONCE)
            sent_s, received_s, redis_s = sent_s + sent, received_s + received, redis_s + redis_sent + redis_received
        costs[size] = tuple(each / (times // AT_ONCE) for each in (sent_s, received_s, redis_s))
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    await publisher.aclose()
    await subscriber.aclose()
    (small, large), more = (costs[SMALL], costs[LARGE]), LARGE - SMALL
    return {
        "publish_s": small[0],
        "receive_s": small[1],
        "packet_byte_s": max(large[0] - small[0], large[1] - small[1], 0) / more,
        "redis_publish_s": small[2],
        "redis_byte_s": max(large[2] - small[2], 0) / more,
    }


async def _measure_stores(url: str, server_pid: int, times: int) -> dict[str, float]:
    memory, presence = ValkeyRoomMemory(url, timeout_s=PATIENCE_S), ValkeyPresence(url, timeout_s=PATIENCE_S)
    names = [f"room-{number}" for number in range(ROOMS)]
    claimed = await memory.claim(names, "run")
    fences = [each.fence for each in claimed]
    number = 0

    async def write(rooms: int = ROOMS) -> None:
        nonlocal number
        number += 1
        writes = [
            RoomWrite(
                name,
                fence,
                number,
                {"position": b"x" * 120},
                [(number, b"x" * 400)],
                after=number - 1,
                is_whole=number == 1,
            )
            for name, fence in list(zip(names, fences, strict=True))[:rooms]
        ]
        await memory.write(writes)

    many, redis_many = await _spent(server_pid, write, times)
    _, redis_claims = await _spent(server_pid, lambda: memory.claim(names[:CLAIMS], "run"), times)
    await memory.forget(names)
    fences = [each.fence for each in await memory.claim(names, "run")]
    number = 0
    one, _ = await _spent(server_pid, lambda: write(1), times)
    rosters = {name: [PresenceMember(member_id=f"m{n}", display_name=f"M{n}") for n in range(20)] for name in names}
    roster, redis_roster = await _spent(
        server_pid, lambda: presence.write_rosters("run", rosters, ttl_s=60), max(times // 4, 1)
    )
    await memory.aclose()
    await presence.aclose()
    room_s = max((many - one) / (ROOMS - 1), 1e-7)
    return {
        "memory_call_s": max(one - room_s, 1e-7),
        "memory_room_s": room_s,
        "roster_room_s": roster / ROOMS / 2,
        "roster_member_s": roster / ROOMS / 2 / 20,
        "redis_memory_s": redis_many / ROOMS,
        "redis_roster_s": redis_roster / ROOMS,
        "redis_claim_s": redis_claims / CLAIMS,
    }


def measure(seconds: float = 3.0, rounds: int = 2) -> Costs:
    """Measure all, `seconds` for each of the gateway's shapes."""
    times = max(int(seconds * 1000), 100)
    with valkey() as (url, pid):

        async def stores() -> dict[str, float]:
            return await _measure_publish(url, pid, times) | await _measure_stores(url, pid, times // 10)

        return Costs(**measure_gateway(url, seconds, rounds), **asyncio.run(stores()))
