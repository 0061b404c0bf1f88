"""Listens to files, each in a process of its own (`omnisonic.media.probe`) that knows nothing: no secrets in its
environment, no name of the file, only the open file itself. Asyncio.

Overload: a file that takes longer than `LISTEN_S`, whoever's fault that is, is one without sound. Crash of the decoder:
the same. Crash of this process: the kernel ends the other one (`omnisonic.leash`; where there is none, its limits do).
Shutdown: cancelling ends it at once.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.uploads.analyses import Heard

LISTEN_S: Final = 150.0
ANSWER_BYTES: Final = 65_536
"""More than a thousand peaks take."""
INHERITED: Final = frozenset(
    {"PATH", "LANG", "LC_ALL", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
)
"""The variables that a Python may need to find itself."""
FILES_FAULT: Final = frozenset(
    {signal.SIGXCPU, signal.SIGXFSZ, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
)
"""What ends a decoder that a file has led astray. Other signals come from other people."""

_log = logging.getLogger(__name__)
_decoder: msgspec.json.Decoder[Heard | None] = msgspec.json.Decoder(Heard | None)


class CannotListen(OmnisonicError):
    """The file was not listened to, which is not its fault."""

    code = "cannot_listen"

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"Listening to a file ended with exit code {exit_code}. Try again.")


def probe() -> Sequence[str]:
    """The command that listens to its standard input."""
    leash = (sys.executable, "-m", "omnisonic.leash", str(os.getpid()))
    return *leash, sys.executable, "-m", "omnisonic.media.probe"


async def listen(
    file: BinaryIO, *, command: Callable[[], Sequence[str]] = probe, within_s: float = LISTEN_S
) -> Heard | None:
    """What is in `file`, which stands at its beginning; None when no sound in it can be played.

    Call it from the program's main thread: the process is leashed to the thread that started it.
    Errors: `CannotListen`, `OSError`.
    """
    process = await asyncio.create_subprocess_exec(
        *command(),
        stdin=file,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name in INHERITED} | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            answer = await _answer(process.stdout)
            exit_code = await process.wait()
    except TimeoutError:
        _log.warning("media.given_up", extra={"after_s": within_s})
        return None
    finally:
        await _end(process, process.stdout)
    return _understood(answer, exit_code)


def _understood(answer: bytes, exit_code: int) -> Heard | None:
    if -exit_code in FILES_FAULT:
        _log.warning("media.decoder_died", extra={"signal": signal.Signals(-exit_code).name})
        return None
    if exit_code != 0:
        raise CannotListen(exit_code)
    try:
        return _decoder.decode(answer)
    except msgspec.DecodeError:
        _log.warning("media.decoder_babbled", extra={"answer_bytes": len(answer)})
        return None


async def _answer(output: asyncio.StreamReader) -> bytes:
    """All that it prints, or the first `ANSWER_BYTES`, which are none of an answer."""
    try:
        return await output.readexactly(ANSWER_BYTES)
    except asyncio.IncompleteReadError as end:
        return end.partial


async def _end(process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> None:
    """Kill it if it lives, and wait until it is gone, which is at once; it counts as gone when its output was read."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    while await output.read(ANSWER_BYTES):
        pass
    await process.wait()
