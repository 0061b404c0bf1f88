"""Cutting: runs the process that cuts a file into segments (`omnisonic.studio.segments.process`). Asyncio.

The process gets no secrets in its environment and no name of the file, only the open file. What it prints is not
believed: more or larger segments than there can be end it.

Overload: the process waits while its segments are not taken, so one or two of them are in memory. A file for which it
was waited longer than `within_s` cannot be played, unless the machine had hardly any processor time for it. Crash of
the process: `NoSegments` or `CuttingCrashed`. Crash of this one: the kernel ends the other
(`omnisonic.studio.media.sandboxed_process`). Shutdown: closing the iterator, or cancelling, ends the process at once.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from omnisonic.process.cpu_priority import use_only_idle_time
from omnisonic.process.cpu_starvation import is_cpu_starved
from omnisonic.studio.attempts import Crashed
from omnisonic.studio.media.sandboxed_process import DECODER_SIGNALS, bare_environment, kill, sandboxed_command
from omnisonic.studio.segments import CannotCut, Cut, NoSegments
from omnisonic.studio.segments.messages import HEADER, MOST_BYTES, MessageType

CUT_S: Final = 1_200.0
"""Longest time to cut a file: four hours of stereo take a tenth of it on an idle processor."""
MOST_SEGMENTS: Final = 1_500
"""A little more than the four hours that are decoded at most."""
ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""numpy's threads would have nothing to do, and the sandbox wants a process without any."""
UNDECODABLE: Final = "Decoding this file fails, so it cannot be played here."
TOO_SLOW: Final = "Decoding this file takes far too long, so it cannot be played here."
TOO_BUSY: Final = "This machine is too busy to prepare a file for playing. Try again later."

_log = logging.getLogger(__name__)
_cuts: msgspec.json.Decoder[Cut] = msgspec.json.Decoder(Cut)


class CuttingCrashed(CannotCut, Crashed):
    """The program failed: its installation is broken, somebody has killed it, or the file is to blame after all."""


def cutting_command() -> Sequence[str]:
    """The command of the process."""
    return sandboxed_command("omnisonic.studio.segments.process")


class Cutting:
    """Cuts `file`, a real one, into segments, once. Use it in the program's main thread: the process ends with it.

    `ends` and `cut` are complete once all segments were read. `within_s` is the longest time to wait for the process.
    `command` is another one in tests.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        command: Callable[[], Sequence[str]] = cutting_command,
        within_s: float = CUT_S,
        at_idle_priority: bool = True,
    ) -> None:
        self.ends = list[int]()
        self.cut: Cut | None = None
        self._file = file
        self._command = command
        self._within_s = within_s
        self._waited_s = 0.0
        self._at_idle_priority = at_idle_priority

    async def segments(self) -> AsyncGenerator[bytes, None]:
        """The segments, one after the other. Close it (`contextlib.aclosing`).

        Raises:
            NoSegments: The file has no sound that can be played.
            CannotCut: The machine is too busy, or has no sandbox.
            CuttingCrashed: The program failed.
            OSError: The process cannot be started.
        """
        self._file.seek(0)
        process = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=self._file,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=bare_environment() | ONE_THREAD,
        )
        assert process.stdout is not None
        if self._at_idle_priority:
            use_only_idle_time(process.pid)
        try:
            while (segment := await self._wait_for_segment(process)) is not None:
                self.ends.append((self.ends[-1] if self.ends else 0) + len(segment))
                yield segment
                del segment
            exit_code = await process.wait()
        finally:
            await kill(process, process.stdout)
        if self.cut is None or not self.ends:
            _explain_exit(exit_code)

    async def _wait_for_segment(self, process: asyncio.subprocess.Process) -> bytes | None:
        """As `_read_segment`. Only the time in here counts: whoever takes the segments may be slow."""
        assert process.stdout is not None
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        try:
            async with asyncio.timeout(self._within_s - self._waited_s):
                return await self._read_segment(process.stdout)
        except TimeoutError:
            if is_cpu_starved(process.pid, self._within_s):
                raise CannotCut(TOO_BUSY) from None
            _log.warning("segments.given_up", extra={"after_s": self._within_s})
            raise NoSegments(TOO_SLOW) from None
        finally:
            self._waited_s += clock() - begun_s

    async def _read_segment(self, output: asyncio.StreamReader) -> bytes | None:
        """The next segment; None at the end, when `cut` is set if the process was done. Raises as `segments`."""
        try:
            kind, size = HEADER.unpack(await output.readexactly(HEADER.size))
            if size > MOST_BYTES or len(self.ends) > MOST_SEGMENTS:
                raise NoSegments(UNDECODABLE)
            body = await output.readexactly(size)
        except asyncio.IncompleteReadError:
            return None
        match kind:
            case MessageType.SEGMENT if body:
                return body
            case MessageType.DONE:
                self.cut = _read_cut(body)
                return None
            case MessageType.UNUSABLE:
                raise NoSegments(body.decode(errors="replace"))
            case MessageType.FAILED:
                raise CannotCut(body.decode(errors="replace"))
        raise NoSegments(UNDECODABLE)


def _read_cut(body: bytes) -> Cut:
    try:
        return _cuts.decode(body)
    except msgspec.DecodeError:
        raise NoSegments(UNDECODABLE) from None


def _explain_exit(exit_code: int) -> None:
    """Raise what it means that the process ended before it was done."""
    if -exit_code in DECODER_SIGNALS:
        _log.warning("segments.decoder_died", extra={"signal": signal.Signals(-exit_code).name})
        raise NoSegments(UNDECODABLE)
    raise CuttingCrashed(f"Cutting a file into segments ended with exit code {exit_code}. Try again.")
