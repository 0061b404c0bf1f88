"""Child processes that are kept up, with real children: small programs that do one thing wrong each."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from omnisonic.operations.child_process import LONGEST_LINE_BYTES, Child, ProcessDied, ProcessSpec, wait_until_ready
from omnisonic.operations.supervisor import STOP_S, STOP_STEP_S, run_processes
from tests.cli.running import alive
from tests.processes import send_signal

DEADLINE_S: Final = 30.0
MANY: Final = 42
"""More children than trio has threads, which are 40."""

READY: Final = "import os, signal, sys; os.write(0, b'ready\\n'); "
UNTIL_REPORTED: Final = (
    "import os, signal; signal.signal(15, lambda *_: (os.write(1, b'bye\\n'), os._exit(0))); "
    "print('up', os.getpid(), flush=True); os.write(0, b'ready\\n'); os.read(0, 1); print('alone', flush=True)"
)
DEAF: Final = READY + "signal.signal(15, signal.SIG_IGN); print('up', os.getpid(), flush=True); signal.pause()"


MEETING: Final = (
    "import os, signal, sys, time; own, other = sys.argv[1:]\n"
    "def meet(when):\n"
    "    open(own + when, 'w').close()\n"
    "    while not os.path.exists(other + when): time.sleep(0.01)\n"
    "signal.signal(15, lambda *_: (meet('stop'), os._exit(0)))\n"
    "meet('start'); os.write(0, b'ready\\n')\n"
    "while True: signal.pause()"
)
"""A child that is ready when the other one has started, and ends when the other one was told to stop."""


class Received:
    """What the children said, as (name, line)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = trio.Event()

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._more.set()
        self._more = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds of what was heard."""
        while not condition():
            await self._more.wait()

    def pids(self, name: str) -> list[int]:
        """The process ids that children of this name announced."""
        return [int(line.split()[1]) for who, line in self.lines if who == name and line.startswith("up ")]


def spec(name: str, program: str, **environ: str) -> ProcessSpec:
    """A child that runs a line of Python."""
    return ProcessSpec(name, (sys.executable, "-S", "-E", "-c", program), environ)


@asynccontextmanager
async def kept_up(*specs: ProcessSpec) -> AsyncIterator[tuple[Received, trio.Event]]:
    """These children, in service; stopped in order with the block. Errors: what `run_processes` raises."""
    received, stop, started = Received(), trio.Event(), trio.Event()

    async def run() -> None:
        await run_processes(specs, on_line=received, stop=stop, started=started.set)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await started.wait()
            talkative = [child.name for child in specs if "'up'" in child.command[-1]]
            await received.until(lambda: all(received.pids(name) for name in talkative))
            yield received, stop
            stop.set()


async def failure_of(*specs: ProcessSpec) -> tuple[str, Received]:
    """The sentence with which these children fail, and what was heard."""
    received = Received()
    with trio.fail_after(DEADLINE_S), pytest.raises(ProcessDied) as caught:
        await run_processes(specs, on_line=received, stop=trio.Event(), started=lambda: None)
    return caught.value.message, received


async def test_children_start_in_order_and_stop_in_reverse() -> None:
    """What others depend on starts first and stops last."""
    async with kept_up(spec("store", UNTIL_REPORTED), spec("gateway", UNTIL_REPORTED), spec("web", UNTIL_REPORTED)) as (
        received,
        _,
    ):
        assert [name for name, _ in received.lines] == ["store", "gateway", "web"]
    assert received.lines[3:] == [("web", "bye"), ("gateway", "bye"), ("store", "bye")]


async def test_as_many_children_as_there_are_are_started_again() -> None:
    """More than trio has threads: the end of each is seen, and there are threads left for other work."""
    many = [spec(f"web {number}", UNTIL_REPORTED) for number in range(MANY)]
    async with kept_up(*many) as (received, _):
        for child in many:
            assert send_signal(received.pids(child.name)[0], signal.SIGKILL)
        await received.until(lambda: all(len(received.pids(child.name)) == 2 for child in many))
        assert await trio.to_thread.run_sync(os.getpid) == os.getpid()


async def test_a_killed_child_is_started_again_while_the_others_live_on() -> None:
    """One for one."""
    async with kept_up(spec("gateway", UNTIL_REPORTED), spec("web", UNTIL_REPORTED)) as (received, _):
        assert send_signal(received.pids("gateway")[0], signal.SIGKILL)
        await received.until(lambda: len(received.pids("gateway")) == 2)
        assert ("gateway", "`gateway` was killed by SIGKILL. Starting it again.") in received.lines
        assert len(received.pids("web")) == 1
        assert alive(received.pids("web")[0])


async def test_a_child_that_ends_by_itself_is_started_again_too() -> None:
    """Even with exit code 0: nobody asked it to."""
    async with kept_up(spec("web", UNTIL_REPORTED)) as (received, _):
        assert send_signal(received.pids("web")[0], signal.SIGTERM)
        await received.until(lambda: len(received.pids("web")) == 2)
        assert ("web", "`web` exited with code 0. Starting it again.") in received.lines


async def never(_pipe: trio.SocketStream) -> None:
    """Read nothing from a readiness pipe, as somebody who is late."""
    await trio.sleep_forever()


@pytest.mark.parametrize("read", [wait_until_ready, never])
async def test_a_child_that_ends_too_often_stops_everything(
    read: Callable[[trio.SocketStream], Awaitable[None]],
) -> None:
    """Restarting has not mended it five times, so somebody has to look. Also when each ends before `ready` is read."""
    web = replace(spec("web", READY + "sys.exit(3)"), wait_ready=read)
    message, received = await failure_of(spec("store", UNTIL_REPORTED), web)
    assert message == ("`web` exited with code 3. It ended more than 5 times in 10 s, so everything is stopped.")
    assert received.lines.count(("web", "`web` exited with code 3. Starting it again.")) == 5
    assert received.lines[-1] == ("store", "bye")


async def test_a_child_that_cannot_start_is_not_tried_again() -> None:
    """Restarting cannot mend it; its own words come through, and those before it are stopped."""
    program = "import sys; print('no such setting', file=sys.stderr); sys.exit(2)"
    message, received = await failure_of(spec("store", UNTIL_REPORTED), spec("web", program))
    assert message == "`web` exited with code 2."
    assert received.lines[1:] == [("web", "no such setting"), ("store", "bye")]


async def test_work_that_is_done_once_comes_before_those_who_need_it() -> None:
    """The next starts when it is done; it is not started again, and it is not asked to stop."""
    work = replace(spec("work", "print('done')"), once=True)
    async with kept_up(spec("store", UNTIL_REPORTED), work, spec("web", UNTIL_REPORTED)) as (received, _):
        assert [name for name, _ in received.lines] == ["store", "work", "web"]
    assert received.lines[1] == ("work", "done")
    assert received.lines[3:] == [("web", "bye"), ("store", "bye")]


async def test_work_that_fails_stops_everything() -> None:
    """Whoever needs it done is never started."""
    work = replace(spec("work", "import sys; print('no room'); sys.exit(1)"), once=True)
    message, received = await failure_of(spec("store", UNTIL_REPORTED), work, spec("web", UNTIL_REPORTED))
    assert message == "`work` exited with code 1."
    assert received.lines[1:] == [("work", "no room"), ("store", "bye")]


async def test_work_that_is_never_done_counts_as_failed() -> None:
    """It has its time, too."""
    work = replace(spec("work", "import signal; signal.pause()"), once=True, start_s=0.2)
    message, _ = await failure_of(work)
    assert message == "`work` was not done after 0.2 s."


async def test_a_command_that_does_not_exist_is_a_sentence() -> None:
    """Rather than a traceback."""
    message, _ = await failure_of(ProcessSpec("web", ("/no/such/command",), {}))
    assert message == "`web` could not be started: No such file or directory."


async def test_a_stop_while_a_child_starts_is_obeyed() -> None:
    """Ctrl-C does not have to wait for a start that hangs."""
    received, stop = Received(), trio.Event()
    starting = spec("web", UNTIL_REPORTED.replace("ready", "later"))
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: run_processes([starting], on_line=received, stop=stop, started=lambda: None))
            await received.until(lambda: bool(received.pids("web")))
            stop.set()
    assert received.lines[-1] == ("web", "bye")


@pytest.mark.timing
async def test_a_child_that_does_not_stop_is_killed_in_time(mock_clock: MockClock) -> None:
    """And the others have been asked before, so that one hung child does not use up their time."""
    async with kept_up(spec("store", UNTIL_REPORTED), spec("web", DEAF)) as (received, stop):
        begun_s = trio.current_time()
        mock_clock.rate = 20
        stop.set()
        await received.until(lambda: ("store", "bye") in received.lines)
        assert trio.current_time() - begun_s < 9
        assert alive(received.pids("web")[0])
    assert trio.current_time() - begun_s < 11
    assert not alive(received.pids("web")[0])


@pytest.mark.timing
async def test_those_that_stop_last_have_their_time_however_long_the_others_take(mock_clock: MockClock) -> None:
    """A database has to write what it holds. Three before it do not stop at all."""
    others = [spec(name, DEAF) for name in ("gateway", "web", "worker")]
    async with kept_up(spec("store", UNTIL_REPORTED), *others) as (received, stop):
        begun_s = trio.current_time()
        mock_clock.rate = 3
        stop.set()
        await received.until(lambda: ("store", "bye") in received.lines)
        assert trio.current_time() - begun_s < STOP_S - 1
    assert trio.current_time() - begun_s < 11


async def test_a_child_that_never_gets_ready_counts_as_failed() -> None:
    """A start has its time."""
    silent = replace(spec("web", "import signal; signal.pause()"), start_s=0.2)
    message, _ = await failure_of(silent)
    assert message == "`web` was not ready after 0.2 s."


async def test_a_start_that_says_that_it_goes_on_is_not_late() -> None:
    """A database recovers for as long as it takes. Once it says so no more, it has its time."""
    looks = 0

    def is_starting() -> bool:
        nonlocal looks
        looks += 1
        return looks < 4

    silent = replace(spec("db", "import signal; signal.pause()"), start_s=0.2, is_starting=is_starting)
    began_s = trio.current_time()
    message, _ = await failure_of(silent)
    assert message == "`db` was not ready after 0.2 s."
    assert looks >= 4
    assert trio.current_time() - began_s >= 4 * 0.2


async def test_a_start_that_waits_for_a_processor_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes it slow, and it has its whole time nevertheless: here it waits for three times as long."""
    received, looks = Received(), 0

    def always_waited_s(_child: Child) -> float:
        nonlocal looks
        looks += 1
        if looks == 4:
            assert send_signal(received.pids("web")[0], signal.SIGUSR1)
        return trio.current_time()

    monkeypatch.setattr(Child, "waited_s", always_waited_s)
    program = UNTIL_REPORTED.replace("os.write(0,", "signal.sigwait({10}); os.write(0,")
    starting = replace(spec("web", "import signal; signal.pthread_sigmask(0, {10}); " + program), start_s=0.2)
    stop, started = trio.Event(), trio.Event()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: run_processes([starting], on_line=received, stop=stop, started=started.set))
            await started.wait()
            stop.set()
    assert received.lines[-1] == ("web", "bye")
    assert looks >= 4


