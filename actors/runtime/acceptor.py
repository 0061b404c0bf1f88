"""The acceptor: takes new connections off a listening socket. One task for each socket.

Overload: out of descriptors or memory, it tries again after `PAUSE_S`, as trio's own listener does, and logs that once
in `LOG_EVERY_S`. Crash: its supervisor starts it again; the socket stays open meanwhile, so nobody is refused.
Shutdown: cancelled first.
"""

import errno
import logging
import math
import socket
from collections.abc import Callable
from typing import Final

import trio

AT_ONCE: Final = 64
"""Connections accepted in a row before other tasks run."""
PAUSE_S: Final = 0.1
LOG_EVERY_S: Final = 60.0
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

_log = logging.getLogger(__name__)


def prepare_to_accept(listener: socket.socket) -> None:
    """Make `listener` ready for `accept`. What it accepts inherits that it sends without delay."""
    listener.setblocking(False)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def accept(listener: socket.socket) -> tuple[socket.socket, str]:
    """Accept one connection: its non-blocking socket, and the peer's address. Errors: as `socket.accept`."""
    sock, address = listener.accept()
    sock.setblocking(False)
    return sock, str(address[0]) if address else ""


async def accept_forever(
    listener: socket.socket,
    take: Callable[[socket.socket, str], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hand every new connection to `take`: its socket, not blocking, and the peer's address."""
    prepare_to_accept(listener)
    task_status.started()
    logged_s = -math.inf
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            for _ in range(AT_ONCE):
                take(*accept(listener))
        except BlockingIOError:
            continue
        except OSError as problem:
            if problem.errno in _OUT_OF_RESOURCES:
                if trio.current_time() - logged_s >= LOG_EVERY_S:
                    logged_s = trio.current_time()
                    _log.warning("acceptor.out_of_resources", extra={"problem": problem.strerror})
                await trio.sleep(PAUSE_S)
            # anything else concerns the new connection only (accept(2): treat like EAGAIN)
