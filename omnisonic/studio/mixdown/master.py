"""The last part of the way: the mix is limited, measured, rounded and written. Blocking. One task owns it."""

import math
from typing import BinaryIO, Protocol

from omnisonic.models import ExportFormat
from omnisonic.studio.mixdown import RATE_HZ, Bits, Mixed
from omnisonic.studio.mixdown.blocks import Samples
from omnisonic.studio.mixdown.encoded import FlacFile, Mp3File
from omnisonic.studio.mixdown.limiter import Limiter
from omnisonic.studio.mixdown.loudness import LoudnessMeter
from omnisonic.studio.mixdown.wav import WavFile


class Recording(Protocol):
    """A file that is being written. Errors: `OSError`."""

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        ...

    def write(self, block: Samples) -> None:
        """The sound goes on with this, in two rows."""
        ...

    def finish(self) -> None:
        """Write what is left, and what the file says of its length. Once, and last."""
        ...


def recording(output: BinaryIO, format_: ExportFormat, bits: Bits) -> Recording:
    """A file of this kind, written to `output` from its beginning. MP3 has no bits."""
    match format_:
        case "wav":
            return WavFile(output, bits)
        case "flac":
            return FlacFile(output, bits)
        case "mp3":
            return Mp3File(output)


class Master:
    """Takes the mix in blocks of two rows. Errors: those of the recording."""

    def __init__(self, onto: Recording) -> None:
        self._limiter = Limiter()
        self._meter = LoudnessMeter()
        self._recording = onto
        self._frames = 0

    def go_on(self, block: Samples) -> None:
        """The mix goes on with this."""
        self._put(self._limiter.go_on(block))

    def finish(self) -> Mixed:
        """Write the rest; what has become of it all."""
        self._put(self._limiter.finish())
        self._recording.finish()
        peak = self._recording.peak
        return Mixed(self._frames / RATE_HZ, self._meter.lufs, 20 * math.log10(peak) if peak else None)

    def _put(self, block: Samples) -> None:
        self._frames += block.shape[1]
        self._meter.go_on(block)
        self._recording.write(block)
