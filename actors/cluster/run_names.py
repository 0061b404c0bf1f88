"""Names of runs: `GATEWAY:PROCESS.NUMBER`. A gateway takes another one when its lease has ended (SPEC 5.5).

Two gateways may have the same name by mistake; the process tells them apart.
"""

import secrets
from collections.abc import Callable
from itertools import count
from typing import Final

PROCESS_BYTES: Final = 9
"""Random bytes that name a process."""


def run_names(gateway: str) -> Callable[[], str]:
    """Names for the runs of this process, another one with each call."""
    process, numbers = secrets.token_urlsafe(PROCESS_BYTES), count(1)
    return lambda: f"{gateway}:{process}.{next(numbers)}"


def process_of(run: str) -> str:
    """What the names of all runs of one process have in common."""
    return run.rpartition(":")[2].partition(".")[0]
