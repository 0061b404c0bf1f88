"""Child processes that are kept up: started in order, restarted when they end, stopped in reverse order.

A child has a socket to its supervisor as standard input, its *lifeline*: a supervised part says `ready` on it once it
is in service, then `alive` again and again, and ends by itself when it closes, so that a supervisor that is killed
leaves nothing behind. Standard output and error arrive here line by line. A child may also be a piece of work that is
done once, before the next start.

Overload: a child that writes more than is read here waits in its `write`; `hear` must not block. Crash: a child that
ends unasked is started again with jittered backoff, until it has ended too often (`MAX_RESTARTS` within `WITHIN_S`);
then all of them are stopped and the caller is told. One that cannot start because of itself, and ends with an exit
code, is not started again; one that is killed while it starts is. Stand-still: a child that is silent for too long
(`omnisonic.operations.heartbeat`) is killed and started again, until that has happened too often (`MAX_STILL` within
`STILL_WITHIN_S`). Shutdown: its stop signal (SIGTERM) to the last one started first,
the next when that is gone or after `STOP_STEP_S`, SIGKILL to whatever is left after `STOP_S`. Cancellation kills at
once.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import trio

from omnisonic.actors.runtime.supervisor import Backoff, ChildSpec, RestartWindow, TooManyRestarts, supervise
from omnisonic.operations.child_process import Child, ProcessDied, ProcessSpec, lines
from omnisonic.operations.heartbeat import LOOK_S, Silence

MAX_RESTARTS: Final = 5
WITHIN_S: Final = 10.0
BACKOFF: Final = Backoff(first_s=0.1, longest_s=1.0)
MAX_STILL: Final = 5
STILL_WITHIN_S: Final = 300.0
STOP_S: Final = 9.0
"""Everything has ended by then, so that a stop takes less than 10 s (SPEC 1)."""
STOP_STEP_S: Final = 4.0
"""How long a child may take to stop before the next one is asked as well: a hung one must not use up all the time."""
LAST_WORDS_S: Final = 0.5
"""How long the output of an ended child is still read: something else may hold its pipe open."""

Hear: TypeAlias = Callable[[str, str], None]
"""Is told each line of output: the child's name, and the line without its end. Also what became of a child."""


async def run_processes(
    specs: Sequence[ProcessSpec],
    *,
    hear: Hear,
    stop: trio.Event,
    started: Callable[[], None],
    report: Hear | None = None,
) -> None:
    """Start all of `specs` in order, call `started`, and keep them up until `stop` is set; then stop them.

    `report` is told, in a sentence, of each child that is started again; without it `hear` is.

    Call it from the program's main thread: children may be leashed to the thread that started them.
    Errors: `ProcessDied` when one cannot be started or ended too often. The others have been stopped by then.
    """
    processes: list[SupervisedProcess] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_in_reverse, stop, processes)
        for spec in specs:
            if not stop.is_set():
                processes.append(SupervisedProcess(spec, hear, report or hear, stop))
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

    def __init__(self, spec: ProcessSpec, hear: Hear, report: Hear, stop_all: trio.Event) -> None:
        self.settled = trio.Event()
        self.ended = trio.Event()
        self.failure: ProcessDied | None = None
        self._spec = spec
        self._hear = hear
        self._tell = report
        self._stop_all = stop_all
        self._stopping = trio.Event()
        self._kill_at_s = 0.0
        self._stood_still = RestartWindow(MAX_STILL, STILL_WITHIN_S)

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
            self._tell(name, f"{crash} Starting it again.")

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        """One life of the child. Errors: `ProcessDied` unless its end was asked for."""
        if self._stopping.is_set():
            return
        child = Child(self._spec)
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
        if self._stopping.is_set() or (self._spec.once and child.succeeded):
            return
        if child.stood_still and not self._stood_still.record_crash(trio.current_time()):
            often = f"It did so more than {MAX_STILL} times in {STILL_WITHIN_S:g} s, so everything is stopped."
            self.failure = ProcessDied(f"{child.epitaph()} {often}")
            return
        if child.was_killed:
            task_status.started()  # not its own fault, however far it had come: it may be started again
        raise ProcessDied(child.epitaph())

    async def _announce(self, child: Child, task_status: trio.TaskStatus[None]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            with trio.move_on_after(self._spec.start_s) as starting:
                if self._spec.once:
                    await trio.sleep_forever()
                await self._spec.in_service(child.lifeline)
                task_status.started()
                self.settled.set()
            if starting.cancelled_caught:
                late = "not done" if self._spec.once else "not in service"
                child.kill(f"was {late} after {self._spec.start_s:g} s")
            elif self._spec.silent_s is not None:
                await self._listen(child, self._spec.silent_s)

    async def _listen(self, child: Child, silent_s: float) -> None:
        """Kill the child when it has been silent for `silent_s`. Returns when it has closed its end, as one does."""
        silence = Silence(trio.current_time(), child.waited_s())
        while not self._stopping.is_set():
            with trio.move_on_after(LOOK_S):
                if not await child.lifeline.receive_some():
                    return
                silence.heard()
                continue
            waited_s, is_traced = child.waited_s(), child.is_traced()
            if silence.look(trio.current_time(), waited_s=waited_s, is_traced=is_traced) >= silent_s:
                child.stood_still = True
                child.kill(f"stood still for {silent_s:g} s")
                return

    async def _end_when_told(self, child: Child) -> None:
        await self._stopping.wait()
        child.terminate()
        await trio.sleep_until(self._kill_at_s)
        child.kill("did not stop in time")

    async def _pass_on(self, child: Child, heard: trio.Event) -> None:
        async for line in lines(child.output):
            self._hear(self._spec.name, line)
        heard.set()
