"""One child process of the supervisor: how it is started, its readiness pipe, its output, and how it exited.

A child is a program that is executed, or a fork of a process that has imported it (`omnisonic.operations.fork_server`).

A child has a socket to its supervisor as standard input, the readiness pipe. Standard output and error are one stream.

Overload: a child that writes faster than its output is read waits in its `write`. Crash: `exit_message` says how it
exited. Shutdown: `close` ends the process and closes its pipes.
"""

import contextlib
import math
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, Self, TypeAlias

import trio

from omnisonic.errors import OmnisonicError
from omnisonic.operations.heartbeat import READY

START_S: Final = 30.0
"""A child that is not ready within this time counts as crashed. Time that it waits for a CPU does not count."""
LONGEST_LINE_BYTES: Final = 65_536
_WAITING: Final = trio.CapacityLimiter(math.inf)
"""Each child has a thread that waits for it, as long as it lives. Trio's own limit of threads is for work that ends."""


class ProcessDied(OmnisonicError):
    """A child process exited unexpectedly, or could not be started."""

    code = "process_died"


async def wait_until_ready(readiness_pipe: trio.SocketStream) -> None:
    """Wait until the child sends `ready`. Does not return for a child that exits instead; the supervisor sees that."""
    if await readiness_pipe.receive_some(len(READY)) != READY:
        await trio.sleep_forever()


class Process(Protocol):
    """A started process: what is used of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """None until `wait` has returned. Below zero for a signal."""

    def wait(self) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


async def start_program(spec: "ProcessSpec", stdin: int, output: int) -> Process:
    """Execute the program. Raises `OSError`."""
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns when the program is executed
        spec.command,
        env=dict(spec.environ),
        stdin=stdin,
        stdout=output,
        stderr=output,
        pass_fds=spec.pass_fds,
        # Ctrl-C reaches all processes of the terminal's group, but only the supervisor handles it.
        process_group=0,
    )
    set_niceness(process.pid, spec.niceness)
    return process


def set_niceness(pid: int, added: int) -> None:
    """Add `added` to this process's own niceness for the process `pid`."""
    if added:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + added)


StartProcess: TypeAlias = Callable[["ProcessSpec", int, int], Awaitable[Process]]
"""Starts a process with these two file descriptors as its standard input and as its output. Raises `OSError`."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How to run one child process.

    Attributes:
        name: What its lines are printed under.
        command: The program and its arguments.
        environ: All of its environment.
        pass_fds: File descriptors that it inherits.
        wait_ready: Returns when the child does its work; called with our end of the readiness pipe.
        start_s: The child must be ready within this time.
        is_starting: Whether the child itself says that its start goes on. Such time does not count.
        once: Run it to its end before the next one starts: it must exit with code 0 within `start_s`.
        stop_signal: The signal that asks it to stop.
        niceness: Added to the supervisor's own niceness (setpriority(2)).
        group: Children of one group that follow each other are started together, and stopped together.
        silent_s: Restart a ready child that sends nothing on its readiness pipe for this long. None: it never sends.
        start: How it is started.

    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    pass_fds: tuple[int, ...] = ()
    wait_ready: Callable[[trio.SocketStream], Awaitable[None]] = wait_until_ready
    start_s: float = START_S
    is_starting: Callable[[], bool] = field(default=lambda: False)
    once: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    niceness: int = 0
    group: str | None = None
    silent_s: float | None = None
    start: StartProcess = start_program


class Child:
    """One running process, its readiness pipe and its output. Call `close` in the end."""

    def __init__(self, spec: ProcessSpec, process: Process, readiness_pipe: socket.socket, output: int) -> None:
        self._process = process
        self._name = spec.name
        self._stop_signal = spec.stop_signal
        self._reason = ""
        self.is_stuck = False
        """Whether it was killed because it did not respond."""
        self.readiness_pipe = trio.SocketStream(trio.socket.from_stdlib_socket(readiness_pipe))
        self.output = trio.lowlevel.FdStream(output)

    @classmethod
    async def start(cls, spec: ProcessSpec) -> Self:
        """Start the process. Raises `ProcessDied` when that is not possible."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            process = await spec.start(spec, theirs.fileno(), writing)
        except BaseException as problem:
            ours.close()
            os.close(reading)
            if isinstance(problem, OSError):
                raise ProcessDied(f"`{spec.name}` could not be started: {problem.strerror}.") from problem
            raise
        finally:
            theirs.close()
            os.close(writing)
        return cls(spec, process, ours, reading)

    async def wait(self) -> None:
        """Wait until the process has exited."""
        await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True, limiter=_WAITING)

    def read_ready(self) -> bool:
        """Whether it sent `ready` and that was not read before it exited. Call it when nobody else reads the pipe."""
        with contextlib.suppress(OSError):
            return os.read(self.readiness_pipe.socket.fileno(), len(READY)) == READY
        return False

    def terminate(self) -> None:
        """Ask it to stop, with its `stop_signal`."""
        self._process.send_signal(self._stop_signal)

    def kill(self, reason: str) -> None:
        """Kill it; `reason` completes `exit_message`, as in "did not stop in time"."""
        self._reason = reason
        self._process.kill()

    def close(self) -> None:
        """Kill it if it still runs, and close its pipes."""
        self._process.kill()
        self._process.wait()
        self.readiness_pipe.socket.close()
        self.output.close()

    @property
    def succeeded(self) -> bool:
        """Whether it has exited with code 0."""
        return self._process.returncode == 0

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it that the supervisor did not send."""
        code = self._process.returncode
        return code is not None and code < 0 and not self._reason

    def waited_s(self) -> float:
        """How long its main thread has waited for a CPU so far. 0 where the system does not say."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self._process.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return 0.0

    def is_traced(self) -> bool:
        """Whether a debugger is attached. False where the system does not say."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8", errors="replace")
            return any(line.split() != ["TracerPid:", "0"] for line in status.splitlines() if "TracerPid" in line)
        return False

    def exit_message(self) -> str:
        """How it exited, as a sentence: "`migrate` exited with code 1."."""
        code = self._process.returncode
        assert code is not None
        outcome = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return f"`{self._name}` {self._reason or outcome}."


async def read_lines(output: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """Read the lines of `output`. Bytes that are not UTF-8 are replaced, and an overlong line comes in pieces."""
    waiting = b""
    async for chunk in output:
        *whole, waiting = (waiting + chunk).split(b"\n")
        for line in whole:
            for piece in _split_long(line):
                yield piece
        while len(waiting) > LONGEST_LINE_BYTES:
            yield waiting[:LONGEST_LINE_BYTES].decode(errors="replace")
            waiting = waiting[LONGEST_LINE_BYTES:]
    if waiting:
        yield waiting.decode(errors="replace")


def _split_long(line: bytes) -> list[str]:
    starts = range(0, max(len(line), 1), LONGEST_LINE_BYTES)
    return [line[start : start + LONGEST_LINE_BYTES].decode(errors="replace").rstrip("\r") for start in starts]
