"""Says what files are by how they begin, where nothing simpler knows: each in a process of its own, in the sandbox
(`omnisonic.studio.media.identification`), while somebody waits for it. Asyncio.

Overload: `AT_ONCE` at a time, each `IDENTIFY_S` at most; whoever has waited `WAIT_S` for a turn is `Unavailable`, as is
who meets a machine that is too busy. A beginning that takes longer, or ends its decoder, is nothing that can be
decoded. Crash of this process: the other one goes with it. Shutdown: cancelling ends it at once.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from omnisonic.errors import Unavailable
from omnisonic.studio.media.analyser import CannotAnalyse, answer_of
from omnisonic.studio.media.media_types import MEDIA_TYPES
from omnisonic.studio.media.sandboxed_process import sandboxed_command

AT_ONCE: Final = 2
IDENTIFY_S: Final = 10.0
WAIT_S: Final = 20.0
BUSY: Final = "The studio is busy looking at other files. Send it again in a moment."


def identification() -> Sequence[str]:
    """The command that looks at its standard input."""
    return sandboxed_command("omnisonic.studio.media.identification")


class Identifier:
    """Looks at so many beginnings at once. One event loop owns it."""

    def __init__(self, *, command: Callable[[], Sequence[str]] = identification, wait_s: float = WAIT_S) -> None:
        self._command = command
        self._wait_s = wait_s
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def media_type(self, head: bytes) -> str | None:
        """Of the file that begins so; None when no sound in it can be decoded. Errors: `Unavailable`."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(BUSY) from None
        try:
            return await self._identified(head)
        except (CannotAnalyse, OSError) as problem:
            raise Unavailable(BUSY) from problem
        finally:
            self._turns.release()

    async def _identified(self, head: bytes) -> str | None:
        with tempfile.TemporaryFile(prefix="omnisonic-") as file:
            await asyncio.to_thread(file.write, head)
            file.seek(0)
            answer = await answer_of(file, self._command(), within_s=IDENTIFY_S, in_spare_time=False)
        try:
            name = msgspec.json.decode(answer, type=str | None)
        except msgspec.DecodeError:
            return None
        return None if name is None else MEDIA_TYPES.get(name)
