"""How many files and sockets this process may have open (RLIMIT_NOFILE)."""

import resource
from typing import Final

WANTED: Final = 65_536
"""What every part asks for: more costs some programs time, for they look at each number up to the limit."""


def allow_descriptors(wanted: int = WANTED) -> int:
    """Raise this process's own limit to `wanted`, as far as the system lets it. How many it may have now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):
        return soft  # some systems have a lower limit than the one they tell
    return allowed
