"""What rooms feel of other work on the same machine: the 99th percentile of the room load, alone and during that work.

The room load is a program that prints a line of JSON with `p99_us`. It never sleeps, so it has a processor to itself;
gateway and work have the others.
"""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from tests.bench.web import running

JAM: Final = ("--rooms", "50", "--members", "8", "--senders", "8", "--rate", "5", "--seconds", "8")
"""Fifty bands of eight, all of whom play, five messages a second each."""
OPEN: Final = {"ROOM_ACCESS": "open", "MEMBER_RATE_PER_S": "0", "OTEL_SDK_DISABLED": "true"}


class Rooms:
    """A gateway with rooms in which a load speaks."""

    def __init__(self, port: int, load: tuple[str, ...]) -> None:
        self._load = (*load, "--port", str(port), *JAM)

    def p99_ms(self) -> float:
        """How long one message in a hundred takes, at least, from member to member."""
        reported = subprocess.run(self._load, capture_output=True, text=True, check=True).stdout
        line: dict[str, Any] = json.loads(reported)
        return float(line["p99_us"]) / 1000

    def compare(self, works: Mapping[str, Callable[[], object]], rounds: int, between: Callable[[], object]) -> None:
        """Print a line for each work and round. Work is done again and again meanwhile; `between` after each."""
        for _ in range(rounds):
            quiet = self.p99_ms()
            for name, work in works.items():
                with _repeated(work):
                    busy = self.p99_ms()
                print(f"rooms' p99: {quiet:.2f} ms quiet, {busy:.2f} ms during {name}, {busy / quiet:.1f} times")
                between()


@contextmanager
def rooms(load: str, **settings: str) -> Iterator[Rooms]:
    """Rooms with the load program `load` on a processor that is free (`free_processor`) from now on."""
    free = free_processor()
    with running(("-m", "omnisonic", "gateway", "--fd"), settings | OPEN) as (port, _):
        yield Rooms(port, ("taskset", "--cpu-list", str(free), load))


def free_processor() -> int:
    """The last processor, where from now on neither this process runs nor what it starts. The only one stays in use."""
    *others, free = sorted(os.sched_getaffinity(0))
    if others:
        os.sched_setaffinity(0, others)
    return free


@contextmanager
def _repeated(work: Callable[[], object]) -> Iterator[None]:
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(repeat)
        try:
            yield
        finally:
            stop.set()
        done.result()
