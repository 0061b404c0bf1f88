"""The time that leases of gateways are measured in."""

import time
from typing import Final

_BOOT_TIME: Final = getattr(time, "CLOCK_BOOTTIME", None)


def boot_time_s() -> float:
    """Monotonic seconds that go on while the machine is suspended, where the system has such a clock (Linux)."""
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)
