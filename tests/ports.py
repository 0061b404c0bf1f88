"""Ports for servers that have to be told theirs: each is given once, and not to two processes of the same tests."""

import os
from typing import Final

from omnisonic.operations.embedded import PortReservation

FIRST: Final = 30_000
"""Below what kernels give away by themselves."""
EACH: Final = 400
"""For each of the processes that share the tests."""

_given = set[int]()


def unused_port() -> int:
    """A port on loopback that nobody listens on, nor will."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST + worker * EACH
    while (port := PortReservation(range(first, first + EACH), instead="").port) in _given:
        pass
    _given.add(port)
    return port
