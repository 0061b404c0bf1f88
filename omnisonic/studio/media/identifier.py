"""The identifier: finds the media type of a file by its beginning, where the known signatures do not match. Asyncio.

Each beginning is looked at by a sandboxed process (`omnisonic.studio.media.identification`), while a request waits.

Overload: `AT_ONCE` processes, each for `IDENTIFY_S` at most, `TIMES` times that where others take all processor time. A
request that has waited `WAIT_S` for its turn gets `Unavailable`, as does one on a machine that is too busy. A beginning
that takes longer, or crashes its decoder, is none that can be decoded. Crash of this process: the kernel ends the
other. Shutdown: cancelling ends the process at once.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from omnisonic.errors import Unavailable
from omnisonic.studio.media.analyser import CannotAnalyse, run_sandboxed
from omnisonic.studio.media.sandboxed_process import sandboxed_command

AT_ONCE: Final = 2
IDENTIFY_S: Final = 10.0
TIMES: Final = 3
"""It takes a tenth of a second of processor time: where it is late, others have had it."""
WAIT_S: Final = 20.0
BUSY: Final = "The studio is busy looking at other files. Send it again in a moment."

MEDIA_TYPES: Final = {
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "ape": "audio/x-ape",
    "asf": "video/x-ms-asf",
    "au": "audio/basic",
    "avi": "video/x-msvideo",
    "caf": "audio/x-caf",
    "dsf": "audio/x-dsf",
    "eac3": "audio/eac3",
    "flac": "audio/flac",
    "flv": "video/x-flv",
    "matroska": "video/x-matroska",
    "mov": "video/mp4",
    "mp3": "audio/mpeg",
    "mpeg": "video/mpeg",
    "mpegts": "video/mp2t",
    "ogg": "audio/ogg",
    "tta": "audio/x-tta",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
    "wv": "audio/x-wavpack",
}
"""The media type of each format, by FFmpeg's first name for it. All are sound or films: nothing that a browser runs."""


def identification_command() -> Sequence[str]:
    """The command of the identifying process."""
    return sandboxed_command("omnisonic.studio.media.identification")


class Identifier:
    """Identifies files, `AT_ONCE` at a time. One event loop owns it."""

    def __init__(
        self, *, command: Callable[[], Sequence[str]] = identification_command, wait_s: float = WAIT_S
    ) -> None:
        self._command = command
        self._wait_s = wait_s
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def media_type(self, head: bytes) -> str | None:
        """Find the media type of the file that begins with `head`; None when no sound in it can be decoded.

        Raises:
            Unavailable: The machine is too busy.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(BUSY) from None
        try:
            return await self._identify(head)
        except (CannotAnalyse, OSError) as problem:
            raise Unavailable(BUSY) from problem
        finally:
            self._turns.release()

    async def _identify(self, head: bytes) -> str | None:
        with tempfile.TemporaryFile(prefix="omnisonic-") as file:
            await asyncio.to_thread(file.write, head)
            file.seek(0)
            answer = await run_sandboxed(
                file, self._command(), within_s=IDENTIFY_S, at_idle_priority=False, times=TIMES
            )
        try:
            name = msgspec.json.decode(answer, type=str | None)
        except msgspec.DecodeError:
            return None
        return None if name is None else MEDIA_TYPES.get(name)
