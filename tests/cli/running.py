"""Runs the real command as a process, hears what it prints, and knows which processes it has under it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.cli.fork_server import run_command
from tests.processes import ENDED_WITHIN_S, exists

START_S: Final = 120.0
"""A start takes 2 s, and most of a minute where four begin at once on a busy machine. Nothing is promised about that:
what takes longer hangs."""
STOP_S: Final = 10.0
POLL_S: Final = 0.02
KEPT: Final = ("PATH", "HOME", "LANG", "COV", "OMNISONIC_PURE")
"""What else is in the environment of a command; the last one says whether a compiled build is tested or its sources."""
PROGRAM: Final = (sys.executable, "-m", "omnisonic")


def eventually(condition: Callable[[], bool], *, what: str, within_s: float = START_S) -> None:
    """Poll `condition` until it holds. Errors: `AssertionError`, naming `what`, when it does not in time."""
    deadline_s = time.monotonic() + within_s
    never = threading.Event()
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}"
        never.wait(POLL_S)


def environ(**settings: str) -> dict[str, str]:
    """This process's environment with no settings but these, and free ports.

    Rooms do not come first: on a busy machine what comes after them would hardly get on.
    """
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    ports = dict.fromkeys(("WEB_PORT", "GATEWAY_PORT", "PARITY_PORT"), "0")
    return kept | ports | {"OTEL_SDK_DISABLED": "true", "ROOMS_FIRST": "false"} | settings


def completed(*arguments: str, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """`omnisonic` with these arguments, and `typed` on its standard input, run to its end."""
    return run_command(arguments, environ(**settings), typed=typed, timeout_s=START_S)


class Command:
    """A running `omnisonic`, by default this environment's. `lines` grows as it prints."""

    def __init__(
        self, arguments: tuple[str, ...], settings: Mapping[str, str], program: Sequence[str] = PROGRAM
    ) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*program, *arguments],
            env=environ(**settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            self.lines.extend(line.rstrip("\n") for line in output)

    def printed(self, pattern: str, *, within_s: float = START_S) -> re.Match[str]:
        """Wait for a line in which `pattern` is found."""
        found: list[re.Match[str]] = []

        def seen() -> bool:
            found.extend(match for line in self.lines.copy() if (match := re.search(pattern, line)))
            assert found or self._process.poll() is None, f"ended without {pattern!r}:\n" + "\n".join(self.lines)
            return bool(found)

        eventually(seen, what=f"a line with {pattern!r}", within_s=within_s)
        return found[0]

    def port(self, label: str) -> int:
        """The port in the line that begins with `label`, as in `Studio  http://127.0.0.1:3000`."""
        return int(self.printed(rf"{label}.*:(\d+)$")[1])

    def part(self, name: str) -> int:
        """The process id of the running part called `name`."""
        pids: list[int] = []

        def runs() -> bool:
            pids.extend(pid for pid in children(self.pid) if _is_part(name, command_line(pid).split()))
            return bool(pids)

        eventually(runs, what=f"the {name} runs")
        return pids[0]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code, within `STOP_S`."""
        self._process.send_signal(how)
        return self._process.wait(STOP_S)

    def signal(self, how: signal.Signals) -> None:
        """Send a signal, and do not wait for what comes of it."""
        self._process.send_signal(how)

    def kill(self) -> None:
        """End it as nobody expects."""
        self._process.kill()
        self._process.wait(ENDED_WITHIN_S)
        self._reader.join(ENDED_WITHIN_S)


@contextlib.contextmanager
def running(*arguments: str, **settings: str) -> Iterator[Command]:
    """`omnisonic` with these arguments and settings, stopped with the block.

    A `serve` is without the parity service, and coverage does not measure it, unless the settings say otherwise: one
    process less, and a third less of processor time. The studio that tests share has both (`conftest.py`).
    """
    without = {"PARITY_ENABLED": "false", "COVERAGE_PROCESS_CONFIG": ""} if arguments[0] == "serve" else {}
    command = Command(arguments, without | settings)
    try:
        yield command
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.stop()
        command.kill()


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that run."""
    if Path("/proc/self/stat").exists():
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [child for child in found if status_of(child)[:1] != ["Z"] and status_of(child)[1:2] == [str(pid)]]
    listed = subprocess.run(["/bin/ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def command_line(pid: int) -> str:
    """All words of the command that `pid` runs; nothing when it does not run any more."""
    if Path("/proc/self/stat").exists():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    return subprocess.run(["/bin/ps", "-o", "command=", str(pid)], capture_output=True, text=True, check=False).stdout


def _is_part(name: str, words: list[str]) -> bool:
    """Whether a command of these words is the part: `python -m omnisonic NAME`, or a program called like it."""
    return name in words[3:4] or name in "".join(words[:1]).rpartition("/")[2]


def alive(pid: int) -> bool:
    """Whether `pid` runs; one that ended and was not waited for does not."""
    return exists(pid) and status_of(pid)[:1] != ["Z"]


def status_of(pid: int) -> list[str]:
    """State, parent and so on (proc(5)): what follows the command's name, which may itself hold brackets."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return []
