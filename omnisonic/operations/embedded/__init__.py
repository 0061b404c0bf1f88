"""Embedded servers: Postgres and Valkey from wheels, for installations that configure none (SPEC 1).

Their files are in the data directory. Under root they run as an account of their own
(`omnisonic.operations.embedded.account`). They listen on loopback only, with a random password. Each is a class with a
`url`, a `spec()` for `omnisonic.operations.supervisor`, and `end_stale()` for a server that an earlier supervisor left.
"""

import os
import random
import socket
import sys
import weakref
from pathlib import Path
from typing import Final

from omnisonic.errors import OmnisonicError

HOST: Final = "127.0.0.1"
HERE: Final = Path("/proc/self/cwd")
"""The working directory, for accounts that cannot reach it by its path (proc(5))."""
VALKEY_PORTS: Final = range(20_000, 25_000)
POSTGRES_PORTS: Final = range(25_000, 30_000)
"""Ports below those of outgoing connections: while a server is down, a client must not get the server's own port for
its connection. Each server has its own range, so that two never choose the same port."""


KEPT_VARIABLES: Final = ("PATH", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "COVERAGE_", "PYTHON")
"""Prefixes of the variables that a server gets. It runs as another account, which must not see secrets."""


class EmbeddedUnavailable(OmnisonicError):
    """The embedded server cannot be run here."""

    code = "embedded_unavailable"


def server_environ() -> dict[str, str]:
    """The environment of a server, without secrets."""
    return {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}


class PortReservation:
    """A free port of `ports`, which nobody else gets as long as this object is there. One server may listen on it.

    The server sets SO_REUSEADDR, as servers do. Elsewhere than on Linux, somebody else may be faster.

    Raises `EmbeddedUnavailable`, which says to set the variable `instead`.
    """

    def __init__(self, ports: range, *, instead: str) -> None:
        holder = _bind_to_one(ports, instead)
        self.port = int(holder.getsockname()[1])
        if sys.platform == "linux":
            # Another socket may now be bound to it and listen, if it allows that, too (socket(7)).
            # Those that look for a free port do not.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            weakref.finalize(self, holder.close)
        else:
            holder.close()


def _bind_to_one(ports: range, instead: str) -> socket.socket:
    """A socket that is bound to a port that was free."""
    for port in random.sample(ports, len(ports)):
        bound = socket.socket()
        try:
            bound.bind((HOST, port))
        except OSError:
            bound.close()
        else:
            return bound
    raise EmbeddedUnavailable(f"There is no free port for an embedded server on {HOST}; set {instead}.")
