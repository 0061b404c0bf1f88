"""Writers of WAV, FLAC and MP3, with dither. Blocking.

The same samples give the same bytes: nothing in the file depends on the date or on the program (`bitexact`). WAV is
plain PCM, also with 24 bits, which most programs write and all read (RIFF, and RF64 of EBU Tech 3306 v1.1 beyond 4 GB);
FFmpeg would write the extensible header, which not all read. FLAC and MP3 are written by PyAV's FFmpeg.

Crash: a WAV file whose writer has not finished says that it is empty.
"""

import struct
from fractions import Fraction
from typing import Any, BinaryIO, Final, Protocol, TypeAlias

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.stream import AudioStream
from av.codec.context import Flags
from numpy.random import SFC64
from numpy.typing import NDArray

from omnisonic.models import AudioFormat
from omnisonic.studio.mixdown import RATE_HZ, Bits
from omnisonic.studio.mixdown.blocks import Samples

Integers: TypeAlias = NDArray[np.int32]
"""One row a channel; full scale is `2 ** (bits - 1)`."""

DITHER_SEED: Final = 770
DITHER_STEPS: Final = 65_536
"""Each uniform number is one of so many: far finer than a step is audible."""

CHANNELS: Final = 2
PCM: Final = 1
RIFF_BYTES: Final = 8
"""At the beginning of a file, that do not count for its size."""
DS64_BYTES: Final = 28
MOST_BYTES: Final = 0xFFFF_FFFF
"""The largest size that RIFF can express. In RF64 it means that the size is in `ds64`."""

EXACT: Final = {"fflags": "+bitexact"}
LAYOUT: Final = "stereo"
MP3_BITS_PER_S: Final = 320_000


class FileWriter(Protocol):
    """Writes the mix to a file, in blocks of two rows. Every method may raise `OSError`."""

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        ...

    def write(self, block: Samples) -> None:
        """Write the next block."""
        ...

    def finish(self) -> None:
        """Write the rest, and the length into the header. Once, and last."""
        ...


def open_writer(output: BinaryIO, format_: AudioFormat, bits: Bits) -> FileWriter:
    """A writer of this format, from the beginning of `output`. `bits` does not apply to MP3."""
    match format_:
        case "wav":
            return WavWriter(output, bits)
        case "flac":
            return FlacWriter(output, bits)
        case "mp3":
            return Mp3Writer(output)


