"""Time slices, as the kernel tells them (sched_getattr(2))."""

import os
import platform
import re
import subprocess
import sys

import pytest

from omnisonic.process.time_slice import SHORTEST_S

SEEN = """
import ctypes, os, struct, sys, threading
from omnisonic.process.time_slice import shorten_time_slice

def told():
    room = ctypes.create_string_buffer(56)
    assert ctypes.CDLL(None).syscall(int(sys.argv[1]), 0, room, 56, 0) == 0
    fields = struct.unpack("=IIQiIQQQII", room.raw)
    print(fields[1], fields[3], fields[5])

os.nice(3)
assert shorten_time_slice() is True
told()
later = threading.Thread(target=told)
later.start()
later.join()
"""
SCHED_GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275}


def kernel() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in SCHED_GETATTR or kernel() < (6, 12),
    reason="time slices of one's own need Linux 6.12 on x86-64, ARM64 or RISC-V",
)
def test_a_thread_and_those_it_starts_get_short_slices() -> None:
    """The slice is the wanted one, in later threads too, and neither the policy nor the niceness has changed."""
    number = str(SCHED_GETATTR[platform.machine()])
    ran = subprocess.run([sys.executable, "-c", SEEN, number], capture_output=True, text=True, check=True)
    expected = f"{os.SCHED_OTHER} {min(os.nice(0) + 3, 19)} {SHORTEST_S * 1e9:.0f}"
    assert ran.stdout.splitlines() == [expected, expected]
