"""Servers of our own, when the environment names none: Valkey and Postgres, from wheels (SPEC 1).

Their files are in the data directory. They listen on loopback only, under a random password. Each is a class with a
`url`, a `spec()` for `omnisonic.processes`, and `end_stale()` for what an earlier supervisor may have left behind.
"""

import contextlib
import random
import socket
from typing import Final

from omnisonic.errors import OmnisonicError

HOST: Final = "127.0.0.1"
VALKEY_PORTS: Final = range(20_000, 25_000)
POSTGRES_PORTS: Final = range(25_000, 30_000)
"""Below the ports that systems give to outgoing connections: while a server is down, none of its clients' attempts may
be given the very port it will listen on again. Each server has its own, so that two never pick the same."""


class EmbeddedUnavailable(OmnisonicError):
    """The embedded server cannot be run here."""

    code = "embedded_unavailable"


def free_port(ports: range, *, instead: str) -> int:
    """One of `ports` that nobody listens on. Errors: `EmbeddedUnavailable`, telling to set the variable `instead`."""
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise EmbeddedUnavailable(f"There is no free port for an embedded server on {HOST}; set {instead}.")
