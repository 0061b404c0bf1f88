"""Limits for a process that works on people's files: it puts itself under them, and they cannot be lifted again.

Overload: more processor time than that ends it with SIGXCPU; more memory, descriptors or bytes written are errors where
they are asked for.
"""

import resource
from typing import Final, NamedTuple

CPU_GRACE_S: Final = 1


class Confines(NamedTuple):
    """How much a process may use at most."""

    cpu_s: int
    memory_bytes: int
    descriptors: int
    written_bytes: int
    """Of one file."""


def confine(to: Confines) -> None:
    """Limit this process, for good. Limits that are lower already stay so."""
    for limit, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, to.written_bytes, to.written_bytes),
        (resource.RLIMIT_NOFILE, to.descriptors, to.descriptors),
        (resource.RLIMIT_AS, to.memory_bytes, to.memory_bytes),
        # The hard limit would end this process with SIGKILL, which may come from anybody.
        (resource.RLIMIT_CPU, to.cpu_s, to.cpu_s + CPU_GRACE_S),
    ):
        now_soft, now_hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (_lower(soft, now_soft), _lower(hard, now_hard)))


def _lower(wanted: int, now: int) -> int:
    return wanted if now == resource.RLIM_INFINITY else min(wanted, now)
