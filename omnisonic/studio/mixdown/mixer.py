"""Has mixes made, each in a process of its own (`omnisonic.studio.mixdown.process`) that knows nothing: no secrets in
its environment, no names of files but those of the stems, only the open files themselves. Asyncio.

Overload: a mix that takes longer than it may is given up; it runs while nobody else wants the processor, and when it
hardly got any, that is told, for no file is to blame (`MixFailed`). Crash of the process: told. Crash of this one: the
other goes with it (`omnisonic.studio.media.sandboxed_process`). Shutdown: cancelling ends the other one at once.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from omnisonic.models import ExportFormat
from omnisonic.process.cpu_priority import use_only_idle_time
from omnisonic.process.cpu_starvation import is_cpu_starved
from omnisonic.studio.media.sandboxed_process import FILES_FAULT, bare_environment, end, sandboxed_command
from omnisonic.studio.mixdown import Bits, Mixed, MixFailed, Project, TooLong, UnusableStem
from omnisonic.studio.mixdown.ipc import Done, Failed, News, Order, Progress, Unusable

ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""numpy's products of matrices are small here: its threads would wait for each other longer than they work (five
times)."""
ASTRAY: Final = (
    "One of these files cannot be mixed: decoding it takes far too long, or fails. Mute one after the other."
)
TOO_BUSY: Final = "The studio's machine was too busy with other things to mix. Try again later."

# It may write bytecode, which it does before it touches any file: only it imports numpy, half of whose time that saves.

_log = logging.getLogger(__name__)
_order = msgspec.json.Encoder()
_news: msgspec.json.Decoder[News] = msgspec.json.Decoder(News)


def mixing() -> Sequence[str]:
    """The command that mixes."""
    return sandboxed_command("omnisonic.studio.mixdown.process")


async def mix(
    project: Project,
    files: Sequence[BinaryIO],
    output: BinaryIO,
    format_: ExportFormat,
    *,
    told: Callable[[float], None],
    within_s: float,
    bits: Bits = 24,
    command: Callable[[], Sequence[str]] = mixing,
    in_spare_time: bool = True,
) -> Mixed:
    """Mix `files`, each the sound of the stem in its place, into `output`; `told` hears how much is done, from 0 to 1.

    All are real files, each opened for itself; afterwards they stand anywhere. When this raises, what is in `output` is
    of no use. Call it from the program's main thread: the process is leashed to the thread that started it. Errors:
    `UnusableStem`, `TooLong`, `MixFailed`, `OSError` when the process cannot be started.
    """
    for file in (*files, output):
        file.seek(0)
    numbers = [file.fileno() for file in files]
    order = Order(project, format_, bits, numbers, output.fileno())
    process = await asyncio.create_subprocess_exec(
        *command(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=bare_environment() | ONE_THREAD,
        pass_fds=(*numbers, output.fileno()),
    )
    if in_spare_time:
        use_only_idle_time(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            process.stdin.write(_order.encode(order))
            process.stdin.close()
            last = await _followed(process.stdout, told)
            exit_code = await process.wait()
    except TimeoutError:
        if is_cpu_starved(process.pid, within_s):
            raise MixFailed(TOO_BUSY) from None
        raise TooLong(f"The mix was not done within {within_s:.0f} seconds. Mute some of the files.") from None
    finally:
        await end(process, process.stdout)
    return _understood(last, exit_code)


async def _followed(output: asyncio.StreamReader, told: Callable[[float], None]) -> News | None:
    """The last news; None when it ended without. Errors: `MixFailed` when it says what is no news."""
    while True:
        try:
            line = await output.readline()
            news = _news.decode(line) if line else None
        except (ValueError, msgspec.DecodeError):  # a line that is longer than any, or none of ours
            raise MixFailed("Mixing has gone wrong. Try again.") from None
        if not isinstance(news, Progress):
            return news
        told(news.done)


def _understood(news: News | None, exit_code: int) -> Mixed:
    match news:
        case Done(mixed) if exit_code == 0:
            return mixed
        case Unusable(sentence):
            raise UnusableStem(sentence)
        case Failed(sentence):
            raise MixFailed(sentence)
    if -exit_code in FILES_FAULT:
        _log.warning("mixdown.decoder_died", extra={"signal": signal.Signals(-exit_code).name})
        raise UnusableStem(ASTRAY)
    raise MixFailed(f"Mixing ended with exit code {exit_code}. Try again.")
