"""Servers of our own, when the environment names none: Valkey and Postgres, from wheels (SPEC 1).

Their files are in the data directory. Under root they run as an account of their own
(`omnisonic.operations.embedded.account`). They listen on loopback only, under a random password. Each is a class with a
`url`, a `spec()` for `omnisonic.operations.supervisor`, and `end_stale()` for what an earlier supervisor may have left
behind.
"""

import contextlib
import os
import random
import socket
from pathlib import Path
from typing import Final

from omnisonic.errors import OmnisonicError

HOST: Final = "127.0.0.1"
HERE: Final = Path("/proc/self/cwd")
"""A name for the working directory that needs no way to it (proc(5))."""
VALKEY_PORTS: Final = range(20_000, 25_000)
POSTGRES_PORTS: Final = range(25_000, 30_000)
"""Below the ports that systems give to outgoing connections: while a server is down, none of its clients' attempts may
be given the very port it will listen on again. Each server has its own, so that two never pick the same."""


KEPT_VARIABLES: Final = ("PATH", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "COVERAGE_", "PYTHON")
"""What the variables of a server's environment begin with. It has another account, which must see no secrets."""


class EmbeddedUnavailable(OmnisonicError):
    """The embedded server cannot be run here."""

    code = "embedded_unavailable"


def server_environ() -> dict[str, str]:
    """The environment of a server: no secrets."""
    return {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}


def free_port(ports: range, *, instead: str) -> int:
    """One of `ports` that nobody listens on. Errors: `EmbeddedUnavailable`, telling to set the variable `instead`."""
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise EmbeddedUnavailable(f"There is no free port for an embedded server on {HOST}; set {instead}.")
