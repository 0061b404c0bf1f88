"""Reads some of the stems in a process of its own, forked from the one that mixes, under the same limits and in a
sandbox of its own.

Processes, because threads gain nothing here: decoding is thousands of calls a second that each let go of the
interpreter for some microseconds, and two threads at it took as long as one after the other (measured).

What goes through the pipe are messages, each with a `HEADER`. Overload: the pipe holds some blocks; a reader that is
ahead waits. Crash of the reader: `ReaderDied`. Crash of the other: the kernel ends the reader, or its next block does.
"""

import ctypes
import fcntl
import os
import signal
import struct
import sys
from enum import IntEnum
from typing import Final, NoReturn

import msgspec
import numpy as np

from omnisonic.process.sandbox import sandbox_child
from omnisonic.studio.mixdown import UnusableStem
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Samples
from omnisonic.studio.mixdown.part import Part, Readable, Stems

HEADER: Final = struct.Struct("<Bq")
"""What comes, and a number."""
PIPE_BYTES: Final = 1_048_576
"""Four blocks, where the system lets a pipe be that large."""
PR_SET_PDEATHSIG: Final = 1

_missing: msgspec.json.Decoder[list[str | None]] = msgspec.json.Decoder(list[str | None])


class Comes(IntEnum):
    """The kinds of messages, and what their number is."""

    LENGTH = 0
    """Frames said."""
    BLOCK = 1
    """Frames that follow, one row after the other."""
    UNUSABLE = 2
    """Bytes of the sentence that follows."""
    OUT_OF_MEMORY = 3
    """Nothing."""
    MISSING = 4
    """Bytes of JSON that follow, after the last block."""


class ReaderDied(Exception):
    """A reader ended before its stems did, by `signal`, or by itself (0)."""

    def __init__(self, by_signal: int) -> None:
        super().__init__(by_signal)
        self.signal = by_signal


class Reader:
    """Stems that are read by another process. It is forked when this is made: only from a process of one thread.

    Errors: `ReaderDied`, `MemoryError`, beside those of every part.
    """

    def __init__(self, stems: Stems) -> None:
        receiving, sending = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(receiving, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(receiving)
            _read(stems, sending, parent)
        os.close(sending)
        self._pipe = os.fdopen(receiving, "rb")

    def frames_said(self) -> int:
        """Waits until the files are opened."""
        return self._next()

    def read(self, frames: int) -> Samples:
        """The next block: so many frames are in each but the last."""
        assert frames == BLOCK_FRAMES
        block = np.empty((2, self._next()), np.float32)
        self._take(block.reshape(-1).view(np.uint8).data)
        return block

    def missing(self) -> list[str | None]:
        """What the process says last."""
        return _missing.decode(self._taken(self._next()))

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _next(self) -> int:
        """The number of the next message."""
        kind, number = HEADER.unpack(self._taken(HEADER.size))
        if kind == Comes.UNUSABLE:
            raise UnusableStem(self._taken(number).decode())
        if kind == Comes.OUT_OF_MEMORY:
            raise MemoryError
        return int(number)

    def _taken(self, size: int) -> bytes:
        data = bytearray(size)
        self._take(data)
        return bytes(data)

    def _take(self, into: bytearray | memoryview) -> None:
        if self._pipe.readinto(into) < len(into):
            _, status = os.waitpid(self.pid, 0)
            self.pid = 0
            raise ReaderDied(max(-os.waitstatus_to_exitcode(status), 0))


def _read(stems: Stems, sending: int, parent: int) -> NoReturn:
    """What the process does, all its life."""
    exit_code = 1
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            sandbox_child()
            with os.fdopen(sending, "wb") as pipe:
                try:
                    part = Part(stems)
                    pipe.write(HEADER.pack(Comes.LENGTH, part.frames_said()))
                    pipe.flush()
                    frames = BLOCK_FRAMES
                    while frames == BLOCK_FRAMES:
                        block = part.read(BLOCK_FRAMES)
                        frames = block.shape[1]
                        pipe.write(HEADER.pack(Comes.BLOCK, frames))
                        pipe.write(np.ascontiguousarray(block).data)
                    sentences = msgspec.json.encode(part.missing())
                    pipe.write(HEADER.pack(Comes.MISSING, len(sentences)) + sentences)
                except UnusableStem as problem:
                    sentence = problem.message.encode()
                    pipe.write(HEADER.pack(Comes.UNUSABLE, len(sentence)) + sentence)
                except MemoryError:
                    pipe.write(HEADER.pack(Comes.OUT_OF_MEMORY, 0))
            exit_code = 0
    finally:
        os._exit(exit_code)  # nothing that the other process has begun is to be ended here, too


_fits: type[Readable] = Reader
