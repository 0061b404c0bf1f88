"""The life of a part's process: it says that it is ready, sends heartbeats, and stops on a signal.

Alone, a part prints where it listens. Under `omnisonic serve` it has a readiness pipe: a socket on standard input
(`omnisonic.operations.supervisor`). It sends `ready` on it, and then `alive` every `BEAT_S` from its event loop, so a
stuck loop falls silent. It never reads anything: when the pipe closes, the supervisor is gone, and the process stops
itself, first by SIGTERM, and after `STOP_S` at once.

Overload: a supervisor that does not read blocks nobody; what the pipe does not accept is dropped. Crash: see above.
Shutdown: heartbeats go on until the event loop ends.
"""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from omnisonic.observability.log_lines import json_line
from omnisonic.operations.heartbeat import ALIVE, BEAT_S, READY
from omnisonic.settings.settings import Settings

STOP_S: Final = 9.0
STDIN_FD: Final = 0


class ReadinessPipe:
    """The part's end of the readiness pipe."""

    def __init__(self) -> None:
        self._socket = socket.fromfd(STDIN_FD, socket.AF_UNIX, socket.SOCK_STREAM)

    def send_ready(self) -> None:
        """Tell the supervisor that this process accepts work."""
        self._socket.sendall(READY)

    def send_alive(self) -> None:
        """Send one heartbeat. Call it from the event loop. Does not wait."""
        # MSG_DONTWAIT, and not a non-blocking socket: the thread of `stop_with_supervisor` waits in `read`.
        with suppress(OSError):
            self._socket.send(ALIVE, socket.MSG_DONTWAIT)


def stop_with_supervisor(*, stop_s: float = STOP_S) -> None:
    """From now on, stop this process when the supervisor is gone: by SIGTERM, and after `stop_s` at once."""
    threading.Thread(target=_wait_for_close, args=(stop_s,), name="readiness-pipe", daemon=True).start()


def start_heartbeats() -> None:
    """Tell the supervisor that this process is ready, and send heartbeats from the running asyncio loop."""
    pipe = ReadinessPipe()
    pipe.send_ready()
    _send_heartbeats(asyncio.get_running_loop(), pipe)


def ready_printer(settings: Settings, part: str, text: str, **fields: object) -> Callable[[], None]:
    """A function that prints `text` on standard output; where logs are JSON, the event `part.ready` with `fields`.

    For a part that runs alone, to be called when it is ready.
    """
    line = json_line(part, "part.ready", fields) if settings.logs_json else text
    return partial(print, line, flush=True)


def stop_on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets, in the running asyncio loop. The second ends the process."""
    stop = asyncio.Event()

    def handle_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, handle_signal)
    return stop


def _send_heartbeats(loop: asyncio.AbstractEventLoop, pipe: ReadinessPipe) -> None:
    pipe.send_alive()
    loop.call_later(BEAT_S, _send_heartbeats, loop, pipe)


def _wait_for_close(stop_s: float) -> None:
    # A supervisor that is killed before it has read all heartbeats resets the pipe instead of closing it.
    with suppress(ConnectionResetError):
        while os.read(STDIN_FD, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_s)
    os._exit(1)