class Dither:
    """Rounds samples to integers with dither, the same every time. One task owns it.

    Dither of two uniform numbers (TPDF, two steps wide) makes the rounding error a steady noise that does not depend on
    the sound (Lipshitz, Wannamaker, Vanderkooy: Quantization and Dither, 1992). Blocks of digital silence stay silent.
    """

    def __init__(self, bits: Bits) -> None:
        self._full_scale: int = 2 ** (bits - 1)
        self._noise = SFC64(DITHER_SEED)
        self._peak = 0

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        return self._peak / self._full_scale

    def quantise(self, block: Samples) -> Integers:
        """Round the next block, which does not reach full scale (`omnisonic.studio.mixdown.mastering.Limiter`)."""
        if not block.any():
            return np.zeros(block.shape, np.int32)
        # In double precision: a step of 24 bits is the last bit of a float.
        exact = np.multiply(block, self._full_scale, dtype=np.float64)
        exact += self._make_noise(block.size).reshape(block.shape)
        rounded: Integers = np.rint(exact, out=exact).astype(np.int32)
        self._peak = max(self._peak, int(rounded.max()), -int(rounded.min()))
        return rounded

    def _make_noise(self, count: int) -> NDArray[np.float64]:
        uniform = np.asarray(self._noise.random_raw(-(-count // 2)), "<u8").view("<u2")[: 2 * count]
        dither: NDArray[np.float64] = np.subtract(uniform[:count], uniform[count:], dtype=np.float64)
        return dither / DITHER_STEPS


def wav_header(data_bytes: int, bits: Bits, channels: int = CHANNELS) -> bytes:
    """The header of a WAV file with that many bytes of samples, an even number. It reserves the room for RF64."""
    frame_bytes = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, channels, RATE_HZ, RATE_HZ * frame_bytes, frame_bytes, bits)
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


def pack_samples(block: Integers, bits: Bits) -> bytes:
    """The samples of a block as WAV has them: the channels in turn, the lowest byte first."""
    turns = np.ascontiguousarray(block.T)
    if bits == 16:
        return turns.astype("<i2").tobytes()
    return turns.astype("<i4", copy=False).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


class WavWriter:
    """WAV with 16 or 24 bits."""

    def __init__(self, output: BinaryIO, bits: Bits) -> None:
        self._output = output
        self._bits: Bits = bits
        self._dither = Dither(bits)
        self._data_bytes = 0
        output.write(wav_header(0, bits))

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        return self._dither.peak

    def write(self, block: Samples) -> None:
        """Write the next block."""
        data = pack_samples(self._dither.quantise(block), self._bits)
        self._data_bytes += len(data)
        self._output.write(data)

    def finish(self) -> None:
        """Write the length. Two channels of 16 or 24 bits make an even number of bytes: no padding is needed."""
        self._output.seek(0)
        self._output.write(wav_header(self._data_bytes, self._bits))
        self._output.seek(0, 2)
        self._output.flush()


class FFmpegWriter:
    """A file with one sound that FFmpeg encodes, written from the beginning of `output`. Raises `OSError`."""

    def __init__(
        self,
        output: BinaryIO,
        container: str,
        codec: str,
        sample_format: str,
        bits_per_s: int = 0,
        *,
        layout: str = LAYOUT,
    ) -> None:
        self._container = av.open(output, "w", format=container, container_options=dict(EXACT))
        stream = self._container.add_stream(codec, rate=RATE_HZ, layout=layout, format=sample_format)
        assert isinstance(stream, AudioStream)
        self._stream = stream
        self._codec = stream.codec_context
        self._codec.flags |= Flags.bitexact
        if bits_per_s:
            self._codec.bit_rate = bits_per_s
        self._codec.open()
        self._format = sample_format
        self._layout = layout
        self._fifo = AudioFifo()
        self._frames = 0

    def write(self, samples: NDArray[Any], frames: int) -> None:
        """Encode the next samples, which are in the sample format."""
        if not frames:
            return
        frame = av.AudioFrame.from_ndarray(samples, format=self._format, layout=self._layout)
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), self._frames
        self._frames += frames
        self._fifo.write(frame)
        for part in self._fifo.read_many(self._codec.frame_size):
            self._container.mux(self._stream.encode(part))

    def finish(self) -> None:
        """Encode the rest, and complete the header."""
        last = self._fifo.read()
        if last is not None:
            self._container.mux(self._stream.encode(last))
        self._container.mux(self._stream.encode(None))
        self._container.close()


def flac_format(bits: Bits) -> str:
    """The sample format of FFmpeg's encoder of FLAC."""
    return "s16" if bits == 16 else "s32"


def pack_flac(block: Integers, bits: Bits) -> NDArray[Any]:
    """The samples of a block as that encoder takes them: all channels in turn, 24 bits as the upper ones of 32."""
    turns = np.ascontiguousarray(block.T).reshape(1, -1)
    return turns.astype(np.int16) if bits == 16 else turns << (32 - bits)


class FlacWriter:
    """FLAC with 16 or 24 bits."""

    def __init__(self, output: BinaryIO, bits: Bits) -> None:
        self._file = FFmpegWriter(output, "flac", "flac", flac_format(bits))
        self._bits: Bits = bits
        self._dither = Dither(bits)

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        return self._dither.peak

    def write(self, block: Samples) -> None:
        """Write the next block."""
        self._file.write(pack_flac(self._dither.quantise(block), self._bits), block.shape[1])

    def finish(self) -> None:
        """Write the rest."""
        self._file.finish()


class Mp3Writer:
    """MP3 at a constant 320 kbit/s (LAME). LAME takes floating point, so there is no dither."""

    def __init__(self, output: BinaryIO) -> None:
        self._file = FFmpegWriter(output, "mp3", "libmp3lame", "fltp", MP3_BITS_PER_S)
        self._peak = 0.0

    @property
    def peak(self) -> float:
        """The highest sample so far that LAME was given, of full scale."""
        return self._peak

    def write(self, block: Samples) -> None:
        """Write the next block."""
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
        self._file.write(np.ascontiguousarray(block), block.shape[1])

    def finish(self) -> None:
        """Write the rest."""
        self._file.finish()
