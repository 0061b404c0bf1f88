"""The mixer: starts a process for each mix (`omnisonic.studio.mixdown.process`), and follows its reports. Asyncio.

The process gets no secrets in its environment and no names of files but those of the stems, only the open files.

Overload: a mix that takes longer than it may is stopped. It runs at idle priority; when it hardly got any processor
time, no file is to blame (`MixFailed`). Crash of the process: `UnusableStem` or `MixerCrashed`. Crash of this one: the
kernel ends the other (`omnisonic.studio.media.sandboxed_process`). Shutdown: cancelling ends the process at once.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from omnisonic.models import AudioFormat
from omnisonic.process.cpu_priority import use_only_idle_time
from omnisonic.process.cpu_starvation import is_cpu_starved
from omnisonic.studio.attempts import Crashed
from omnisonic.studio.media.sandboxed_process import DECODER_SIGNALS, bare_environment, kill, sandboxed_command
from omnisonic.studio.mixdown import (
    Bits,
    Done,
    Failed,
    Mixed,
    MixFailed,
    MixRequest,
    Progress,
    Project,
    Report,
    TooLong,
    Unusable,
    UnusableStem,
)

ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""numpy's products of matrices are small here: its threads would wait for each other five times longer than they
work."""
UNDECODABLE: Final = (
    "One of these files cannot be mixed: decoding it takes far too long, or fails. Mute one after the other."
)
TOO_LONG: Final = "The mix was not done within {within_s:.0f} seconds. Mute some of the files."
TOO_BUSY: Final = "The studio's machine was too busy with other things to mix. Try again later."

# The process may write bytecode, before it touches any file: only it imports numpy, half of whose time that saves.

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class MixerCrashed(MixFailed, Crashed):
    """The program failed: its installation is broken, somebody has killed it, or a file is to blame after all."""


def mixing_command() -> Sequence[str]:
    """The command of the mixing process."""
    return sandboxed_command("omnisonic.studio.mixdown.process")


async def mix(
    project: Project,
    files: Sequence[BinaryIO],
    output: BinaryIO,
    format_: AudioFormat,
    *,
    on_progress: Callable[[float], None],
    within_s: float,
    bits: Bits = 24,
    command: Callable[[], Sequence[str]] = mixing_command,
    at_idle_priority: bool = True,
) -> Mixed:
    """Mix `files` into `output`, in another process.

    Call it from the program's main thread: the process ends with the thread that started it.

    Args:
        project: Tempo, and the mix settings of the stems.
        files: The sound of each stem, in the order of the project: real files, each opened on its own.
        output: A real file. Its content is of no use when this raises.
        format_: The file format.
        on_progress: Called with the part that is done, from 0 to 1.
        within_s: Longest time.
        bits: Bits of a sample in WAV and FLAC.
        command: The command to run; another one in tests.
        at_idle_priority: Use only processor time that nobody else wants.

    Raises:
        UnusableStem: One of the files cannot be mixed.
        TooLong: It took longer than `within_s`.
        MixFailed: There is no mix, and no file is to blame.
        OSError: The process cannot be started.
    """
    for file in (*files, output):
        file.seek(0)
    numbers = [file.fileno() for file in files]
    request = MixRequest(project, format_, bits, numbers, output.fileno())
    return await run_process(
        command(),
        _encoder.encode(request),
        [*numbers, output.fileno()],
        on_progress=on_progress,
        within_s=within_s,
        at_idle_priority=at_idle_priority,
    )


async def run_process(
    command: Sequence[str],
    request: bytes,
    descriptors: Sequence[int],
    *,
    on_progress: Callable[[float], None],
    within_s: float,
    at_idle_priority: bool,
    too_long: str = TOO_LONG,
    undecodable: str = UNDECODABLE,
) -> Mixed:
    """Run a process that reads `request` from its standard input and prints `Report`s.

    Args:
        command: The command to run.
        request: What it is asked for.
        descriptors: The open files that it gets.
        on_progress: As for `mix`.
        within_s: As for `mix`.
        at_idle_priority: As for `mix`.
        too_long: The sentence of `TooLong`, with `within_s` to be filled in.
        undecodable: The sentence of `UnusableStem` when a file has ended the process.

    Raises as `mix`.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=bare_environment() | ONE_THREAD,
        pass_fds=descriptors,
    )
    if at_idle_priority:
        use_only_idle_time(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            process.stdin.write(request)
            process.stdin.close()
            last = await _read_reports(process.stdout, on_progress)
            exit_code = await process.wait()
    except TimeoutError:
        if is_cpu_starved(process.pid, within_s):
            raise MixFailed(TOO_BUSY) from None
        raise TooLong(too_long.format(within_s=within_s)) from None
    finally:
        await kill(process, process.stdout)
    return _check_result(last, exit_code, undecodable)


async def _read_reports(output: asyncio.StreamReader, on_progress: Callable[[float], None]) -> Report | None:
    """Read up to the last report; None when there is none. Raises `MixerCrashed` when a line is no report."""
    while True:
        try:
            line = await output.readline()
            report = _decoder.decode(line) if line else None
        except (ValueError, msgspec.DecodeError):  # a line that is too long, or no report
            raise MixerCrashed("Mixing has gone wrong. Try again.") from None
        if not isinstance(report, Progress):
            return report
        on_progress(report.done)


def _check_result(report: Report | None, exit_code: int, undecodable: str) -> Mixed:
    match report:
        case Done(mixed) if exit_code == 0:
            return mixed
        case Unusable(sentence):
            raise UnusableStem(sentence)
        case Failed(sentence):
            raise MixFailed(sentence)
    if -exit_code in DECODER_SIGNALS:
        _log.warning("mixdown.decoder_died", extra={"signal": signal.Signals(-exit_code).name})
        raise UnusableStem(undecodable)
    raise MixerCrashed(f"Mixing ended with exit code {exit_code}. Try again.")
