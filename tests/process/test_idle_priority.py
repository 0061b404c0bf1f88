"""Spare time, as the kernel tells it."""

import os
import subprocess
import sys
from typing import Final

import pytest

from omnisonic.process.idle_priority import NICENESS, use_only_idle_time
from tests.processes import ended_with_block

DEADLINE_S: Final = 20.0
TOLD: Final = "input(); import os; print(os.sched_getscheduler(0), os.nice(0))"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows spare time")
def test_a_process_and_what_it_becomes_get_only_spare_time() -> None:
    """It comes after everybody else, and is the nicer for it."""
    become = f"import os, sys; os.execv(sys.executable, (sys.executable, '-c', {TOLD!r}))"
    command = (sys.executable, "-c", become)
    with ended_with_block(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ) as process:
        use_only_idle_time(process.pid)
        told, _ = process.communicate("\n", timeout=DEADLINE_S)
    assert told == f"{os.SCHED_IDLE} {min(os.nice(0) + NICENESS, 19)}\n"


def test_a_process_that_has_ended_needs_none() -> None:
    """Nor is that an error."""
    with ended_with_block(subprocess.Popen((sys.executable, "-c", ""))) as process:
        process.wait(DEADLINE_S)
    use_only_idle_time(process.pid)
