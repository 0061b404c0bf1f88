"""Sound as blocks of floating-point samples: decoding into blocks, downmixing, and resampling. Blocking.

The packets of a file may have any size; blocks have the same size, so that each step costs little for each sample.
Samples that are not numbers become silence, and impossibly loud ones are clipped: a file of floats can contain
anything, and one such sample would drown the whole mix. One thread at a time.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import soxr  # type: ignore[import-untyped]
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from omnisonic.studio.media.decoding import shape_of
from omnisonic.studio.media.sound import Sound

Samples: TypeAlias = NDArray[np.float32]
"""One row a channel; full scale is 1."""

BLOCK_FRAMES: Final = 32_768
LOUDEST: Final = 64.0
"""36 dB over full scale: no real sound is louder."""
FULL_SCALES: Final = {"u8": 128.0, "s16": 32_768.0, "s32": 2_147_483_648.0}

UNNAMED_LAYOUTS: Final = {
    3: "FL FR FC",
    4: "FL FR FC BC",
    5: "FL FR FC BL BR",
    6: "FL FR FC FC BL BR",
    7: "FL FR FC FC BC SL SR",
    8: "FL FR FC FC BL BR SL SR",
}
"""The channels of a file that does not name them: the usual order, but without one for low effects, which must be
heard if it is not one. With more channels than that, all are in the middle."""
NAMELESS: Final = "NONE"
MINUS_3_DB: Final = 0.5**0.5
LOW_FREQUENCY: Final = ("LFE", "LFE2")

RESAMPLER_QUALITY: Final = "HQ"
"""soxr's: aliases are 120 dB down."""


class Block(NamedTuple):
    """Some samples, their rate, and the names of their channels, as FFmpeg calls them."""

    samples: Samples
    rate_hz: int
    channels: tuple[str, ...]


def read_blocks(sound: Sound) -> Iterator[Block]:
    """Decode the sound from its beginning to its end.

    Raises:
        ValueError: The sample format is unknown.
    """
    fifo, shape = AudioFifo(), None
    for frame in sound.frames():
        if shape_of(frame) != shape:
            yield from _drain(fifo)
            fifo, shape = AudioFifo(), shape_of(frame)
        frame.pts = None
        fifo.write(frame)
        if fifo.samples >= BLOCK_FRAMES:
            yield from _drain(fifo)
    yield from _drain(fifo)


def _drain(fifo: AudioFifo) -> Iterator[Block]:
    """All that is in it, in blocks: one frame may be as long as its file."""
    while (frame := fifo.read(BLOCK_FRAMES, partial=True)) is not None:
        channels = tuple(channel.name for channel in frame.layout.channels)
        yield Block(_to_float(frame), frame.sample_rate, channels)


def _to_float(frame: AudioFrame) -> Samples:
    raw = frame.to_ndarray()
    kind = frame.format.packed.name
    if not frame.format.is_planar:
        raw = raw.reshape(frame.samples, frame.layout.nb_channels).T
    if kind in ("flt", "dbl"):
        return _clip_impossible(raw)
    if kind not in FULL_SCALES:
        raise ValueError(kind)
    samples = np.empty(raw.shape, np.float32)
    np.multiply(raw, np.float32(1 / FULL_SCALES[kind]), out=samples, casting="same_kind", dtype=np.float32)
    if kind == "u8":
        samples -= 1
    return samples


def _clip_impossible(raw: NDArray[Any]) -> Samples:
    """`raw` without samples that are not numbers or too loud to be real."""
    if not (raw.min() >= -LOUDEST and raw.max() <= LOUDEST):  # a NaN fails both comparisons
        raw = np.clip(np.nan_to_num(raw), -LOUDEST, LOUDEST)
    return np.ascontiguousarray(raw, np.float32)


def downmix(samples: Samples, names: tuple[str, ...]) -> Samples:
    """Mix any number of channels down to one or two (ITU-R BS.775-4, annex 4). Pure.

    One channel stays one and two stay two. Of more, those on a side go to that side, and those in the middle and behind
    to both, at -3 dB. The channel for low effects is left out, as the recommendation says. The whole is then turned
    down so far that no side can become louder than one channel at full scale.

    Args:
        samples: One row a channel.
        names: The channels' names.
    """
    if len(names) <= 2:
        return samples
    if NAMELESS in names:
        names = tuple(UNNAMED_LAYOUTS.get(len(names), "FC " * len(names)).split())
    weights = np.array([_channel_weights(name) for name in names], np.float32).T
    weights /= max(float(weights.sum(axis=1).max()), 1.0)
    mixed: Samples = weights @ samples
    return mixed


def _channel_weights(name: str) -> tuple[float, float]:
    """How loud a channel is on the left and on the right."""
    if name in LOW_FREQUENCY:
        return 0.0, 0.0
    side = 1.0 if name in ("FL", "FR", "DL", "DR") else MINUS_3_DB
    if name.endswith("L"):
        return side, 0.0
    if name.endswith("R"):
        return 0.0, side
    behind = MINUS_3_DB if name.startswith("B") else 1.0
    return MINUS_3_DB * behind, MINUS_3_DB * behind


class Resampler:
    """Converts sound from one rate to another, block by block, with soxr.

    It adds no delay: the first sample that comes out is where the first one went in. Some of the output may come with a
    later block. One task owns it.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        self.input_shape = from_hz, channels
        # One for each channel: soxr wants the channels interleaved, everything here has them apart.
        count = 0 if from_hz == to_hz else channels
        self._streams = [soxr.ResampleStream(from_hz, to_hz, 1, "float32", RESAMPLER_QUALITY) for _ in range(count)]
        self._nothing = np.zeros((channels, 0), np.float32)

    def process(self, samples: Samples) -> Samples:
        """Convert the next samples."""
        return self._resample(samples, last=False) if self._streams else samples

    def finish(self) -> Samples:
        """The output that has not come yet. Nothing may go in afterwards."""
        return self._resample(self._nothing, last=True) if self._streams else self._nothing

    def _resample(self, samples: Samples, *, last: bool) -> Samples:
        rows = zip(self._streams, samples, strict=True)
        return np.stack([stream.resample_chunk(row, last) for stream, row in rows])
