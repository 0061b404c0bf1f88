"""Hears what is in a file. Blocking, and as long and as large as the file makes it: call it only in a process in
the sandbox (`omnisonic.studio.media.probe`).

Broken files: what can be decoded is heard (`omnisonic.studio.media.decoding`). A sound of more than `LONGEST_S` is
none.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO, Final

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from omnisonic.studio.media.decoding import LONGEST_S, NoSound, shape_of
from omnisonic.studio.media.sound import Sound
from omnisonic.studio.media.waveform import Waveform
from omnisonic.studio.uploads import Analysis, Peaks

SAMPLE_BYTES: Final = 2


def analyse(file: BinaryIO, *, longest_s: float = LONGEST_S) -> Analysis | None:
    """What is in `file`, which can be read and sought; None when there is no sound in it that can be played."""
    try:
        with closing(Sound(file)) as sound:
            return _analyse_sound(sound, longest_s)
    except (NoSound, FFmpegError, ValueError, MemoryError):
        return None


def _analyse_sound(sound: Sound, longest_s: float) -> Analysis | None:
    """The first frame says how many channels there are and at what rate; what changes later is converted to that."""
    frames = sound.frames()
    first = next(frames, None)
    if first is None or not first.sample_rate:
        return None
    channels, rate = first.layout.nb_channels, first.sample_rate
    waveform = Waveform(channels)
    for samples in _samples(first, frames):
        waveform.add(samples)
        if waveform.length > longest_s * rate:
            return None
    if not waveform.length:
        return None
    return Analysis(channels, Peaks(rate, waveform.length / rate, waveform.peaks()), sound.missing("This file"))


def _samples(first: AudioFrame, others: Iterator[AudioFrame]) -> Iterator[memoryview]:
    """The frames as 16-bit samples of all channels in turn."""

    def like_the_first() -> AudioResampler:
        return AudioResampler("s16", first.layout, first.sample_rate)

    resampler = like_the_first()
    shape = shape_of(first)
    for frame in _with(first, others):
        if shape_of(frame) != shape:
            yield from map(_bare, resampler.resample(None))
            resampler, shape = like_the_first(), shape_of(frame)
        frame.pts = None  # it is in its place, whatever it says
        yield from map(_bare, resampler.resample(frame))
    yield from map(_bare, resampler.resample(None))


def _with(first: AudioFrame, others: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    yield first
    yield from others


def _bare(frame: AudioFrame) -> memoryview:
    """The samples of `frame`, without the padding behind them."""
    used = frame.samples * frame.layout.nb_channels * SAMPLE_BYTES
    return memoryview(frame.planes[0]).cast("B")[:used].cast("h")
