"""seccomp: gives up all system calls but a few (seccomp(2)). Linux, on the machines in `MACHINES`.

A process may still use open files, memory, threads and time, and exit. No call opens a file or a socket, starts a
process or a program, or inspects another process; signals go only to itself and to the processes in `may_signal`. All
other calls, also those of later kernels, fail with EACCES. A call of another architecture ends the process with SIGSYS.

Crash and shutdown: the filter cannot be removed before the process ends.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

ALLOWED: Final = {
    # Open files.
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "ftruncate": (77, 46),
    "close": (3, 57),
    "ppoll": (271, 73),
    # Memory.
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    # Threads, and what libraries need for them.
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "gettid": (186, 178),
    "getpid": (39, 172),
    # Time and random numbers.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "getrandom": (318, 278),
    # Received signals, and exit.
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "wait4": (61, 260),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
"""Calls that are allowed with any arguments, with their numbers on x86_64 and on the other machines."""
KILL: Final = (62, 129)
TGKILL: Final = (234, 131)
PRLIMIT64: Final = (302, 261)
FCNTL: Final = (72, 25)
NEWFSTATAT: Final = (262, 79)
CLONE: Final = (56, 220)
CLONE3: Final = (435, 435)
"""A filter cannot see its flags, so it is refused, and the C library uses clone instead."""

DESCRIPTOR_COMMANDS: Final = (0, 1, 2, 3, 1030)
"""Commands of fcntl(2) that duplicate a descriptor or change its flags, but not those that send signals."""
EMPTY_PATH: Final = 0x1000
NEW_THREAD: Final = 0x10000
NEW_NAMESPACES: Final = 0x7E02_0000

MACHINES: Final = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1), "riscv64": (0xC000_00F3, 1)}
"""The number of each in audit(7), and which column of system call numbers it uses."""
SET_MODE_FILTER: Final = 1
GET_ACTION_AVAILABLE: Final = 2
SECCOMP: Final = (317, 277)

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _REFUSE, _END = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT, _ARGUMENT_BYTES = 0, 4, 16, 8
_INSTRUCTION: Final = struct.Struct("=HBBI")


class Step(NamedTuple):
    """One instruction of a filter: its code, how many instructions it skips if true and if false, and a number."""

    does: int
    if_so: int = 0
    if_not: int = 0
    number: int = 0


ALLOW: Final = Step(_RETURN, number=_ALLOW)
REFUSE: Final = Step(_RETURN, number=_REFUSE | errno.EACCES)


def has_seccomp() -> bool:
    """Whether this kernel has seccomp filters, and this module knows the machine."""
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None or sys.maxsize < 2**32:
        return False
    action = ctypes.byref(ctypes.c_uint32(_REFUSE))
    return bool(ctypes.CDLL(None).syscall(SECCOMP[machine[1]], GET_ACTION_AVAILABLE, 0, action) == 0)


def forbid_calls(may_signal: Iterable[int] = ()) -> None:
    """Give up all other system calls, in this thread and those that it will start.

    `may_signal` are the processes that it may still signal. `no_new_privs` must be set. Raises `OSError`.
    """
    audit, column = MACHINES[platform.machine()]
    program = b"".join(_INSTRUCTION.pack(*step) for step in _filter(audit, column, [os.getpid(), *may_signal]))
    steps = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(SECCOMP[column], SET_MODE_FILTER, 0, head) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _filter(audit: int, column: int, may_signal: Sequence[int]) -> list[Step]:
    steps = [Step(_LOAD, number=_MACHINE_AT), Step(_EQUAL, 1, 0, audit), Step(_RETURN, number=_END)]
    steps.append(Step(_LOAD, number=_NUMBER_AT))
    for numbers in ALLOWED.values():
        steps += _on(numbers[column], [ALLOW])
    for numbers in (KILL, TGKILL):
        steps += _on(numbers[column], _if_one_of(0, may_signal))
    steps += _on(PRLIMIT64[column], _if_one_of(0, [0]))
    steps += _on(FCNTL[column], _if_one_of(1, DESCRIPTOR_COMMANDS))
    steps += _on(NEWFSTATAT[column], [_argument(3), Step(_ANY_BIT, 0, 1, EMPTY_PATH), ALLOW, REFUSE])
    threads_only = [Step(_ANY_BIT, 0, 2, NEW_THREAD), Step(_ANY_BIT, 1, 0, NEW_NAMESPACES), ALLOW, REFUSE]
    steps += _on(CLONE[column], [_argument(0), *threads_only])
    steps += _on(CLONE3[column], [Step(_RETURN, number=_REFUSE | errno.ENOSYS)])
    return [*steps, REFUSE]


def _on(number: int, then: list[Step]) -> list[Step]:
    """The steps for one system call; they must end in a return."""
    return [Step(_EQUAL, 0, len(then), number), *then]


def _if_one_of(argument: int, values: Sequence[int]) -> list[Step]:
    return [_argument(argument), *(step for value in values for step in (Step(_EQUAL, 0, 1, value), ALLOW)), REFUSE]


def _argument(number: int) -> Step:
    """Load the lower half of an argument. The kernel uses no more of the arguments that are checked here."""
    return Step(_LOAD, number=_ARGUMENTS_AT + _ARGUMENT_BYTES * number)
