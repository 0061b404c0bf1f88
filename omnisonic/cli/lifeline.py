"""The child's end of the line to `omnisonic serve`: a socket on standard input (`omnisonic.processes`).

It carries `ready` one way, and the supervisor's end the other way: when the line closes, nobody is left to stop this
process, so it stops itself, first gracefully, then after `STOP_S` at once.
"""

import os
import signal
import threading
import time
from typing import Final

STOP_S: Final = 9.0
STDIN_FD: Final = 0


def say_ready() -> None:
    """Tell the supervisor that this process is in service."""
    os.write(STDIN_FD, b"ready\n")


def end_with_supervisor(*, stop_s: float = STOP_S) -> None:
    """From now on, end this process when the supervisor is gone: by SIGTERM, and if that has not helped in `stop_s`."""
    threading.Thread(target=_watch, args=(stop_s,), name="lifeline", daemon=True).start()


def _watch(stop_s: float) -> None:
    while os.read(STDIN_FD, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_s)
    os._exit(1)
