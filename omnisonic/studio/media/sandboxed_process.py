"""Processes that work on people's files, seen from the one that starts them: they know nothing, and they go with it.

Crash of this process: the kernel ends the others (`omnisonic.process.die_with_parent`; where there is none, their
limits do).
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

INHERITED: Final = frozenset(
    {"PATH", "LANG", "LC_ALL", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
)
"""The variables that a Python may need to find itself."""
FILES_FAULT: Final = frozenset(
    {
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSYS,
    }
)
"""What ends a decoder that a file has led astray. Other signals come from other people."""
DRAIN_BYTES: Final = 65_536


def sandboxed_command(module: str) -> Sequence[str]:
    """The command that runs this module of ours, tied to the thread that calls this: the program's main thread."""
    return sys.executable, "-m", "omnisonic.process.die_with_parent", str(os.getpid()), sys.executable, "-m", module


def bare_environment() -> dict[str, str]:
    """No secrets."""
    return {name: value for name, value in os.environ.items() if name in INHERITED}


async def end(process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> None:
    """Kill it if it lives, and wait until it is gone, which is at once; it counts as gone when its output was read."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    while await output.read(DRAIN_BYTES):
        pass
    await process.wait()
