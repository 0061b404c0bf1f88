"""Listens to files, each in a process of its own (`omnisonic.studio.media.probe`) in a sandbox, that knows nothing: no
secrets in its environment, no name of the file, only the open file itself. Asyncio.

Overload: a file that takes longer than `LISTEN_S` is one without sound, unless there was hardly any processor time to
spare for it. Crash of the decoder: the same. Crash of this process: the other one goes with it
(`omnisonic.studio.media.sandboxed_process`). Shutdown: cancelling ends it at once.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.process.cpu_priority import use_only_idle_time
from omnisonic.process.cpu_starvation import is_cpu_starved
from omnisonic.process.sandbox import EXIT_NOT_SANDBOXED
from omnisonic.studio.media.sandboxed_process import FILES_FAULT, bare_environment, end, sandboxed_command
from omnisonic.studio.uploads.analyses import Analysis

LISTEN_S: Final = 150.0
ANSWER_BYTES: Final = 65_536
"""More than a thousand peaks take."""

NOTHING: Final = b"null"

_log = logging.getLogger(__name__)
_decoder: msgspec.json.Decoder[Analysis | None] = msgspec.json.Decoder(Analysis | None)


class CannotAnalyse(OmnisonicError):
    """The file was not listened to, which is not its fault."""

    code = "cannot_listen"


def probe() -> Sequence[str]:
    """The command that listens to its standard input."""
    return sandboxed_command("omnisonic.studio.media.probe")


async def analyse_file(
    file: BinaryIO,
    *,
    command: Callable[[], Sequence[str]] = probe,
    within_s: float = LISTEN_S,
    in_spare_time: bool = True,
) -> Analysis | None:
    """What is in `file`, which stands at its beginning; None when no sound in it can be played.

    Call it from the program's main thread: the process is leashed to the thread that started it.
    Errors: `CannotAnalyse`, `OSError`.
    """
    answer = await answer_of(file, command(), within_s=within_s, in_spare_time=in_spare_time)
    try:
        return _decoder.decode(answer)
    except msgspec.DecodeError:
        _log.warning("media.decoder_output_invalid", extra={"answer_bytes": len(answer)})
        return None


async def answer_of(file: BinaryIO, command: Sequence[str], *, within_s: float, in_spare_time: bool) -> bytes:
    """What this command, which is one of ours, prints about its standard input; `null` when decoding that went wrong,
    or took too long. Errors: `CannotAnalyse`, `OSError`.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=file,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=bare_environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    if in_spare_time:
        use_only_idle_time(process.pid)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            answer = await _answer(process.stdout)
            exit_code = await process.wait()
    except TimeoutError:
        if is_cpu_starved(process.pid, within_s):
            raise CannotAnalyse("This machine is too busy to listen to a file. Try again later.") from None
        _log.warning("media.given_up", extra={"after_s": within_s})
        return NOTHING
    finally:
        await end(process, process.stdout)
    return _understood(answer, exit_code)


def _understood(answer: bytes, exit_code: int) -> bytes:
    if -exit_code in FILES_FAULT:
        _log.warning("media.decoder_died", extra={"signal": signal.Signals(-exit_code).name})
        return NOTHING
    if exit_code == EXIT_NOT_SANDBOXED:
        raise CannotAnalyse(answer.decode(errors="replace"))
    if exit_code != 0:
        raise CannotAnalyse(f"Listening to a file ended with exit code {exit_code}. Try again.")
    return answer


async def _answer(output: asyncio.StreamReader) -> bytes:
    """All that it prints, or the first `ANSWER_BYTES`, which are none of an answer."""
    try:
        return await output.readexactly(ANSWER_BYTES)
    except asyncio.IncompleteReadError as end:
        return end.partial
