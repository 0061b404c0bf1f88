"""Messages a second that `omnisonic.connect` and `omnisonic.aio.connect` receive, decoding of their payloads included.

usage: python -m tests.bench.client [--rounds 3] [--seconds 3] [--payload 64]

Messages a second, and in brackets a second of the client's processor time. Twice each: from a server in a process of
its own that sends frames made before, as fast as they are read, which is what the client can take; and from a real
gateway in a process of its own, whose room says a thousand at each of its ticks.
"""

import argparse
import asyncio
import socket
import subprocess
import sys
import time
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

import trio

import omnisonic
from omnisonic import aio
from omnisonic.wire import handshake, messages
from omnisonic.wire.frames import TEXT, frame

WINDOW: Final = 20_000
"""The gateway's room is at most this many messages ahead."""
BURST: Final = 1_000
ROUND: Final = 20_000
"""Messages are numbered up to this, and then from 1 again."""
LIBRARIES: Final = ("trio", "asyncio")

Rates: TypeAlias = tuple[float, float]
"""Messages a second, by the clock and by the time of this process's processor."""


class Fountain(omnisonic.Room[None]):
    """A room that says what it can, and is told how far its listener has come."""

    tick_s = 0.001
    pad = ""
    spoken = 0
    taken = 0

    def on_tick(self, now_s: float) -> None:
        del now_s
        for _ in range(min(BURST, WINDOW - (self.spoken - self.taken))):
            self.say("note", {"at": self.spoken % ROUND + 1, "pad": self.pad})
            self.spoken += 1

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> bool:
        del member
        self.taken = message.payload
        return False


async def serve_gateway(payload: int) -> None:
    """Run the fountain until killed."""
    Fountain.pad = "x" * payload
    async with omnisonic.open_gateway(room_class=Fountain, member_queue_bytes=0) as gateway:
        print(gateway.url, flush=True)
        await trio.sleep_forever()


def serve_frames(payload: int) -> None:
    """Send ready-made frames to one client, until it is gone."""
    shape = b'{"type":"note","payload":{"at":%d,"pad":"%b"},"from":null,"offset":%d}'
    stream = b"".join(frame(TEXT, shape % (n, b"x" * payload, n)) for n in range(1, ROUND + 1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"ws://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        sock, _ = listener.accept()
    head = bytearray()
    while (end := head.find(b"\r\n\r\n")) < 0:
        head += sock.recv(65_536)
    key = handshake.check_upgrade(handshake.read_request(bytes(head[: end + 4])))
    welcome = messages.Welcome("fountain", "listener", 60, "epoch", 0, 0)
    sock.sendall(handshake.upgrade_response(key, ["omnisonic"]) + messages.welcome_frame(welcome, [], b"{}", b"{}"))
    try:
        while True:
            sock.sendall(stream)
    except OSError:
        return


async def measure(client: AbstractAsyncContextManager[omnisonic.ClientRoom], seconds: float) -> Rates:
    """Messages a second, counted where a program gets them; none may be missing."""
    count = 0
    async with client as room:
        start, start_cpu = time.perf_counter(), time.process_time()
        async for message in room:
            if message.type == "note":
                count += 1
                if message.payload["at"] != (count - 1) % ROUND + 1:
                    raise SystemExit(f"something is missing before message {count}")
            if count % 2_000 == 0:
                await room.say("taken", count)
                if (took := time.perf_counter() - start) > seconds:
                    return count / took, count / (time.process_time() - start_cpu)
    raise SystemExit("the room ended")


def measured(library: str, source: str, payload: int, seconds: float) -> Rates:
    """Messages a second from this source."""
    command = [sys.executable, "-m", "tests.bench.client", "--serve", source, "--payload", str(payload)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if library == "asyncio":
            return asyncio.run(measure(aio.connect(url, room="fountain", name="Listener"), seconds))
        return trio.run(measure, omnisonic.connect(url, room="fountain", name="Listener"), seconds)
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Print a line a round."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--seconds", type=float, default=3.0)
    ask.add_argument("--payload", type=int, default=64, help="bytes of padding in each message")
    ask.add_argument("--serve", help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.serve == "gateway":
        trio.run(serve_gateway, args.payload)
    elif args.serve == "frames":
        serve_frames(args.payload)
    else:
        print(f"{'':8} {'ready-made frames/s':>22} {'through a gateway/s':>22}")
        for _ in range(args.rounds):
            for library in LIBRARIES:
                rates = [measured(library, source, args.payload, args.seconds) for source in ("frames", "gateway")]
                print(f"{library:8}", *(f"{rate:>11,.0f} ({cpu:>8,.0f})" for rate, cpu in rates))


if __name__ == "__main__":
    main()
