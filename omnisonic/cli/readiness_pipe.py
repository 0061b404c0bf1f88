"""The child's end of the line to `omnisonic serve`: a socket on standard input (`omnisonic.operations.supervisor`).

It carries `ready` one way, and from then on `alive` every `BEAT_S`, said by the loop that does the work and by no
thread: a loop that stands still falls silent. The other way it carries nothing: when the line closes, nobody is left to
stop this process, so it stops itself, first gracefully, then after `STOP_S` at once.

Overload: a supervisor that does not read makes nobody wait; what the line does not take is not said. Crash: see above.
Shutdown: the loop says `alive` until it ends.
"""

import asyncio
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import Final

from omnisonic.operations.heartbeat import ALIVE, BEAT_S, READY

STOP_S: Final = 9.0
STDIN_FD: Final = 0


class ReadinessPipe:
    """The line, to speak on."""

    def __init__(self) -> None:
        self._line = socket.fromfd(STDIN_FD, socket.AF_UNIX, socket.SOCK_STREAM)

    def say_ready(self) -> None:
        """Tell the supervisor that this process is in service."""
        self._line.sendall(READY)

    def say_alive(self) -> None:
        """Tell it that the loop that calls this goes on. Does not wait."""
        # Not the socket's own mode: the thread that watches the line waits in its `read`.
        with suppress(OSError):
            self._line.send(ALIVE, socket.MSG_DONTWAIT)


def ready_in_asyncio() -> None:
    """Tell the supervisor that this process is in service, and from now on that the running asyncio loop goes on."""
    line = ReadinessPipe()
    line.say_ready()
    _go_on(asyncio.get_running_loop(), line)


def end_with_supervisor(*, stop_s: float = STOP_S) -> None:
    """From now on, end this process when the supervisor is gone: by SIGTERM, and if that has not helped in `stop_s`."""
    threading.Thread(target=_watch, args=(stop_s,), name="lifeline", daemon=True).start()


def _go_on(loop: asyncio.AbstractEventLoop, line: ReadinessPipe) -> None:
    line.say_alive()
    loop.call_later(BEAT_S, _go_on, loop, line)


def _watch(stop_s: float) -> None:
    while os.read(STDIN_FD, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_s)
    os._exit(1)
