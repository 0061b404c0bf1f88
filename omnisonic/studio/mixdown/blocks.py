"""The decoded sound of a file as blocks of samples in floating point. Blocking, like all decoding. One thread at a
time.

The packets of a file may be of any size; blocks are not, so that what is done with them costs little a sample. Samples
that are not numbers become silence, and such as are impossibly loud are cut: a file of floats can hold anything, and
one such sample would drown the whole mix.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from omnisonic.studio.media.decoding import shape_of
from omnisonic.studio.media.sound import Sound

Samples: TypeAlias = NDArray[np.float32]
"""One row a channel; full scale is 1."""

BLOCK_FRAMES: Final = 32_768
LOUDEST: Final = 64.0
"""36 dB over full scale. Nobody means that."""
FULL_SCALES: Final = {"u8": 128.0, "s16": 32_768.0, "s32": 2_147_483_648.0}


class Block(NamedTuple):
    """Some samples, their rate, and the names of their channels, as FFmpeg calls them."""

    samples: Samples
    rate_hz: int
    channels: tuple[str, ...]


def blocks_of(sound: Sound) -> Iterator[Block]:
    """The sound from its beginning to its end.

    Errors: `ValueError` when the samples are of a kind that is not known.
    """
    fifo, shape = AudioFifo(), None
    for frame in sound.frames():
        if shape_of(frame) != shape:
            yield from _left_in(fifo)
            fifo, shape = AudioFifo(), shape_of(frame)
        frame.pts = None
        fifo.write(frame)
        if fifo.samples >= BLOCK_FRAMES:
            yield from _left_in(fifo)
    yield from _left_in(fifo)


def _left_in(fifo: AudioFifo) -> Iterator[Block]:
    """All that is in it, in blocks: one frame may be as long as its file."""
    while (frame := fifo.read(BLOCK_FRAMES, partial=True)) is not None:
        channels = tuple(channel.name for channel in frame.layout.channels)
        yield Block(_floats(frame), frame.sample_rate, channels)


def _floats(frame: AudioFrame) -> Samples:
    raw = frame.to_ndarray()
    kind = frame.format.packed.name
    if not frame.format.is_planar:
        raw = raw.reshape(frame.samples, frame.layout.nb_channels).T
    if kind in ("flt", "dbl"):
        return _possible(raw)
    if kind not in FULL_SCALES:
        raise ValueError(kind)
    samples = np.empty(raw.shape, np.float32)
    np.multiply(raw, np.float32(1 / FULL_SCALES[kind]), out=samples, casting="same_kind", dtype=np.float32)
    if kind == "u8":
        samples -= 1
    return samples


def _possible(raw: NDArray[Any]) -> Samples:
    """`raw`, without what cannot be."""
    if not (raw.min() >= -LOUDEST and raw.max() <= LOUDEST):  # which what is not a number is not, either
        raw = np.clip(np.nan_to_num(raw), -LOUDEST, LOUDEST)
    return np.ascontiguousarray(raw, np.float32)
