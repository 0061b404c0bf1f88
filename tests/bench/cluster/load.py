"""The room load for several servers (`load.c`): compiled once, run as a program."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.bench.cluster.serving import Server

SOURCE: Final = Path(__file__).with_name("load.c")
WINDOWS: Final = {(1, 100): 16, (20, 50): 16, (100, 8): 8}
"""The shapes, rooms and members, and how many messages of a speaker may be under way."""
SPARE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the load saw. `here`: members on the speaker's server; `there`: on the others."""

    deliveries_per_s: float
    sent_per_s: float
    here_p50_us: int
    here_p99_us: int
    there_p50_us: int
    there_p99_us: int
    least: int


@cache
def compiled() -> str:
    """The load, compiled for as long as this process runs. Needs a C compiler."""
    target = Path(tempfile.mkdtemp(prefix="omnisonic-bench-")) / "load"
    subprocess.run(["cc", "-O2", "-o", target, SOURCE], check=True)
    return str(target)


def run_load(
    servers: list[Server],
    shape: tuple[int, int],
    seconds: float,
    *,
    rate: float = 0,
    is_socketio: bool = False,
    program: str | None = None,
) -> Figures:
    """Load the servers. `rate`: messages a second of each speaker; 0: as many as come through.

    Raises RuntimeError when a server refuses or closes a connection, or a member hears nothing.
    """
    rooms, members = shape
    arguments = {
        "ports": ",".join(str(server.port) for server in servers),
        "rooms": rooms,
        "members": members,
        "seconds": seconds,
        "window": WINDOWS.get(shape, 8),
        "rate": rate,
    }
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    command = [program or compiled(), *words, *(["--socketio"] if is_socketio else [])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + SPARE_S, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ended.stderr.strip()}")
    figures = Figures(**json.loads(ended.stdout))
    if not figures.least:
        raise RuntimeError("a member heard nothing: the servers do not share their rooms, or are too slow by far")
    return figures
