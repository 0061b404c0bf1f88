"""`python -m omnisonic.studio.mixdown.process`: mixes as it is told on its standard input
(`omnisonic.studio.mixdown.ipc.Order`), and prints its news, a line each.

What files make their decoders do is unknown, so it happens here, in the sandbox (`omnisonic.process.sandbox`), and
after everybody else. The stems are read by processes that it starts before it gives up to start any. Overload: more
time on processors ends it with SIGXCPU; more memory, a disk that is full, and a sandbox that cannot be had are told as
news. Crash: the files' matter, told by the signal that ended it; any other exit code than 0 is this program's own
trouble.
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from omnisonic.process.sandbox import Limits, SandboxFailed, limit, restrict, seal
from omnisonic.studio.mixdown import UnusableStem
from omnisonic.studio.mixdown.ipc import Done, Failed, News, Order, Progress, Unusable
from omnisonic.studio.mixdown.part import Readable, Stems
from omnisonic.studio.mixdown.reader import Reader, ReaderDied
from omnisonic.studio.mixdown.rendering import render

LIMITS: Final = Limits(
    cpu_s=1_800,  # a hundred times what three minutes of eight stems take as MP3
    memory_bytes=2_147_483_648,
    descriptors=1_024,  # one a stem
    written_bytes=17_179_869_184,  # five hours of 24 bits are a third of it
)
NEWS_EVERY_S: Final = 0.1
TOO_MUCH: Final = "These files take more memory to mix than there is. Mute some of them, or use smaller ones."


def main() -> None:
    """Confine this process, mix, and tell."""
    limit(LIMITS)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        restrict()
        send(_outcome(order))
    except SandboxFailed as problem:
        send(Failed(problem.message))
    except ReaderDied as death:
        if not death.signal:
            raise
        os.kill(os.getpid(), death.signal)  # whoever waits for this one is to know why


def send(news: News) -> None:
    """Print it."""
    sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
    sys.stdout.buffer.flush()


class Throttle:
    """Tells of progress, as it is told of it, but not all the time."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, done: float) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + NEWS_EVERY_S
            send(Progress(round(done, 4)))


def read_apart(shares: Sequence[Stems]) -> list[Readable]:
    """Start a reader for each share, and give up to start anything else."""
    readers = [Reader(share) for share in shares]
    seal(may_signal=[reader.pid for reader in readers])
    return list(readers)


def _outcome(order: Order) -> News:
    files = [os.fdopen(number, "rb") for number in order.files]
    try:
        with os.fdopen(order.output, "r+b") as output:
            output.truncate(0)
            told = Throttle()
            return Done(render(order.project, files, output, order.format, bits=order.bits, told=told, read=read_apart))
    except UnusableStem as problem:
        return Unusable(problem.message)
    except MemoryError:
        return Unusable(TOO_MUCH)
    except OSError as problem:
        return Failed(f"The mix could not be written: {problem.strerror or problem}.")


if __name__ == "__main__":
    main()