async def test_cancellation_kills_at_once() -> None:
    """The second Ctrl-C: nobody is asked any more."""
    received, started = Received(), trio.Event()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                lambda: run_processes([spec("web", DEAF)], on_line=received, stop=trio.Event(), started=started.set)
            )
            await started.wait()
            await received.until(lambda: bool(received.pids("web")))
            nursery.cancel_scope.cancel()
    assert not alive(received.pids("web")[0])


async def test_output_comes_line_by_line_whatever_it_is() -> None:
    """Standard output and error, no line end at the end, bad UTF-8, and a line without end."""
    program = READY + (
        "os.write(1, b'one\\r\\ntw'); os.write(2, b'o\\n\\xff\\n'); "
        f"os.write(1, b'x' * {LONGEST_LINE_BYTES + 5} + b'\\nlast'); os._exit(0)"
    )
    _, received = await failure_of(spec("web", program))
    first = [line for _, line in received.lines[:6]]
    assert first == ["one", "two", "\ufffd", "x" * LONGEST_LINE_BYTES, "xxxxx", "last"]


async def test_a_child_gets_its_environment_and_its_sockets_and_nothing_else() -> None:
    """Secrets of one part are not another's, and no descriptor leaks."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        fd = listener.fileno()
        program = (
            "import os, socket; os.write(0, b'ready\\n'); "
            f"print(dict(os.environ).get('ROOM'), 'HOME' in os.environ, socket.socket(fileno={fd}).getsockname()[1]); "
            f"print(os.path.exists('/dev/fd/{other.fileno()}'), flush=True); os.read(0, 1)"
        )
        child = ProcessSpec("web", (sys.executable, "-c", program), {"ROOM": "jam"}, pass_fds=(fd,))
        async with kept_up(child) as (received, _):
            await received.until(lambda: len(received.lines) == 2)
            assert [line for _, line in received.lines] == [f"jam False {listener.getsockname()[1]}", "False"]


async def test_a_child_comes_behind_the_others_by_its_niceness() -> None:
    """And with it the threads that it starts."""
    program = (
        "import os, threading; threads = []; "
        "thread = threading.Thread(target=lambda: threads.append(os.getpriority(os.PRIO_PROCESS, 0))); "
        "thread.start(); thread.join(); os.write(0, b'ready\\n'); "
        "print(os.getpriority(os.PRIO_PROCESS, 0), *threads, flush=True); os.read(0, 1)"
    )
    own = os.getpriority(os.PRIO_PROCESS, 0)
    async with kept_up(spec("rooms", program), replace(spec("pages", program), niceness=3)) as (received, _):
        await received.until(lambda: len(received.lines) == 2)
        assert received.lines == [("rooms", f"{own} {own}"), ("pages", f"{own + 3} {own + 3}")]


async def test_children_of_a_group_start_and_stop_together(tmp_path: Path) -> None:
    """Each waits for the other one, and neither waits in vain; the others keep their order."""
    names = [str(tmp_path / name) for name in "ab"]
    pair = [
        replace(
            spec(f"pair {own[-1]}", MEETING), command=(sys.executable, "-S", "-E", "-c", MEETING, own, other), group="g"
        )
        for own, other in (names, names[::-1])
    ]
    async with kept_up(spec("first", UNTIL_REPORTED), *pair, spec("last", UNTIL_REPORTED)) as (received, stop):
        assert received.pids("last")
        with trio.fail_after(STOP_STEP_S - 0.5):
            stop.set()
            await received.until(lambda: ("first", "bye") in received.lines)
    assert [line for line in received.lines if line[1] == "bye"] == [("last", "bye"), ("first", "bye")]
