"""Programs that keep a processor busy, and others that leave it to everybody else."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Final

from tests.processes import ended_with_block

FOR_EVER: Final = ("/bin/sh", "-c", "while :; do :; done")

IN_SPARE_TIME: Final = "import os, time\nwhile os.sched_getscheduler(0) != os.SCHED_IDLE: time.sleep(0.01)"
"""Python that waits until nobody has to wait for it."""


@contextlib.contextmanager
def busy_processor() -> Iterator[None]:
    """Only one processor for this process and those that it starts, and that one busy. Linux."""
    all_of_them = os.sched_getaffinity(0)
    one = min(all_of_them)
    os.sched_setaffinity(0, {one})
    try:
        with ended_with_block(subprocess.Popen(FOR_EVER)):
            yield
    finally:
        os.sched_setaffinity(0, all_of_them)
