"""`python -m omnisonic.media.probe < FILE`: prints what is heard in the file as a line of JSON (`Heard`), or `null`.

What a file makes its decoder do is unknown, so it does it here, under limits that cannot be lifted again: so much time
on a processor, so much memory, nothing written, hardly any descriptors; and after everybody else (`os.nice`). Overload:
a file that takes more time than that ends this process with SIGXCPU, more memory is no sound. Crash: the file's matter,
told by the signal that ended it; any other exit code than 0 is this program's own trouble.
"""

import os
import resource
import sys
from typing import Final

import msgspec

from omnisonic.media.hearing import hear

CPU_S: Final = 120
"""Four hours of stereo take half of it."""
CPU_GRACE_S: Final = 1
MEMORY_BYTES: Final = 1_073_741_824
DESCRIPTORS: Final = 16
NICENESS: Final = 10

LIMITS: Final = (
    (resource.RLIMIT_CORE, 0, 0),
    (resource.RLIMIT_FSIZE, 0, 0),
    (resource.RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS),
    (resource.RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES),
    # The hard limit would end this process with SIGKILL, which may come from anybody.
    (resource.RLIMIT_CPU, CPU_S, CPU_S + CPU_GRACE_S),
)
"""What is limited, the soft limit, and the hard one."""


def main() -> None:
    """Limit this process, listen to standard input, and print."""
    limit_this_process()
    sys.stdout.buffer.write(msgspec.json.encode(hear(sys.stdin.buffer)) + b"\n")


def limit_this_process() -> None:
    """For good. Limits that are lower already stay so."""
    os.nice(NICENESS)
    for limit, soft, hard in LIMITS:
        now_soft, now_hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (_lower(soft, now_soft), _lower(hard, now_hard)))


def _lower(wanted: int, now: int) -> int:
    return wanted if now == resource.RLIM_INFINITY else min(wanted, now)


if __name__ == "__main__":
    main()
