"""The supervisor of processes: starts children in order, restarts them when they exit, stops them in reverse order.

A child has a socket to its supervisor as standard input, the readiness pipe. A part of the studio sends `ready` on it
when it accepts work, then `alive` every second, and stops by itself when the pipe closes, so a killed supervisor leaves
nothing behind. Standard output and error arrive here line by line. A child may also be work that is done once, before
the next one starts.

Overload: a child that writes faster than its output is read waits in its `write`; `on_line` must not block.

Crash: a child that exits unexpectedly is restarted with jittered backoff. After more than `MAX_RESTARTS` within
`WITHIN_S` all children are stopped and `ProcessDied` is raised. A child that exits with a code before it is ready is
not restarted; one that is killed while it starts is.

Stuck: a child that is silent for too long (`omnisonic.operations.heartbeat`) is killed and restarted. After more than
`MAX_STUCK` times within `STUCK_WITHIN_S` all children are stopped.

Children of one group are started and stopped together, each of them restarted alone.

Shutdown: the last started group gets its stop signal first, the next one when that has exited, or has had `STOP_STEP_S`
or its share of the time that is left. So each has at least its share of `STOP_S`, and the first started, on which all
others depend, can write what it holds however long the others take. SIGKILL to what is left after `STOP_S`.
Cancellation kills at once.
"""

import contextlib
from collections.abc import Callable, Sequence
from itertools import chain, groupby
from typing import Final, TypeAlias

import trio

from omnisonic.actors.runtime.supervisor import Backoff, ChildSpec, RestartWindow, TooManyRestarts, supervise
from omnisonic.operations.child_process import Child, ProcessDied, ProcessSpec, read_lines
from omnisonic.operations.heartbeat import LOOK_S, Silence

MAX_RESTARTS: Final = 5
WITHIN_S: Final = 10.0
BACKOFF: Final = Backoff(first_s=0.1, longest_s=1.0)
MAX_STUCK: Final = 5
STUCK_WITHIN_S: Final = 300.0
STOP_S: Final = 9.0
"""All children have exited by then, so that a stop takes less than 10 s (SPEC 1)."""
STOP_STEP_S: Final = 4.0
"""How long one group may take at most to stop before the next one is asked, too."""
DRAIN_S: Final = 0.5
"""How long the output of an exited child is still read: another process may hold its pipe open."""

OnLine: TypeAlias = Callable[[str, str], None]
"""Called with a child's name and a line, without its end."""


async def run_processes(
    specs: Sequence[ProcessSpec],
    *,
    on_line: OnLine,
    stop: trio.Event,
    started: Callable[[], None],
    on_restart: OnLine | None = None,
) -> None:
    """Start all children in order, and supervise them until `stop` is set; then stop them.

    Call it from the program's main thread, because children may die with the thread that started them
    (`omnisonic.process.die_with_parent`).

    Args:
        specs: The children, in the order of their start.
        on_line: Called with each line of output.
        stop: Set it to stop all children.
        started: Called when all are ready.
        on_restart: Called with a sentence for each restart. Defaults to `on_line`.

    Raises:
        ProcessDied: A child could not be started, or exited too often. The others have been stopped.
    """
    groups: list[list[SupervisedProcess]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_in_reverse, stop, groups)
        for members in _grouped(specs):
            if not stop.is_set():
                groups.append([SupervisedProcess(spec, on_line, on_restart or on_line, stop) for spec in members])
                for process in groups[-1]:
                    nursery.start_soon(process.run)
                for process in groups[-1]:
                    await process.ready_or_ended.wait()
        if not stop.is_set():
            started()
    for process in chain.from_iterable(groups):
        if process.failure is not None:
            raise process.failure


def _grouped(specs: Sequence[ProcessSpec]) -> list[list[ProcessSpec]]:
    """The children that are started together, in the order of their start."""
    keyed = groupby(enumerate(specs), key=lambda each: each[1].group or each[0])
    return [[spec for _, spec in members] for _, members in keyed]


async def _stop_in_reverse(stop: trio.Event, groups: "list[list[SupervisedProcess]]") -> None:
    await stop.wait()
    kill_at_s = trio.current_time() + STOP_S
    running = [group for group in groups if not all(process.ended.is_set() for process in group)]
    while running:
        share_s = (kill_at_s - trio.current_time()) / len(running)
        group = running.pop()
        for process in group:
            process.stop(kill_at_s)
        with trio.move_on_after(min(STOP_STEP_S, share_s)):
            for process in group:
                await process.ended.wait()


