"""The analyser: analyses each file in a sandboxed process (`omnisonic.studio.media.probe`). Asyncio.

The process gets no secrets in its environment and no name of the file, only the open file.

Overload: a file that takes longer than `ANALYSE_S` counts as one without sound, unless the machine had hardly any
processor time for it. Crash of the decoder: the same. Crash of this process: the kernel ends the other
(`omnisonic.studio.media.sandboxed_process`). Shutdown: cancelling ends the process at once.
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
from omnisonic.studio.attempts import Crashed
from omnisonic.studio.media.sandboxed_process import DECODER_SIGNALS, bare_environment, kill, sandboxed_command
from omnisonic.studio.uploads import Analysis

ANALYSE_S: Final = 150.0
OUTPUT_BYTES: Final = 1_048_576
"""More than the peaks of the longest sound take, at eight characters each."""

NO_RESULT: Final = b"null"

_log = logging.getLogger(__name__)
_decoder: msgspec.json.Decoder[Analysis | None] = msgspec.json.Decoder(Analysis | None)


class CannotAnalyse(OmnisonicError):
    """The file was not analysed, and nothing says that the file is to blame."""

    code = "cannot_listen"


class AnalyserCrashed(CannotAnalyse, Crashed):
    """The program failed: its installation is broken, somebody has killed it, or the file is to blame after all."""


def probe_command() -> Sequence[str]:
    """The command of the analysing process."""
    return sandboxed_command("omnisonic.studio.media.probe")


async def analyse_file(
    file: BinaryIO,
    *,
    command: Callable[[], Sequence[str]] = probe_command,
    within_s: float = ANALYSE_S,
    at_idle_priority: bool = True,
) -> Analysis | None:
    """Analyse `file` in another process.

    Call it from the program's main thread: the process ends with the thread that started it.

    Args:
        file: A real file, at its beginning.
        command: The command to run; another one in tests.
        within_s: Longest time.
        at_idle_priority: Use only processor time that nobody else wants.

    Returns:
        The analysis; None when the file has no sound that can be decoded.

    Raises:
        CannotAnalyse: The machine is too busy, or has no sandbox.
        AnalyserCrashed: The program failed.
        OSError: The process cannot be started.
    """
    output = await run_sandboxed(file, command(), within_s=within_s, at_idle_priority=at_idle_priority)
    try:
        return _decoder.decode(output)
    except msgspec.DecodeError:
        _log.warning("media.decoder_output_invalid", extra={"answer_bytes": len(output)})
        return None


async def run_sandboxed(
    file: BinaryIO, command: Sequence[str], *, within_s: float, at_idle_priority: bool, times: int = 1
) -> bytes:
    """Run one of our commands with `file` as its standard input, and return what it prints.

    When the process has hardly got any processor time, it gets `within_s` again, `times` times in all. Returns `null`
    when the decoder crashed or took too long. Raises as `analyse_file`.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=file,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=bare_environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    if at_idle_priority:
        use_only_idle_time(process.pid)
    assert process.stdout is not None
    ending = asyncio.create_task(_end(process, process.stdout))
    try:
        for number in range(1, times + 1):
            await asyncio.wait({ending}, timeout=within_s)
            if ending.done():
                return _check_exit(*ending.result())
            if not is_cpu_starved(process.pid, number * within_s):
                _log.warning("media.given_up", extra={"after_s": number * within_s})
                return NO_RESULT
        raise CannotAnalyse("This machine is too busy to listen to a file. Try again later.")
    finally:
        ending.cancel()
        await asyncio.wait({ending})
        await kill(process, process.stdout)


async def _end(process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> tuple[bytes, int]:
    """All that it prints, or the first `OUTPUT_BYTES`, which are not valid JSON; and its exit code."""
    try:
        printed = await output.readexactly(OUTPUT_BYTES)
    except asyncio.IncompleteReadError as end:
        printed = end.partial
    return printed, await process.wait()


def _check_exit(output: bytes, exit_code: int) -> bytes:
    if -exit_code in DECODER_SIGNALS:
        _log.warning("media.decoder_died", extra={"signal": signal.Signals(-exit_code).name})
        return NO_RESULT
    if exit_code == EXIT_NOT_SANDBOXED:
        raise CannotAnalyse(output.decode(errors="replace"))
    if exit_code != 0:
        raise AnalyserCrashed(f"Listening to a file ended with exit code {exit_code}. Try again.")
    return output
