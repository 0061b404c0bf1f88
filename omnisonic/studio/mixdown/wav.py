"""Writes WAV (RIFF, and EBU Tech 3306 v1.1 beyond 4 GB). Blocking.

Plain PCM, even of 24 bits, as most programs write and all read it; the extensible header that FFmpeg would write is not
understood by all. How long it gets shows at the end: a place is kept for the sizes that do not fit the usual one.
Crash: what is there says of itself that it is empty.
"""

import struct
from typing import BinaryIO, Final

import numpy as np

from omnisonic.studio.mixdown import RATE_HZ, Bits
from omnisonic.studio.mixdown.blocks import Samples
from omnisonic.studio.mixdown.dither import Dither, Integers

CHANNELS: Final = 2
PCM: Final = 1
RIFF_BYTES: Final = 8
"""Of a file, that do not count for its size."""
DS64_BYTES: Final = 28
MOST_BYTES: Final = 0xFFFF_FFFF
"""What a size of the usual kind can say; in the other kind of file it says that it is elsewhere."""


def header(data_bytes: int, bits: Bits) -> bytes:
    """What is before so many bytes of samples."""
    frame_bytes = CHANNELS * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, CHANNELS, RATE_HZ, RATE_HZ * frame_bytes, frame_bytes, bits)
    begin_bytes = len(b"WAVE") + RIFF_BYTES + DS64_BYTES + len(form) + RIFF_BYTES
    size_bytes = begin_bytes + data_bytes
    if size_bytes <= MOST_BYTES:
        sizes = struct.pack("<4sI", b"JUNK", DS64_BYTES) + bytes(DS64_BYTES)
        return (
            struct.pack("<4sI4s", b"RIFF", size_bytes, b"WAVE")
            + sizes
            + form
            + struct.pack("<4sI", b"data", data_bytes)
        )
    sizes = struct.pack("<4sIQQQI", b"ds64", DS64_BYTES, size_bytes, data_bytes, data_bytes // frame_bytes, 0)
    return struct.pack("<4sI4s", b"RF64", MOST_BYTES, b"WAVE") + sizes + form + struct.pack("<4sI", b"data", MOST_BYTES)


def packed(block: Integers, bits: Bits) -> bytes:
    """The samples of a block as they are in the file: both channels in turn, the lowest byte first."""
    turns = np.ascontiguousarray(block.T)
    if bits == 16:
        return turns.astype("<i2").tobytes()
    return turns.astype("<i4", copy=False).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


class WavFile:
    """Writes to `output`, from its beginning. Errors: `OSError`."""

    def __init__(self, output: BinaryIO, bits: Bits) -> None:
        self._output = output
        self._bits: Bits = bits
        self._quantiser = Dither(bits)
        self._data_bytes = 0
        output.write(header(0, bits))

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        return self._quantiser.peak

    def write(self, block: Samples) -> None:
        """The sound goes on with this."""
        data = packed(self._quantiser.rounded(block), self._bits)
        self._data_bytes += len(data)
        self._output.write(data)

    def finish(self) -> None:
        """Say how long it is. Both channels of 16 or 24 bits make an even number of bytes: nothing is to be added."""
        self._output.seek(0)
        self._output.write(header(self._data_bytes, self._bits))
        self._output.seek(0, 2)
        self._output.flush()
