"""Writes FLAC and MP3 with the FFmpeg that comes with PyAV. Blocking.

The same samples give the same bytes: nothing in the file tells of a date, or of what wrote it (`bitexact`).
"""

from fractions import Fraction
from typing import Any, BinaryIO, Final

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.stream import AudioStream
from av.codec.context import Flags
from numpy.typing import NDArray

from omnisonic.studio.mixdown import RATE_HZ, Bits
from omnisonic.studio.mixdown.blocks import Samples
from omnisonic.studio.mixdown.dither import Dither

EXACT: Final = {"fflags": "+bitexact"}
LAYOUT: Final = "stereo"
MP3_BITS_PER_S: Final = 320_000


class EncodedFile:
    """A file of one sound, written to `output` from its beginning. Errors: `OSError`."""

    def __init__(self, output: BinaryIO, container: str, codec: str, sample_format: str, bits_per_s: int = 0) -> None:
        self._container = av.open(output, "w", format=container, container_options=dict(EXACT))
        stream = self._container.add_stream(codec, rate=RATE_HZ, layout=LAYOUT, format=sample_format)
        assert isinstance(stream, AudioStream)
        self._stream = stream
        self._codec = stream.codec_context
        self._codec.flags |= Flags.bitexact
        if bits_per_s:
            self._codec.bit_rate = bits_per_s
        self._codec.open()
        self._format = sample_format
        self._fifo = AudioFifo()
        self._frames = 0

    def write(self, samples: NDArray[Any], frames: int) -> None:
        """The sound goes on with these, which are as the sample format has them."""
        if not frames:
            return
        frame = av.AudioFrame.from_ndarray(samples, format=self._format, layout=LAYOUT)
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), self._frames
        self._frames += frames
        self._fifo.write(frame)
        for part in self._fifo.read_many(self._codec.frame_size):
            self._container.mux(self._stream.encode(part))

    def finish(self) -> None:
        """Write what is left, and at the beginning of the file what it says of the whole."""
        last = self._fifo.read()
        if last is not None:
            self._container.mux(self._stream.encode(last))
        self._container.mux(self._stream.encode(None))
        self._container.close()


class FlacFile:
    """FLAC of 16 or 24 bits, in blocks of two rows."""

    def __init__(self, output: BinaryIO, bits: Bits) -> None:
        self._file = EncodedFile(output, "flac", "flac", "s16" if bits == 16 else "s32")
        self._bits = bits
        self._quantiser = Dither(bits)

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        return self._quantiser.peak

    def write(self, block: Samples) -> None:
        """The sound goes on with this."""
        turns = np.ascontiguousarray(self._quantiser.rounded(block).T).reshape(1, -1)
        # The encoder takes the upper 24 of 32 bits.
        self._file.write(turns.astype(np.int16) if self._bits == 16 else turns << (32 - self._bits), block.shape[1])

    def finish(self) -> None:
        """Write what is left."""
        self._file.finish()


class Mp3File:
    """MP3 at a constant 320 kbit/s (LAME), in blocks of two rows. LAME does its own rounding."""

    def __init__(self, output: BinaryIO) -> None:
        self._file = EncodedFile(output, "mp3", "libmp3lame", "fltp", MP3_BITS_PER_S)
        self._peak = 0.0

    @property
    def peak(self) -> float:
        """The highest sample so far that LAME was given, of full scale."""
        return self._peak

    def write(self, block: Samples) -> None:
        """The sound goes on with this."""
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
        self._file.write(np.ascontiguousarray(block), block.shape[1])

    def finish(self) -> None:
        """Write what is left."""
        self._file.finish()
