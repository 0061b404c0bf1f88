"""What the mixdown hears of a file, and what its segments sound like one after the other."""

import io
from collections.abc import Sequence
from typing import BinaryIO, Final

import numpy as np
import soundfile  # type: ignore[import-untyped]

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES
from omnisonic.studio.mixdown.readers import StemReader
from omnisonic.studio.mixdown.tracks import pan_gains
from omnisonic.studio.segments import Cut
from omnisonic.studio.segments.process import SEGMENT_FRAMES
from tests.studio.mixdown.sounds import Sound

STEP: Final = 2.0**-23
"""Of 24 bits."""


def heard_by_mixdown(file: BinaryIO) -> Sound:
    """Both sides of the only stem of a mix, in the middle, as they are summed: one row a side."""
    file.seek(0)
    reader = StemReader([(Stem("a"), file)])
    reader.open()
    blocks = []
    while (block := reader.read(BLOCK_FRAMES)).shape[1]:
        blocks.append(block.astype(np.float64))
    reader.close()
    return np.concatenate(blocks, axis=1)


def heard_in_segments(segments: Sequence[bytes], cut: Cut) -> Sound:
    """The segments, each decoded by another library, one after the other, with the mix settings of the middle."""
    decoded = []
    for data in segments:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
        assert (rate, samples.shape[1]) == (RATE_HZ, cut.channels)
        assert soundfile.info(io.BytesIO(data)).subtype == f"PCM_{cut.bits}"
        decoded.append(samples)
    assert {len(samples) for samples in decoded[:-1]} <= {SEGMENT_FRAMES}
    assert 0 < len(decoded[-1]) <= SEGMENT_FRAMES
    whole = np.concatenate(decoded).T * cut.gain
    assert whole.shape[1] == cut.frames
    gains = pan_gains(cut.channels, 0.0, 0.0)
    return np.stack([whole[side % cut.channels] * gain for side, gain in enumerate(gains)])
