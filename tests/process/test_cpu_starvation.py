"""Processes that get no processor, and others that take as long, told from each other."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from omnisonic.process.cpu_priority import use_only_idle_time
from omnisonic.process.cpu_starvation import is_cpu_starved
from tests.busy_processor import FOR_EVER, busy_processor
from tests.cli.running import alive, children, eventually, status_of
from tests.processes import ended_with_block, send_signal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how its processes are")
PROMISED_S: Final = 10.0
WAITED_S: Final = 0.5


@contextmanager
def running(command: Sequence[str]) -> Iterator[int]:
    """A process that has only the time that nobody else wants."""
    with ended_with_block(subprocess.Popen(command, stdin=subprocess.PIPE)) as process:
        use_only_idle_time(process.pid)
        try:
            yield process.pid
        finally:
            for each in children(process.pid):
                send_signal(each, signal.SIGKILL)


def waited_s(pid: int) -> float:
    """For how long it was ready to run and did not."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def test_whoever_waits_for_a_busy_processor_starves() -> None:
    """Without a doubt: for ten seconds it will have had hardly any."""
    with busy_processor(), running(FOR_EVER) as pid:
        assert is_cpu_starved(pid, PROMISED_S)


def test_so_does_whoever_waits_for_one_that_starves() -> None:
    """The work is done by another, whose time counts, and whose end it waits for."""
    with running(("/bin/sh", "-c", "sh -c 'while :; do :; done' & wait")) as pid:
        eventually(lambda: not is_cpu_starved(pid, 0.2), what="the other has run for a tenth of a second")
        assert is_cpu_starved(pid, PROMISED_S)


def test_whoever_had_its_time_does_not() -> None:
    """It needs too much of it."""
    with running(FOR_EVER) as pid:
        eventually(lambda: not is_cpu_starved(pid, 0.2), what="it has run for a tenth of a second")
        assert is_cpu_starved(pid, PROMISED_S)


def test_whoever_sleeps_does_not() -> None:
    """It waits for something else."""
    with running(("cat",)) as pid:
        eventually(lambda: not is_cpu_starved(pid, PROMISED_S), what="it waits for its input")


def test_whoever_has_waited_for_most_of_the_time_does(tmp_path: Path) -> None:
    """Whatever it does at the moment at which it is looked at."""
    may_sleep = tmp_path / "may-sleep"
    with running(("/bin/sh", "-c", f"until [ -e {may_sleep} ]; do :; done; exec cat")) as pid:
        with busy_processor() as busy:
            os.sched_setaffinity(pid, os.sched_getaffinity(busy.pid))
            eventually(lambda: waited_s(pid) > 2 * WAITED_S, what="it has waited for a processor")
            may_sleep.touch()
        eventually(lambda: status_of(pid)[:1] == ["S"], what="it waits for its input")
        assert is_cpu_starved(pid, WAITED_S)
        assert not is_cpu_starved(pid, 1_000 * WAITED_S)


def test_whoever_has_ended_was_not_late_itself() -> None:
    """The one who waits for it was: be the process waited for or not."""
    with running(("true",)) as pid:
        eventually(lambda: not alive(pid), what="it has ended")
        assert is_cpu_starved(pid, PROMISED_S)
    assert is_cpu_starved(pid, PROMISED_S)
