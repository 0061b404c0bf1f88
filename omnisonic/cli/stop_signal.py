"""How an asyncio part is told to stop: by SIGTERM or Ctrl-C; the second one ends it at once."""

import asyncio
import os
import signal


def stop_signal() -> asyncio.Event:
    """An event of the running loop that the first SIGTERM or SIGINT sets. The second ends the process."""
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    return stop
