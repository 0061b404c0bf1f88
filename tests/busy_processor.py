"""Programs that keep a processor busy, and others that leave it to everybody else."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Final

from tests.processes import ended_with_block

FOR_EVER: Final = ("/bin/sh", "-c", "while :; do :; done")

IN_SPARE_TIME: Final = "until set -- $(cat /proc/$$/stat) && [ ${41} = 5 ]; do sleep 0.01; done"
"""Shell that waits until it gets spare time only, which it reads in /proc (proc_pid_stat(5), sched(7)): a shell starts
in so little time that it gets on between programs that keep all processors busy. Linux."""


@contextlib.contextmanager
def busy_processor() -> Iterator[subprocess.Popen[bytes]]:
    """Only one processor for this process and those that it starts, and this program keeps it busy. Linux."""
    all_of_them = os.sched_getaffinity(0)
    one = min(all_of_them)
    os.sched_setaffinity(0, {one})
    try:
        with ended_with_block(subprocess.Popen(FOR_EVER)) as program:
            try:
                yield program
            finally:
                # To end, it needs a processor, and others may want this one.
                if program.poll() is None:
                    os.sched_setaffinity(program.pid, all_of_them)
    finally:
        os.sched_setaffinity(0, all_of_them)
