"""The limit of open files and sockets of this process (RLIMIT_NOFILE)."""

import resource
from typing import Final

WANTED: Final = 65_536
"""The limit that every part asks for. With a higher one, programs that check every number become slow."""


def allow_descriptors(wanted: int = WANTED) -> int:
    """Raise the limit to `wanted`, as far as the system allows. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):
        return soft  # some systems allow less than they say
    return allowed
