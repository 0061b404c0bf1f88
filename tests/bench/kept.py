"""Kept messages a second, how long their acks take, and what the rooms feel of them, in a whole studio.

usage: python -m tests.bench.kept [--rate 2000] [--seconds 10] [--rounds 2] [--sessions 20] [--load ROOM-LOAD]

`omnisonic serve` runs with its own Postgres, which syncs to the disk. Two members in each session's room talk at a
steady rate, first without `keep` and then with it; the load shares the machine. A message is late when it was sent
later than its time: then the machine, not the gateway, was the limit. With the room load (the path of a program that
prints a line of JSON with `p99_us`), the other rooms' 99th percentile: quiet, beside talk that is not kept, and beside
talk that is.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from omnisonic.wire.messages import read_client_id
from tests.bench.felt import Rooms
from tests.clients import TEXT, Bare, masked_frame, upgrade_request
from tests.prepared_postgres import run_folder
from tests.rooms import becomes
from tests.system.musicians import musician
from tests.system.studio import Studio, running_studio

PAYLOAD: Final = {"text": "Shall we take the bridge again, slower this time?"}
ACK: Final = b'{"type":"ack"'
SETTLE_S: Final = 5.0
LATE_S: Final = 0.05


@dataclass
class Figures:
    """What one run saw. Times in seconds."""

    sent_s: dict[int, float] = field(default_factory=dict)
    acks_s: list[float] = field(default_factory=list)
    late: int = 0

    async def are_complete(self) -> bool:
        """Whether all that was sent is acknowledged."""
        return len(self.acks_s) == len(self.sent_s)

    def line(self, what: str, seconds: float) -> str:
        """The figures in one line."""
        if len(self.acks_s) < 100:
            return f"{what}: {len(self.acks_s)} acks, too few to say anything"
        cuts = statistics.quantiles(self.acks_s, n=100)
        return (
            f"{what}: {len(self.acks_s) / seconds:,.0f} acks a second, p50 {cuts[49] * 1000:.1f} ms, "
            f"p99 {cuts[98] * 1000:.1f} ms, most {max(self.acks_s) * 1000:.0f} ms; "
            f"{len(self.sent_s)} sent, {len(self.sent_s) - len(self.acks_s)} without an ack, {self.late} late"
        )


class Talk:
    """Members who talk at a steady rate, and measure how long each ack takes."""

    def __init__(self, members: list[Bare], rate: float) -> None:
        self._members = members
        self._rate = rate
        self._next_id = 0

    async def run(self, seconds: float, *, keep: bool) -> Figures:
        """Talk for so long, and wait for the acks."""
        figures = Figures()
        async with trio.open_nursery() as nursery:
            for member in self._members:
                nursery.start_soon(self._hear, member, figures)
            await self._say(figures, seconds, keep=keep)
            with suppress(AssertionError):  # the line says how many have none
                await becomes(figures.are_complete, wanted=True, deadline_s=SETTLE_S)
            nursery.cancel_scope.cancel()
        return figures

    async def _say(self, figures: Figures, seconds: float, *, keep: bool) -> None:
        members, began_s = self._members, trio.current_time()
        for number in range(int(seconds * self._rate)):
            due_s = began_s + number / self._rate
            if (now_s := trio.current_time()) < due_s:
                await trio.sleep(due_s - now_s)
            figures.late += now_s > due_s + LATE_S
            self._next_id += 1
            envelope = {"type": "chat", "payload": PAYLOAD, "id": self._next_id, "keep": keep}
            figures.sent_s[self._next_id] = trio.current_time()
            await members[number % len(members)].stream.send_all(masked_frame(TEXT, json.dumps(envelope).encode()))

    async def _hear(self, member: Bare, figures: Figures) -> None:
        member.deadline_s = 3600.0
        while True:
            _, payload = await member.frame()
            if payload.startswith(ACK):
                reply_id = read_client_id(payload.split(b'"id":', 1)[1].split(b",", 1)[0].decode())
                figures.acks_s.append(trio.current_time() - figures.sent_s[int(reply_id)])


async def enter(studio: Studio, stack: AsyncExitStack, sessions: int) -> list[Bare]:
    """Two members in the room of each of so many sessions."""
    ada = await stack.enter_async_context(musician(studio.visitors, "ada"))
    members = []
    for number in range(sessions):
        session = await ada.create(f"Jam {number}")
        for name in ("one", "two"):
            ticket = await ada.ticket(session, memberId=name, displayName=name.title())
            stream = await trio.open_tcp_stream("127.0.0.1", studio.visitors.gateway_port)
            member = await stack.enter_async_context(Bare(stream))
            protocols = f"omnisonic, ticket.{ticket['ticket']}"
            request = upgrade_request("/", studio.visitors.gateway_port, Sec_WebSocket_Protocol=protocols)
            await member.stream.send_all(request)
            assert (await member.head()).startswith(b"HTTP/1.1 101")
            members.append(member)
    return members


async def measure(studio: Studio, args: argparse.Namespace) -> None:
    """Print the figures of each round."""
    load = None if args.load is None else Rooms(studio.visitors.gateway_port, tuple(args.load.split()))
    async with AsyncExitStack() as stack:
        talk = Talk(await enter(studio, stack, args.sessions), args.rate)
        for _ in range(args.rounds):
            p99s = {}
            if load is not None:
                p99s["quiet"] = await trio.to_thread.run_sync(load.p99_ms)
            for what, keep in (("not kept", False), ("kept", True)):
                results: list[float] = []
                async with trio.open_nursery() as nursery:
                    if load is not None:
                        nursery.start_soon(_append, results, load.p99_ms)
                    figures = await talk.run(args.seconds, keep=keep)
                print(figures.line(what, args.seconds), flush=True)
                if results:
                    p99s[what] = results[0]
            if p99s:
                print("rooms' p99: " + ", ".join(f"{ms:.2f} ms {what}" for what, ms in p99s.items()), flush=True)


async def _append(results: list[float], function: Callable[[], float]) -> None:
    results.append(await trio.to_thread.run_sync(function))


def main() -> None:
    """Print the figures."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--rate", type=float, default=2000)
    ask.add_argument("--seconds", type=float, default=10)
    ask.add_argument("--rounds", type=int, default=2)
    ask.add_argument("--sessions", type=int, default=20)
    ask.add_argument("--load", help="the room load, with what comes before it, such as `taskset --cpu-list 1`")
    args = ask.parse_args()
    with (
        run_folder(),
        tempfile.TemporaryDirectory() as folder,
        running_studio("serve", Path(folder), ROOM_ACCESS="open", ROOMS_FIRST="true") as studio,
    ):
        trio.run(measure, studio, args)


if __name__ == "__main__":
    main()
