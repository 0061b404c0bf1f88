"""Members who all come back at once to a full history: how soon each has it, and what the other rooms feel of it.

usage: python -m tests.bench.returning [--members 500] [--bytes 200] [--rounds 3] [--load ROOM-LOAD]

A room remembers 512 messages of so many bytes. The members connect at the same moment with the position from before
them, and each is served when it has received the last one. With the room load (`tests.bench.felt`), also the other
rooms' 99th percentile: quiet, and while the members come back once a second. The clients are Python, share the
machine with the gateway, and take most of the time that is reported.
"""

import argparse
import statistics
from pathlib import Path
from typing import Final

import trio

from tests.bench.felt import OPEN, Rooms, free_processor
from tests.bench.web import running
from tests.clients import Bare, upgrade_request

REMEMBERED: Final = 512
LAST: Final = b'{"type":"last"'


class Room:
    """A room with a full history, and members who come back to it."""

    def __init__(self, port: int, members: int) -> None:
        self._port = port
        self._members = members
        self._since = ""

    async def fill(self, size: int) -> None:
        """Say as much as the room remembers."""
        async with await self._enter("bo") as bo:
            await bo.head()
            welcome = (await bo.next("welcome"))["payload"]
            self._since = f"{welcome['epoch']}:{welcome['offset']}"
            for number in range(REMEMBERED - 1):
                await bo.say("note", "." * size, id=number)
            await bo.say("last", id="last")
            while (await bo.next("ack"))["payload"]["id"] != "last":
                pass

    async def come_back(self) -> list[float]:
        """After how many seconds each member has everything."""
        served_s: list[float] = []
        began_s = trio.current_time()

        async def one(name: str) -> None:
            async with await self._enter(name, since=self._since) as member:
                end = b""
                while LAST not in end:
                    received = await member.stream.receive_some(262_144)
                    assert received, "the gateway has closed the connection"
                    end = end[-len(LAST) :] + received
                served_s.append(trio.current_time() - began_s)

        async with trio.open_nursery() as nursery:
            for number in range(self._members):
                nursery.start_soon(one, f"m{number}")
        return served_s

    async def _enter(self, name: str, **more: str) -> Bare:
        fields = {"roomId": "full", "memberId": name, "displayName": name, **more}
        target = "/?" + "&".join(f"{key}={value}" for key, value in fields.items())
        member = Bare(await trio.open_tcp_stream("127.0.0.1", self._port))
        await member.stream.send_all(upgrade_request(target, self._port))
        return member


async def measure(port: int, pid: int, args: argparse.Namespace) -> None:
    """Print the figures of each round."""
    room = Room(port, args.members)
    await room.fill(args.bytes)
    load = None if args.load is None else Rooms(port, tuple(args.load.split()))
    for _ in range(args.rounds):
        before = _resident_mb(pid)
        served_s = await room.come_back()
        print(
            f"{args.members} served: median {statistics.median(served_s):.2f} s, last {max(served_s):.2f} s; "
            f"{_resident_mb(pid) - before:+.0f} MB",
            flush=True,
        )
        if load is not None:
            quiet = await trio.to_thread.run_sync(load.p99_ms)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_repeat, room)
                busy = await trio.to_thread.run_sync(load.p99_ms)
                nursery.cancel_scope.cancel()
            print(f"rooms' p99: {quiet:.2f} ms quiet, {busy:.2f} ms meanwhile", flush=True)


async def _repeat(room: Room) -> None:
    while True:
        await room.come_back()
        await trio.sleep(1)


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError("there is no such process")


def main() -> None:
    """Print the figures."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--members", type=int, default=500)
    ask.add_argument("--bytes", type=int, default=200)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--load", help="the room load, with what comes before it, such as `taskset --cpu-list 1`")
    args = ask.parse_args()
    if args.load is not None:
        args.load = f"taskset --cpu-list {free_processor()} {args.load}"
    with running(("-m", "omnisonic", "gateway", "--fd"), OPEN) as (port, pid):
        trio.run(measure, port, pid, args)


if __name__ == "__main__":
    main()
