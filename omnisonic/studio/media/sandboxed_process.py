"""Processes that work on people's files in a sandbox: what the parent needs to run them, and what they do first.

A file may make its decoder do anything, so decoding happens in such a process (`omnisonic.process.sandbox`). It gets no
secrets, and can only read its standard input and write its standard output.

Crash of the process: a signal means that the file is at fault; any other exit code than 0 is an error of the program.
`EXIT_NOT_SANDBOXED` means that there is no sandbox and nothing was decoded; the output says why. Crash of the parent:
the kernel ends the process (`omnisonic.process.die_with_parent`; without it, the process's limits do).

Neither side pays for the other: nothing here imports asyncio or PyAV.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from omnisonic.process.sandbox import EXIT_NOT_SANDBOXED, Limits, SandboxFailed, enter_sandbox

if TYPE_CHECKING:
    import asyncio

INHERITED: Final = frozenset(
    {"PATH", "LANG", "LC_ALL", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
)
"""The environment variables that a Python may need to find itself."""
DECODER_SIGNALS: Final = frozenset(
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
"""The signals that end a decoder because of its file. Other signals come from other people."""
DRAIN_BYTES: Final = 65_536


def sandboxed_command(module: str) -> Sequence[str]:
    """The command that runs one of our modules. It ends with the thread that calls this: the program's main thread."""
    return sys.executable, "-m", "omnisonic.process.die_with_parent", str(os.getpid()), sys.executable, "-m", module


def bare_environment() -> dict[str, str]:
    """An environment without secrets."""
    return {name: value for name, value in os.environ.items() if name in INHERITED}


async def kill(process: "asyncio.subprocess.Process", output: "asyncio.StreamReader") -> None:
    """Kill the process if it lives, and wait until it has ended, which takes until its output is read."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    while await output.read(DRAIN_BYTES):
        pass
    await process.wait()


def print_sandboxed(look: Callable[[BinaryIO], object], limits: Limits) -> None:
    """Enter the sandbox, and print what `look` returns for standard input, as a line of JSON. Called by the process."""
    try:
        enter_sandbox(limits)
    except SandboxFailed as problem:
        sys.stdout.write(problem.message)
        sys.exit(EXIT_NOT_SANDBOXED)
    sys.stdout.buffer.write(msgspec.json.encode(look(sys.stdin.buffer)) + b"\n")
