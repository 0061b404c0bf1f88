"""Readers of stems: `StemReader` reads some stems of a mix in this process, `ReaderProcess` in a forked one. Blocking.

A reader process runs under the same limits, in a sandbox of its own. Threads would gain nothing: decoding is thousands
of calls a second that each release the interpreter for some microseconds, and two threads took as long as one after the
other (measured).

Messages go through a pipe, each with a `HEADER`. Overload: the pipe holds some blocks; a reader that is ahead waits.
Crash of the reader: `ReaderDied`. Crash of the mixing process: the kernel ends the reader, or its next write does.
"""

import ctypes
import fcntl
import os
import signal
import struct
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from enum import IntEnum
from typing import BinaryIO, Final, NoReturn, Protocol, TypeAlias

import msgspec
import numpy as np

from omnisonic.process.sandbox import sandbox_child
from omnisonic.studio.mixdown import Stem, UnusableStem
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Samples
from omnisonic.studio.mixdown.tracks import Sum, Track, make_sources

HEADER: Final = struct.Struct("<Bq")
"""The type of a message, and a number."""
PIPE_BYTES: Final = 1_048_576
"""Four blocks, where the system lets a pipe be that large."""
PR_SET_PDEATHSIG: Final = 1

Stems: TypeAlias = Sequence[tuple[Stem, BinaryIO]]
"""Each with the file that has its sound."""

_sentences: msgspec.json.Decoder[list[str | None]] = msgspec.json.Decoder(list[str | None])


class StemSource(Protocol):
    """Some stems, summed. `open` and `read` may raise `UnusableStem`. One task owns it."""

    def open(self) -> int:
        """Open the files. Once, and first.

        Returns:
            How long the stems last, in the mix's frames, if their files are right about their length.
        """
        ...

    def read(self, frames: int) -> Samples:
        """The next frames, in two rows; fewer, or none, only at the end."""
        ...

    def missing(self) -> list[str | None]:
        """For each stem a sentence on what of its file is missing; None for nothing. Once, and last."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...


class StemReader:
    """Reads stems in this process."""

    def __init__(self, stems: Stems) -> None:
        self._stems = stems
        self._open_tracks = ExitStack()
        self._sum = Sum([])
        self._tracks = list[Track]()

    def open(self) -> int:
        """Open the files and decode their first blocks."""
        self._tracks = tracks = [
            self._open_tracks.enter_context(closing(Track(stem, file))) for stem, file in self._stems
        ]
        self._sum = Sum(make_sources(tracks))
        return max((track.declared_frames for track in tracks), default=0)

    def read(self, frames: int) -> Samples:
        """Decode, resample and sum."""
        return self._sum.read(frames)

    def missing(self) -> list[str | None]:
        """As the tracks report."""
        return [track.missing() for track in self._tracks]

    def close(self) -> None:
        """Close the files."""
        self._open_tracks.close()


class MessageType(IntEnum):
    """The types of messages, and what their number is."""

    LENGTH = 0
    """Declared frames."""
    BLOCK = 1
    """Frames that follow, one row after the other."""
    UNUSABLE = 2
    """Bytes of the sentence that follows."""
    OUT_OF_MEMORY = 3
    """Nothing."""
    MISSING = 4
    """Bytes of JSON that follow, after the last block."""


class ReaderDied(Exception):
    """A reader process ended too early, by `signal`, or by itself (0)."""

    def __init__(self, by_signal: int) -> None:
        super().__init__(by_signal)
        self.signal = by_signal


class ReaderProcess:
    """Reads stems in another process, forked when this is created: only from a process with one thread.

    Methods may also raise `ReaderDied` and `MemoryError`.
    """

    def __init__(self, stems: Stems) -> None:
        receiving, sending = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(receiving, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(receiving)
            _run_reader(stems, sending, parent)
        os.close(sending)
        self._pipe = os.fdopen(receiving, "rb")

    def open(self) -> int:
        """Wait until the process has opened the files."""
        return self._read_header()

    def read(self, frames: int) -> Samples:
        """Receive the next block; only the last one may be shorter than `BLOCK_FRAMES`."""
        assert frames == BLOCK_FRAMES
        block = np.empty((2, self._read_header()), np.float32)
        self._read_into(block.reshape(-1).view(np.uint8).data)
        return block

    def missing(self) -> list[str | None]:
        """Receive the last message."""
        return _sentences.decode(self._read_bytes(self._read_header()))

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _read_header(self) -> int:
        """The number of the next message."""
        kind, number = HEADER.unpack(self._read_bytes(HEADER.size))
        if kind == MessageType.UNUSABLE:
            raise UnusableStem(self._read_bytes(number).decode())
        if kind == MessageType.OUT_OF_MEMORY:
            raise MemoryError
        return int(number)

    def _read_bytes(self, size: int) -> bytes:
        data = bytearray(size)
        self._read_into(data)
        return bytes(data)

    def _read_into(self, buffer: bytearray | memoryview) -> None:
        if self._pipe.readinto(buffer) < len(buffer):
            _, status = os.waitpid(self.pid, 0)
            self.pid = 0
            raise ReaderDied(max(-os.waitstatus_to_exitcode(status), 0))


def _run_reader(stems: Stems, sending: int, parent: int) -> NoReturn:
    """The life of a reader process."""
    exit_code = 1
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            sandbox_child()
            with os.fdopen(sending, "wb") as pipe:
                try:
                    reader = StemReader(stems)
                    pipe.write(HEADER.pack(MessageType.LENGTH, reader.open()))
                    pipe.flush()
                    frames = BLOCK_FRAMES
                    while frames == BLOCK_FRAMES:
                        block = reader.read(BLOCK_FRAMES)
                        frames = block.shape[1]
                        pipe.write(HEADER.pack(MessageType.BLOCK, frames))
                        pipe.write(np.ascontiguousarray(block).data)
                    sentences = msgspec.json.encode(reader.missing())
                    pipe.write(HEADER.pack(MessageType.MISSING, len(sentences)) + sentences)
                except UnusableStem as problem:
                    sentence = problem.message.encode()
                    pipe.write(HEADER.pack(MessageType.UNUSABLE, len(sentence)) + sentence)
                except MemoryError:
                    pipe.write(HEADER.pack(MessageType.OUT_OF_MEMORY, 0))
            exit_code = 0
    finally:
        os._exit(exit_code)  # do not run the cleanup of the process that was forked


_fits: tuple[type[StemSource], type[StemSource]] = StemReader, ReaderProcess
