"""The sandbox: what a process does to itself before it touches bytes of strangers. It cannot be undone.

What is open stays usable: the input to read, the output to write. Nothing else can be had. Open every file and import
every module before.

| layer | what it takes away | where |
| --- | --- | --- |
| limits | processor time, memory, descriptors, bytes written | everywhere |
| account | root's rights: it becomes the user and group `UID`, which are nobody else's | where it was root |
| network | its network namespace is empty | Linux, where it was root with CAP_SYS_ADMIN |
| capabilities, `no_new_privs` | all capabilities, and what set-user-id programs would give | Linux |
| Landlock | files, TCP, signals to others (`omnisonic.process.landlock`) | Linux 5.13 and later, unless switched off |
| seccomp | all but a few system calls (`omnisonic.process.seccomp`) | Linux on x86_64, aarch64, riscv64 |

Landlock and seccomp each keep other files away by themselves, and seccomp alone keeps sockets and processes away. Where
the system has neither (macOS, containers that forbid both), the limits and the account are all there is:
`missing_layers` says so, and with it the log of the worker and `omnisonic doctor`. A layer that the system has is
promised: when it cannot be applied, that is `SandboxFailed`, and nothing is decoded.

Overload: more processor time than that ends the process with SIGXCPU; more memory, descriptors or bytes written are
errors where they are asked for. Crash and shutdown: the sandbox ends with the process.
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
"""User and group of a decoder that root has started; it needs no entry in passwd(5). No system gives it to anybody: it
is above those of people and services, below `nobody`, and small enough for containers."""
EXIT_NOT_SANDBOXED: Final = 77
"""The exit code of a process that could not be confined; its output is the reason, a sentence."""
CPU_GRACE_S: Final = 1

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWIPC: Final = 0x0800_0000
_CLONE_NEWNET: Final = 0x4000_0000
_CAPABILITIES: Final = struct.pack("=Ii", 0x2008_0522, 0)
_NO_CAPABILITIES: Final = bytes(24)


class SandboxFailed(OmnisonicError):
    """A process could not be confined, though this system has what it takes."""

    code = "sandbox_failed"


class Limits(NamedTuple):
    """How much a process may use at most."""

    cpu_s: int
    memory_bytes: int
    descriptors: int
    written_bytes: int
    """Of one file."""


def enter_sandbox(limits: Limits) -> None:
    """Put this process, which must have one thread, into the sandbox. Errors: `SandboxFailed`."""
    limit(limits)
    restrict()
    seal()


def missing_layers() -> list[str]:
    """The layers that this system does not have, by their names above."""
    has = {"Landlock": landlock_abi() > 0, "seccomp": has_seccomp()}
    return [name for name, is_there in has.items() if not is_there]


def limit(to: Limits) -> None:
    """Limit this process, for good. Limits that are lower already stay so."""
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
    """Take away rights, network and files: the layers from account to Landlock. This process may still fork, and its
    children inherit that. Errors: `SandboxFailed`.
    """
    with _told("be confined"):
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
    """Put this process, forked from one that has called `restrict`, into a sandbox of its own, from which it cannot
    signal that one. Errors: `SandboxFailed`.
    """
    with _told("be confined"):
        if abi := landlock_abi():
            forbid_access(abi)
    seal()


def seal(may_signal: Iterable[int] = ()) -> None:
    """The last layer, seccomp. `may_signal` are the children that it may end. Call `restrict` before.

    Errors: `SandboxFailed`.
    """
    if has_seccomp():
        with _told("give up system calls"):
            forbid_calls(may_signal)


def _leave_root() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        # Containers often forbid it: seccomp and Landlock keep the network away without it.
        with contextlib.suppress(OSError):
            _call("unshare", _CLONE_NEWNET | _CLONE_NEWIPC)
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    if sys.platform == "linux":
        # The kernel has forgotten the leash, as the user changed.
        _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _check_single_thread() -> None:
    """Landlock and seccomp bind the thread that asks, and those that it starts."""
    with contextlib.suppress(FileNotFoundError):  # there is no /proc
        if len(list(Path("/proc/self/task").iterdir())) != 1:
            raise SandboxFailed("A decoder could not be confined: it has other threads already.")


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise SandboxFailed(
            f"A decoder could not {what} on this machine ({problem.strerror or problem}): run `omnisonic doctor`."
        ) from problem


def _call(name: str, *arguments: int | bytes) -> None:
    """Call a function of the C library. Errors: `OSError`."""
    words = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if ctypes.CDLL(None, use_errno=True)[name](*words) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _lower(wanted: int, now: int) -> int:
    return wanted if now == resource.RLIM_INFINITY else min(wanted, now)
