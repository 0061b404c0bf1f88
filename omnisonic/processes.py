"""Child processes that are kept up: started in order, restarted when they end, stopped in reverse order.

A child has a socket to its supervisor as standard input, its *lifeline*: a supervised part says `ready` on it once it
is in service, and ends by itself when it closes, so that a supervisor that is killed leaves nothing behind. Standard
output and error arrive here line by line. A child may also be a piece of work that is done once, before the next start.

Overload: a child that writes more than is read here waits in its `write`; `hear` must not block. Crash: a child that
ends unasked is started again with jittered backoff, until it has ended too often (`MAX_RESTARTS` within `WITHIN_S`);
then all of them are stopped and the caller is told. Shutdown: its stop signal (SIGTERM) to the last one started first,
the next when that is gone or after `STOP_STEP_S`, SIGKILL to whatever is left after `STOP_S`. Cancellation kills at
once.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import trio

from omnisonic.actors.supervisor import Backoff, ChildSpec, TooManyRestarts, supervise
from omnisonic.errors import OmnisonicError

MAX_RESTARTS: Final = 5
WITHIN_S: Final = 10.0
BACKOFF: Final = Backoff(first_s=0.1, longest_s=1.0)
START_S: Final = 30.0
"""A child that is not in service by then counts as crashed."""
STOP_S: Final = 9.0
"""Everything has ended by then, so that a stop takes less than 10 s (SPEC 1)."""
STOP_STEP_S: Final = 4.0
"""How long a child may take to stop before the next one is asked as well: a hung one must not use up all the time."""
LAST_WORDS_S: Final = 0.5
"""How long the output of an ended child is still read: something else may hold its pipe open."""
LONGEST_LINE_BYTES: Final = 65_536
READY: Final = b"ready\n"

Hear: TypeAlias = Callable[[str, str], None]
"""Is told each line of output: the child's name, and the line without its end."""


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


async def run_processes(
    specs: Sequence[ProcessSpec], *, hear: Hear, stop: trio.Event, started: Callable[[], None]
) -> None:
    """Start all of `specs` in order, call `started`, and keep them up until `stop` is set; then stop them.

    Call it from the program's main thread: children may be leashed to the thread that started them.
    Errors: `ProcessDied` when one cannot be started or ended too often. The others have been stopped by then.
    """
    processes: list[SupervisedProcess] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_in_reverse, stop, processes)
        for spec in specs:
            if not stop.is_set():
                processes.append(SupervisedProcess(spec, hear, stop))
                nursery.start_soon(processes[-1].keep_up)
                await processes[-1].settled.wait()
        if not stop.is_set():
            started()
    for process in processes:
        if process.failure is not None:
            raise process.failure


async def _stop_in_reverse(stop: trio.Event, processes: "list[SupervisedProcess]") -> None:
    await stop.wait()
    kill_at_s = trio.current_time() + STOP_S
    for process in reversed(processes):
        process.stop(kill_at_s)
        with trio.move_on_after(STOP_STEP_S):
            await process.ended.wait()


class SupervisedProcess:
    """One child and its successors, until `stop`, or until it has failed for good, which sets `stop_all`.

    `settled` is set once it is in service or has ended, `ended` once there is no child any more and will be none.
    `failure` says why, if it failed.
    """

    def __init__(self, spec: ProcessSpec, hear: Hear, stop_all: trio.Event) -> None:
        self.settled = trio.Event()
        self.ended = trio.Event()
        self.failure: ProcessDied | None = None
        self._spec = spec
        self._hear = hear
        self._stop_all = stop_all
        self._stopping = trio.Event()
        self._kill_at_s = 0.0

    def stop(self, kill_at_s: float) -> None:
        """Ask it to end, and kill it at `kill_at_s` (trio's clock)."""
        self._kill_at_s = kill_at_s
        self._stopping.set()

    async def keep_up(self) -> None:
        """Run the child and its successors. A failure is kept, not raised, so that the others can stop in order."""
        try:
            await supervise(ChildSpec(self._spec.name, self._run, MAX_RESTARTS, WITHIN_S, BACKOFF), self._report)
        except ProcessDied as crash:
            self.failure = crash
        except TooManyRestarts as crash:
            often = f"It ended more than {MAX_RESTARTS} times in {WITHIN_S:g} s, so everything is stopped."
            self.failure = ProcessDied(f"{crash.__cause__} {often}")
        finally:
            if self.failure is not None:
                self._stop_all.set()
            self.settled.set()
            self.ended.set()

    def _report(self, name: str, crash: BaseException, attempt: int) -> None:
        if attempt <= MAX_RESTARTS:
            self._hear(name, f"{crash} Starting it again.")

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        """One life of the child. Errors: `ProcessDied` unless its end was asked for."""
        if self._stopping.is_set():
            return
        child = _Child(self._spec)
        try:
            async with trio.open_nursery() as nursery:
                heard = trio.Event()
                nursery.start_soon(self._pass_on, child, heard)
                nursery.start_soon(self._announce, child, task_status)
                nursery.start_soon(self._end_when_told, child)
                await child.wait()
                with trio.move_on_after(LAST_WORDS_S):
                    await heard.wait()
                nursery.cancel_scope.cancel()
        finally:
            child.close()
        if not self._stopping.is_set() and not (self._spec.once and child.succeeded):
            raise ProcessDied(child.epitaph())

    async def _announce(self, child: "_Child", task_status: trio.TaskStatus[None]) -> None:
        with trio.move_on_after(self._spec.start_s) as starting, contextlib.suppress(trio.BrokenResourceError):
            if self._spec.once:
                await trio.sleep_forever()
            await self._spec.in_service(child.lifeline)
            task_status.started()
            self.settled.set()
        if starting.cancelled_caught:
            late = "not done" if self._spec.once else "not in service"
            child.kill(f"was {late} after {self._spec.start_s:g} s")

    async def _end_when_told(self, child: "_Child") -> None:
        await self._stopping.wait()
        child.terminate()
        await trio.sleep_until(self._kill_at_s)
        child.kill("did not stop in time")

    async def _pass_on(self, child: "_Child", heard: trio.Event) -> None:
        async for line in _lines(child.output):
            self._hear(self._spec.name, line)
        heard.set()


class _Child:
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

    def epitaph(self) -> str:
        """How it ended, as a sentence."""
        code = self._process.returncode
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"The {self._name} {self._reason or ended}."


async def _lines(output: trio.abc.ReceiveStream) -> AsyncIterator[str]:
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
