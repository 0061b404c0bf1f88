"""Parts that stand still are started again; those that only seem to are left alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import pytest
import trio

from omnisonic.operations.child_process import ProcessDied, ProcessSpec
from omnisonic.operations.heartbeat import ABSENT_S, LOOK_S, SILENT_S, Silence
from omnisonic.operations.supervisor import MAX_STUCK, run_processes
from tests.cli.running import alive
from tests.operations.test_supervisor import DEADLINE_S, READY, UNTIL_REPORTED, Received, kept_up, spec
from tests.processes import send_signal

SILENT_WITHIN_S: Final = 1.0
BEATING: Final = (
    "import os, signal, threading; signal.signal(15, lambda *_: os._exit(0)); os.write(0, b'ready\\n'); "
    "print('up', os.getpid(), flush=True); never = threading.Event(); "
    "[(os.write(0, b'alive\\n'), never.wait(0.05)) for _ in iter(int, 1)]"
)
MUTE: Final = READY + "print('up', os.getpid(), flush=True); signal.pause()"
TRACER: Final = (
    "import ctypes, sys; pid = int(sys.argv[1]); libc = ctypes.CDLL(None, use_errno=True); "
    "print(libc.ptrace(0x4206, pid, None, None), flush=True); sys.stdin.read()"
)
"""PTRACE_SEIZE, and then nothing more: a debugger whose user thinks."""


def beating(name: str) -> ProcessSpec:
    """A part that says again and again that it goes on."""
    return replace(spec(name, BEATING), silent_s=SILENT_WITHIN_S)


@contextmanager
def traced(pid: int) -> Iterator[None]:
    """Another process is the debugger of `pid`, until the block ends."""
    command = [sys.executable, "-c", TRACER, str(pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:
        assert tracer.stdout is not None
        try:
            assert tracer.stdout.readline() == b"0\n"
            yield
        finally:
            tracer.kill()


def silent_for(silence: Silence, looks: int, *, waited_s: float = 0.0) -> float:
    """What comes of so many looks at the right times, during each of which a part waits `waited_s` for a processor."""
    silent_s = 0.0
    for look in range(1, looks + 1):
        silent_s = silence.update(look * LOOK_S, waited_s=look * waited_s)
    return silent_s


def test_silence_adds_up_until_something_is_said() -> None:
    """Ten seconds are twenty looks."""
    silence = Silence(0.0)
    assert silent_for(silence, 20) == SILENT_S
    silence.reset()
    assert silence.update(20 * LOOK_S + LOOK_S) == LOOK_S


def test_a_supervisor_that_was_not_there_begins_anew() -> None:
    """The laptop slept, or all of it was stopped and goes on: nobody could have been heard."""
    silence = Silence(0.0)
    assert silent_for(silence, 19) == 9.5
    assert silence.update(9.5 + ABSENT_S + 0.1) == 0.0
    assert silence.update(9.5 + ABSENT_S + 0.6) == 0.5


def test_waiting_for_a_processor_is_no_silence() -> None:
    """A part that others keep from running cannot speak, and another one could not either."""
    assert silent_for(Silence(0.0), 100, waited_s=LOOK_S) == 0.0
    assert silent_for(Silence(0.0), 20, waited_s=LOOK_S / 2) == SILENT_S / 2


def test_a_part_that_a_debugger_holds_is_not_silent() -> None:
    """However long its user thinks."""
    silence = Silence(0.0)
    assert silent_for(silence, 19) == 9.5
    assert silence.update(10.0, is_traced=True) == 0.0


async def test_a_part_that_stands_still_is_started_again() -> None:
    """Another process, while the others live on."""
    async with kept_up(beating("gateway"), beating("web")) as (received, _):
        assert send_signal(received.pids("gateway")[0], signal.SIGSTOP)
        await received.until(lambda: len(received.pids("gateway")) == 2)
        assert ("gateway", "`gateway` did not respond for 1 s. Starting it again.") in received.lines
        assert not alive(received.pids("gateway")[0])
        assert len(received.pids("web")) == 1


async def test_a_part_whose_loop_hangs_is_started_again() -> None:
    """It lives and runs, and does not say that it goes on."""
    async with kept_up(replace(spec("gateway", MUTE), silent_s=SILENT_WITHIN_S)) as (received, _):
        await received.until(lambda: len(received.pids("gateway")) == 2)


async def test_a_part_that_never_says_a_word_is_left_alone() -> None:
    """Servers of others have no heartbeat; one that has is started again meanwhile."""
    mute = replace(spec("gateway", MUTE), silent_s=SILENT_WITHIN_S)
    async with kept_up(spec("store", UNTIL_REPORTED), mute) as (received, _):
        await received.until(lambda: len(received.pids("gateway")) == 2)
        assert len(received.pids("store")) == 1


async def test_a_part_that_stands_still_too_often_stops_everything() -> None:
    """Starting it again has not mended it, so somebody has to look."""
    received = Received()
    mute = replace(spec("gateway", MUTE), silent_s=0.1)
    with trio.fail_after(DEADLINE_S), pytest.raises(ProcessDied) as caught:
        await run_processes(
            [spec("store", UNTIL_REPORTED), mute], on_line=received, stop=trio.Event(), started=lambda: None
        )
    assert caught.value.message == (
        "`gateway` did not respond for 0.1 s. That happened more than 5 times in 300 s, so everything is stopped."
    )
    assert len(received.pids("gateway")) == MAX_STUCK + 1
    assert received.lines[-1] == ("store", "bye")


@pytest.mark.skipif(sys.platform != "linux", reason="ptrace(2) as it is here is Linux's")
async def test_a_part_in_a_debugger_is_not_started_again() -> None:
    """It stands still for as long as its user thinks; what is beside it and stands still is started again."""
    async with kept_up(beating("web"), beating("gateway")) as (received, _):
        pid = received.pids("web")[0]
        with traced(pid):
            assert send_signal(pid, signal.SIGSTOP)
            assert send_signal(received.pids("gateway")[0], signal.SIGSTOP)
            await received.until(lambda: len(received.pids("gateway")) == 2)
            assert alive(pid)
            assert len(received.pids("web")) == 1
        assert send_signal(pid, signal.SIGCONT)


async def test_a_part_that_is_killed_while_it_starts_is_started_again() -> None:
    """And those after it wait for it to be in service."""
    flag, theirs = os.pipe()
    first = (
        "import os, signal; "
        f"first = os.read({flag}, 1) == b'1'; "
        "first and os.kill(os.getpid(), signal.SIGKILL); " + UNTIL_REPORTED
    )
    os.write(theirs, b"12")
    part = replace(spec("gateway", first), pass_fds=(flag,))
    async with kept_up(part, spec("web", UNTIL_REPORTED)) as (received, _):
        assert [name for name, _ in received.lines] == ["gateway", "gateway", "web"]
        assert received.lines[0][1] == "`gateway` was killed by SIGKILL. Starting it again."
    os.close(flag)
    os.close(theirs)


async def test_work_that_is_killed_is_done_again() -> None:
    """What needs it done starts only then."""
    flag, theirs = os.pipe()
    program = (
        f"import os, signal; first = os.read({flag}, 1) == b'1'; "
        "first and os.kill(os.getpid(), signal.SIGKILL); print('done')"
    )
    os.write(theirs, b"12")
    work = replace(spec("work", program), pass_fds=(flag,), once=True)
    async with kept_up(work, spec("web", UNTIL_REPORTED)) as (received, _):
        assert [name for name, _ in received.lines] == ["work", "work", "web"]
        assert received.lines[1] == ("work", "done")
    os.close(flag)
    os.close(theirs)
