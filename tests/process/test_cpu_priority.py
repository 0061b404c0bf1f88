"""CPU priority: what the kernel says about it (sched_getscheduler(2), sched_getattr(2))."""

import os
import platform
import re
import subprocess
import sys
from typing import Final

import pytest

from omnisonic.process.cpu_priority import NICENESS, SHORTEST_S, use_only_idle_time
from tests.processes import ended_with_block

DEADLINE_S: Final = 20.0
BECOME_CAT: Final = ("/bin/sh", "-c", "read _; exec cat /proc/self/stat")
PRINT_SLICES: Final = """
import ctypes, os, struct, sys, threading
from omnisonic.process.cpu_priority import shorten_time_slice

def print_attributes():
    buffer = ctypes.create_string_buffer(56)
    assert ctypes.CDLL(None).syscall(int(sys.argv[1]), 0, buffer, 56, 0) == 0
    fields = struct.unpack("=IIQiIQQQII", buffer.raw)
    print(fields[1], fields[3], fields[5])

os.nice(3)
assert shorten_time_slice() is True
print_attributes()
later = threading.Thread(target=print_attributes)
later.start()
later.join()
"""
SCHED_GETATTR: Final = {"x86_64": 315, "aarch64": 275, "riscv64": 275}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SCHED_IDLE")
def test_a_process_and_what_it_becomes_get_only_idle_time() -> None:
    """Its policy is SCHED_IDLE, and its niceness is higher. What it becomes is small: idle time may be rare."""
    with ended_with_block(
        subprocess.Popen(BECOME_CAT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ) as process:
        use_only_idle_time(process.pid)
        printed, _ = process.communicate("\n", timeout=DEADLINE_S)
    fields = printed.rpartition(")")[2].split()  # from the third on (proc_pid_stat(5))
    assert printed.startswith(f"{process.pid} (cat)")
    assert int(fields[41 - 3]) == os.SCHED_IDLE
    assert int(fields[19 - 3]) == min(os.nice(0) + NICENESS, 19)


def test_a_process_that_has_ended_needs_none() -> None:
    """That is no error."""
    with ended_with_block(subprocess.Popen((sys.executable, "-c", ""))) as process:
        process.wait(DEADLINE_S)
    use_only_idle_time(process.pid)


def kernel() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in SCHED_GETATTR or kernel() < (6, 12),
    reason="time slices of one's own need Linux 6.12 on x86-64, ARM64 or RISC-V",
)
def test_a_thread_and_those_it_starts_get_short_slices() -> None:
    """The slice is the wanted one, in later threads too, and neither the policy nor the niceness has changed."""
    number = str(SCHED_GETATTR[platform.machine()])
    ran = subprocess.run([sys.executable, "-c", PRINT_SLICES, number], capture_output=True, text=True, check=True)
    expected = f"{os.SCHED_OTHER} {min(os.nice(0) + 3, 19)} {SHORTEST_S * 1e9:.0f}"
    assert ran.stdout.splitlines() == [expected, expected]
