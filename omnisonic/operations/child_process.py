"""One child process: what it is, its end of the line, its output, and how it has ended.

A child has a socket to its supervisor as standard input, its *lifeline*. Standard output and error are one stream.

Overload: a child that writes more than is read waits in its `write`. Crash: `epitaph` says how it ended. Shutdown:
`close` leaves neither the process nor its pipes behind.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from omnisonic.errors import OmnisonicError
from omnisonic.operations.heartbeat import READY

START_S: Final = 30.0
"""A child that is not in service by then counts as crashed."""
LONGEST_LINE_BYTES: Final = 65_536


class ProcessDied(OmnisonicError):
    """A child process ended without having been asked to."""

    code = "process_died"


async def says_ready(lifeline: trio.SocketStream) -> None:
    """Wait for the child to say `ready`. Returns only then; a child that ends instead is noticed elsewhere."""
    if await lifeline.receive_some(len(READY)) != READY:
        await trio.sleep_forever()


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One child process.

    `in_service` returns once it does its work, which it must within `start_s`; it is given our end of the lifeline.
    `stop_signal` asks it to end in order.
    One that runs `once` is not kept up: it must end with exit code 0 within `start_s`, and then the next one starts.
    `niceness` is by how much it comes behind the others on the processors (setpriority(2)).
    One that is silent on its lifeline for `silent_s`, once it is in service, stands still. None: it never says a word.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    pass_fds: tuple[int, ...] = ()
    in_service: Callable[[trio.SocketStream], Awaitable[None]] = says_ready
    start_s: float = START_S
    once: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    niceness: int = 0
    silent_s: float | None = None


class Child:
    """One operating system process, its lifeline and its output. `close` leaves none of them behind."""

    def __init__(self, spec: ProcessSpec) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    spec.command,
                    env=dict(spec.environ),
                    stdin=theirs.fileno(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=spec.pass_fds,
                    # Ctrl-C reaches all processes of the terminal's group, and is for the supervisor alone.
                    process_group=0,
                )
            except OSError as problem:
                ours.close()
                raise ProcessDied(f"The {spec.name} could not be started: {problem.strerror}.") from problem
        if spec.niceness:
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                os.setpriority(os.PRIO_PROCESS, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0) + spec.niceness)
        self._name = spec.name
        self._stop_signal = spec.stop_signal
        self._reason = ""
        self.stood_still = False
        self.lifeline = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        assert self._process.stdout is not None
        self.output = trio.lowlevel.FdStream(os.dup(self._process.stdout.fileno()))
        self._process.stdout.close()

    async def wait(self) -> None:
        """Return when the process has ended."""
        await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.send_signal(self._stop_signal)

    def kill(self, reason: str) -> None:
        """End it at once; `reason` is what the epitaph says."""
        self._reason = reason
        self._process.kill()

    def close(self) -> None:
        """Kill it if it lives, and let go of its lifeline and its output."""
        self._process.kill()
        self._process.wait()
        self.lifeline.socket.close()
        self.output.close()

    @property
    def succeeded(self) -> bool:
        """Whether it has ended as one does that has done its work."""
        return self._process.returncode == 0

    @property
    def was_killed(self) -> bool:
        """Whether it has ended by a signal that was not ours."""
        code = self._process.returncode
        return code is not None and code < 0 and not self._reason

    def waited_s(self) -> float:
        """How long its first thread has waited for a processor so far; 0 where the system does not tell."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self._process.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return 0.0

    def is_traced(self) -> bool:
        """Whether a debugger holds it; False where the system does not tell."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8", errors="replace")
            return any(line.split() != ["TracerPid:", "0"] for line in status.splitlines() if "TracerPid" in line)
        return False

    def epitaph(self) -> str:
        """How it ended, as a sentence."""
        code = self._process.returncode
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"The {self._name} {self._reason or ended}."


async def lines(output: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """The lines of `output`, whatever they are encoded in, an overlong one in pieces."""
    waiting = b""
    async for chunk in output:
        *whole, waiting = (waiting + chunk).split(b"\n")
        for line in whole:
            for piece in _pieces(line):
                yield piece
        while len(waiting) > LONGEST_LINE_BYTES:
            yield waiting[:LONGEST_LINE_BYTES].decode(errors="replace")
            waiting = waiting[LONGEST_LINE_BYTES:]
    if waiting:
        yield waiting.decode(errors="replace")


def _pieces(line: bytes) -> list[str]:
    starts = range(0, max(len(line), 1), LONGEST_LINE_BYTES)
    return [line[start : start + LONGEST_LINE_BYTES].decode(errors="replace").rstrip("\r") for start in starts]
