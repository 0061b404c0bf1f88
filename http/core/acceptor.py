"""The acceptor of the web: takes new connections off its listening socket, and refuses those over the limits. Asyncio.

It owns the count of connections, in all and from each address. IPv6 addresses count by their network, and those of
trusted proxies are not counted by address: behind them are many people, whom only `X-Forwarded-For` tells apart.

Overload: over a limit, 503 with `Retry-After`, and the connection is closed. Out of descriptors or memory, it pauses
for `PAUSE_S`, and newcomers wait in the socket's backlog. Each is logged at most once in `LOG_EVERY_S`. Crash of a
connection: logged, and the others go on. Shutdown: `close` stops accepting at once.
"""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from omnisonic.http.core.client_address import site_of
from omnisonic.settings.fields import Networks

AT_ONCE: Final = 64
"""Connections accepted in one go, before existing ones run again."""
PAUSE_S: Final = 1.0
LOG_EVERY_S: Final = 60.0
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_BODY: Final = (
    b'{"error":"This server has as many connections as it may. Try again later.","code":"too_many_connections"}'
)
REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Retry-After: 5\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n%s"
) % (len(_BODY), _BODY)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be in all, and from each address that is not in `exempt`; 0 for any number."""

    total: int = 0
    per_address: int = 0
    exempt: Networks = ()

    def within(self, descriptors: int) -> "ConnectionLimits":
        """The same limits for a process with this many descriptors for its connections and their files.

        A connection may need another descriptor for the file that it carries. One address never takes all.
        """
        most = max(2, descriptors // 2)
        total = min(self.total or most, most)
        return ConnectionLimits(total, min(self.per_address or total, max(1, total // 2)), self.exempt)


class Acceptor:
    """Runs `serve` with every new non-blocking connection, in a task of its own. `tasks` holds the running ones."""

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[socket.socket], Coroutine[Any, Any, None]],
        limits: ConnectionLimits,
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._counts_by_site: Counter[str] = Counter()
        self._resume_timer: asyncio.TimerHandle | None = None
        self._logged_s: dict[str, float] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start accepting."""
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Stop accepting."""
        if self._resume_timer is not None:
            self._resume_timer.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in _OUT_OF_RESOURCES:
                    self._pause(problem)
                    return
                continue  # a problem of the new connection only (accept(2): treat like EAGAIN)
            sock.setblocking(False)
            self._take(sock, str(address[0]) if address and sock.family != socket.AF_UNIX else "")

    def _take(self, sock: socket.socket, address: str) -> None:
        limits, site = self._limits, site_of(address, self._limits.exempt)
        is_full = 0 < limits.total <= len(self.tasks)
        if is_full or (site is not None and 0 < limits.per_address <= self._counts_by_site[site]):
            self._refuse(sock, "all" if is_full else "address", address)
            return
        if site is not None:
            self._counts_by_site[site] += 1
        task = self._loop.create_task(self._serve(sock))
        self.tasks.add(task)
        task.add_done_callback(lambda done: self._forget(done, site))

    def _forget(self, task: asyncio.Task[None], site: str | None) -> None:
        self.tasks.discard(task)
        if site is not None:
            self._counts_by_site[site] -= 1
            if not self._counts_by_site[site]:
                del self._counts_by_site[site]
        if not task.cancelled() and (crash := task.exception()) is not None:
            _log.error("web.connection_crashed", exc_info=crash)

    def _refuse(self, sock: socket.socket, limit: str, address: str) -> None:
        self._warn("web.too_many_connections", limit=limit, address=address, connections=len(self.tasks))
        with sock, suppress(OSError):  # the peer may be gone
            sock.send(REFUSAL)

    def _pause(self, problem: OSError) -> None:
        """Stop accepting for a while: the socket stays readable, and this would be called again and again."""
        self._warn("acceptor.out_of_resources", problem=problem.strerror)
        self._loop.remove_reader(self._listener)
        self._resume_timer = self._loop.call_later(PAUSE_S, self.start)

    def _warn(self, event: str, **about: object) -> None:
        now_s = self._loop.time()
        if now_s - self._logged_s.get(event, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged_s[event] = now_s
            _log.warning(event, extra=about)