class SupervisedProcess:
    """One child and its restarts, until `stop` or until it has failed for good, which sets `stop_all`.

    Attributes:
        ready_or_ended: Set when the child is ready for the first time, or `ended` is set.
        ended: Set when there is no child any more and there will be none.
        failure: Why it has failed for good, if it has.
    """

    def __init__(self, spec: ProcessSpec, on_line: OnLine, on_restart: OnLine, stop_all: trio.Event) -> None:
        self.ready_or_ended = trio.Event()
        self.ended = trio.Event()
        self.failure: ProcessDied | None = None
        self._spec = spec
        self._on_line = on_line
        self._on_restart = on_restart
        self._stop_all = stop_all
        self._stopping = trio.Event()
        self._kill_at_s = 0.0
        self._stuck_window = RestartWindow(MAX_STUCK, STUCK_WITHIN_S)

    def stop(self, kill_at_s: float) -> None:
        """Ask it to stop, and kill it at `kill_at_s` (trio's clock)."""
        self._kill_at_s = kill_at_s
        self._stopping.set()

    async def run(self) -> None:
        """Run the child and its restarts. Sets `failure` and raises nothing, so that the others can stop in order."""
        try:
            await supervise(ChildSpec(self._spec.name, self._run_once, MAX_RESTARTS, WITHIN_S, BACKOFF), self._report)
        except ProcessDied as crash:
            self.failure = crash
        except TooManyRestarts as crash:
            often = f"It ended more than {MAX_RESTARTS} times in {WITHIN_S:g} s, so everything is stopped."
            self.failure = ProcessDied(f"{crash.__cause__} {often}")
        finally:
            if self.failure is not None:
                self._stop_all.set()
            self.ready_or_ended.set()
            self.ended.set()

    def _report(self, name: str, crash: BaseException, attempt: int) -> None:
        if attempt <= MAX_RESTARTS:
            self._on_restart(name, f"{crash} Starting it again.")

    async def _run_once(self, task_status: trio.TaskStatus[None]) -> None:
        """Run one process until it exits. Raises `ProcessDied` unless it was stopped."""
        if self._stopping.is_set():
            return
        child = await Child.start(self._spec)
        try:
            async with trio.open_nursery() as nursery:
                all_read = trio.Event()
                nursery.start_soon(self._read_output, child, all_read)
                nursery.start_soon(self._watch, child, task_status)
                nursery.start_soon(self._stop_when_asked, child)
                await child.wait()
                with trio.move_on_after(DRAIN_S):
                    await all_read.wait()
                nursery.cancel_scope.cancel()
            said_ready = child.read_ready()
        finally:
            child.close()
        if self._stopping.is_set() or (self._spec.once and child.succeeded):
            return
        if child.is_stuck and not self._stuck_window.record_crash(trio.current_time()):
            often = f"That happened more than {MAX_STUCK} times in {STUCK_WITHIN_S:g} s, so everything is stopped."
            self.failure = ProcessDied(f"{child.exit_message()} {often}")
            return
        if said_ready or child.was_killed:
            task_status.started()  # killed, it is not to blame, so it is restarted even if it was not ready yet
        raise ProcessDied(child.exit_message())

    async def _watch(self, child: Child, task_status: trio.TaskStatus[None]) -> None:
        """Wait until the child is ready, then check its heartbeats. Kills it when it is late or stuck."""
        async with trio.open_nursery() as starting:
            starting.start_soon(self._kill_when_late, child)
            is_ready = await self._wait_until_ready(child)
            if is_ready:
                task_status.started()
                self.ready_or_ended.set()
            starting.cancel_scope.cancel()
        if is_ready and self._spec.silent_s is not None:
            with contextlib.suppress(trio.BrokenResourceError):
                await self._check_heartbeats(child, self._spec.silent_s)

    async def _wait_until_ready(self, child: Child) -> bool:
        """Wait until the child is ready. False when it closes its pipe instead."""
        if self._spec.once:
            await trio.sleep_forever()
        with contextlib.suppress(trio.BrokenResourceError):
            await self._spec.wait_ready(child.readiness_pipe)
            return True
        return False

    async def _kill_when_late(self, child: Child) -> None:
        """Kill the child when it has had `start_s` for its start.

        Time does not count while it waits for a CPU, or says itself that its start goes on.
        """
        start_s, silence = self._spec.start_s, Silence(trio.current_time(), child.waited_s())
        passed_s = 0.0
        while passed_s < start_s:
            await trio.sleep(min(LOOK_S, start_s))
            passed_s = silence.update(trio.current_time(), waited_s=child.waited_s(), is_traced=child.is_traced())
            if self._spec.is_starting():
                silence.reset()
                passed_s = 0.0
        child.kill(f"was {'not done' if self._spec.once else 'not ready'} after {start_s:g} s")

    async def _check_heartbeats(self, child: Child, silent_s: float) -> None:
        """Kill the child when it has been silent for `silent_s`. Returns when the child closes the pipe."""
        silence = Silence(trio.current_time(), child.waited_s())
        while not self._stopping.is_set():
            with trio.move_on_after(LOOK_S):
                if not await child.readiness_pipe.receive_some():
                    return
                silence.reset()
                continue
            waited_s, is_traced = child.waited_s(), child.is_traced()
            if silence.update(trio.current_time(), waited_s=waited_s, is_traced=is_traced) >= silent_s:
                child.is_stuck = True
                child.kill(f"did not respond for {silent_s:g} s")
                return

    async def _stop_when_asked(self, child: Child) -> None:
        await self._stopping.wait()
        child.terminate()
        await trio.sleep_until(self._kill_at_s)
        child.kill("did not stop in time")

    async def _read_output(self, child: Child, all_read: trio.Event) -> None:
        async for line in read_lines(child.output):
            self._on_line(self._spec.name, line)
        all_read.set()
