"""The sandbox of decoders: a process gives up its rights before it reads files of strangers. It cannot be undone.

Open files stay usable: the input to read, the output to write. Nothing else can be opened. So open every file and
import every module before.

| layer | what it takes away | where |
| --- | --- | --- |
| limits | CPU time, memory, descriptors, bytes written | everywhere |
| account | root's rights: it becomes the user and group `UID`, which are nobody else's | where it was root |
| network | its network namespace is empty | Linux, where it was root with CAP_SYS_ADMIN |
| capabilities, `no_new_privs` | all capabilities, and what set-user-id programs would give | Linux |
| Landlock | files, TCP, signals to others (`omnisonic.process.landlock`) | Linux 5.13 and later, unless switched off |
| seccomp | all but a few system calls (`omnisonic.process.seccomp`) | Linux on x86_64, aarch64, riscv64 |

Landlock and seccomp each block access to other files; seccomp alone blocks sockets and processes. Where the system has
neither (macOS, containers that forbid both), only the limits and the account remain: `missing_layers` says so, and so
do the log of the worker and `omnisonic doctor`. A layer that the system has must work: otherwise `SandboxFailed` is
raised and nothing is decoded.

Overload: too much CPU time ends the process with SIGXCPU; too much memory, too many descriptors or bytes written raise
errors. Crash and shutdown: the sandbox ends with the process.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from omnisonic.errors import OmnisonicError
from omnisonic.process.landlock import forbid_access, landlock_abi
from omnisonic.process.seccomp import forbid_calls, has_seccomp

UID: Final = 65_529
"""User and group of a decoder that root has started, without an entry in passwd(5). No system assigns it: it is above
those of people and services, below `nobody`, and small enough for containers."""
EXIT_NOT_SANDBOXED: Final = 77
"""The exit code of a process that could not enter the sandbox; its output is the reason, a sentence."""
CPU_GRACE_S: Final = 1

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWIPC: Final = 0x0800_0000
_CLONE_NEWNET: Final = 0x4000_0000
_CAPABILITIES: Final = struct.pack("=Ii", 0x2008_0522, 0)
_NO_CAPABILITIES: Final = bytes(24)


class SandboxFailed(OmnisonicError):
    """A process could not enter the sandbox, although this system supports it."""

    code = "sandbox_failed"


class Limits(NamedTuple):
    """The most that a process may use."""

    cpu_s: int
    memory_bytes: int
    descriptors: int
    written_bytes: int
    """Of one file."""


def enter_sandbox(limits: Limits) -> None:
    """Put this process, which must have one thread, into the sandbox. Raises `SandboxFailed`."""
    limit(limits)
    restrict()
    seal()


def missing_layers() -> list[str]:
    """The names of the layers that this system does not have."""
    has = {"Landlock": landlock_abi() > 0, "seccomp": has_seccomp()}
    return [name for name, is_there in has.items() if not is_there]


def limit(to: Limits) -> None:
    """Set the limits of this process. Lower limits stay as they are."""
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, to.written_bytes, to.written_bytes),
        (resource.RLIMIT_NOFILE, to.descriptors, to.descriptors),
        (resource.RLIMIT_AS, to.memory_bytes, to.memory_bytes),
        # The hard limit would end this process with SIGKILL, which may come from anybody.
        (resource.RLIMIT_CPU, to.cpu_s, to.cpu_s + CPU_GRACE_S),
    ):
        now_soft, now_hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (_lower(soft, now_soft), _lower(hard, now_hard)))


def restrict() -> None:
    """Apply the layers from account to Landlock. This process may still fork, and its children inherit them.

    Raises `SandboxFailed`.
    """
    with _report_failure("be confined"):
        if sys.platform == "linux":
            _check_single_thread()
        if os.geteuid() == 0:
            _leave_root()
        if sys.platform == "linux":
            _call("capset", _CAPABILITIES, _NO_CAPABILITIES)
            _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            if abi := landlock_abi():
                forbid_access(abi)


def sandbox_child() -> None:
    """Put this fork of a process that has called `restrict` into its own sandbox, where it cannot signal its parent.

    Raises `SandboxFailed`.
    """
    with _report_failure("be confined"):
        if abi := landlock_abi():
            forbid_access(abi)
    seal()


def seal(may_signal: Iterable[int] = ()) -> None:
    """Apply the last layer, seccomp, after `restrict`. The process may still signal the children in `may_signal`.

    Raises `SandboxFailed`.
    """
    if has_seccomp():
        with _report_failure("give up system calls"):
            forbid_calls(may_signal)


def _leave_root() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        # Containers often forbid it; seccomp and Landlock block the network without it.
        with contextlib.suppress(OSError):
            _call("unshare", _CLONE_NEWNET | _CLONE_NEWIPC)
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    if sys.platform == "linux":
        # The change of user has reset the signal of `die_with_parent`.
        _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _check_single_thread() -> None:
    """Landlock and seccomp apply only to the calling thread and those that it starts. Raises `SandboxFailed`."""
    with contextlib.suppress(FileNotFoundError):  # there is no /proc
        if len(list(Path("/proc/self/task").iterdir())) != 1:
            raise SandboxFailed("A decoder could not be confined: it has other threads already.")


@contextlib.contextmanager
def _report_failure(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise SandboxFailed(
            f"A decoder could not {what} on this machine ({problem.strerror or problem}): run `omnisonic doctor`."
        ) from problem


def _call(name: str, *arguments: int | bytes) -> None:
    """Call a function of the C library. Raises `OSError`."""
    values = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if ctypes.CDLL(None, use_errno=True)[name](*values) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _lower(wanted: int, now: int) -> int:
    return wanted if now == resource.RLIM_INFINITY else min(wanted, now)
