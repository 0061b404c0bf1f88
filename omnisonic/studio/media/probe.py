"""`python -m omnisonic.studio.media.probe < FILE`: analyses a file, and prints an `Analysis` as JSON, or `null`.

Blocking, and as slow and large as the file makes it: it runs in a process in the sandbox
(`omnisonic.studio.media.sandboxed_process`).

Broken files: whatever can be decoded is analysed (`omnisonic.studio.media.decoding`). A sound of more than `LONGEST_S`
counts as none. Overload: too much processor time ends the process with SIGXCPU; too much memory counts as no sound.
"""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import BinaryIO, Final

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from omnisonic.process.sandbox import Limits
from omnisonic.studio.media.decoding import LONGEST_S, NoSound, shape_of
from omnisonic.studio.media.sandboxed_process import print_sandboxed
from omnisonic.studio.media.sound import Sound
from omnisonic.studio.uploads import Analysis, Peaks

LIMITS: Final = Limits(
    cpu_s=120,  # four hours of stereo take half of it
    memory_bytes=1_073_741_824,
    descriptors=16,
    written_bytes=0,
)
SAMPLE_BYTES: Final = 2
MOST_PEAKS: Final = 131_072
"""Most stretches of a waveform (even); once a sound is long enough, there are at least half as many."""
FIRST_STRETCH: Final = 32
"""Samples of each channel in a stretch, at first."""
FULL_SCALE: Final = 32_768
DIGITS: Final = 4
"""Decimals of a peak: finer than 16 bits of sound on any screen."""


class Waveform:
    """Builds a waveform: the loudest sample of each stretch, whatever the length of the sound. Pure. One task owns it.

    The length of a sound is known only at its end. So the stretches begin short, and whenever there are too many of
    them, each two become one: memory stays the same, and a second is drawn as finely as an hour.
    """

    def __init__(self, channels: int, most_peaks: int = MOST_PEAKS) -> None:
        self._channels = channels
        self._most_peaks = most_peaks
        self._stretch_samples = FIRST_STRETCH * channels
        self._filled = 0
        self._loudest = 0
        self._stretches: list[int] = []
        self._samples = 0

    @property
    def length(self) -> int:
        """How many samples of each channel were added."""
        return self._samples // self._channels

    def add(self, samples: memoryview) -> None:
        """Add 16-bit samples (`h`), the channels interleaved."""
        self._samples += len(samples)
        begin = 0
        while begin < len(samples):
            part = samples[begin : begin + self._stretch_samples - self._filled]
            begin += len(part)
            self._filled += len(part)
            self._loudest = max(self._loudest, max(part), -min(part))
            if self._filled == self._stretch_samples:
                self._end_stretch()

    def peaks(self) -> list[float]:
        """From 0 to 1, one for each stretch; the last stretch may be shorter."""
        unfinished = [self._loudest] if self._filled else []
        return [round(loudest / FULL_SCALE, DIGITS) for loudest in self._stretches + unfinished]

    def _end_stretch(self) -> None:
        self._stretches.append(self._loudest)
        self._filled = self._loudest = 0
        if len(self._stretches) == self._most_peaks:
            self._stretches = list(map(max, self._stretches[::2], self._stretches[1::2]))
            self._stretch_samples *= 2


def analyse(file: BinaryIO, *, longest_s: float = LONGEST_S) -> Analysis | None:
    """Decode `file`, which must be seekable, and analyse its sound. None when it has no sound that can be decoded."""
    try:
        with closing(Sound(file)) as sound:
            return _analyse_sound(sound, longest_s)
    except (NoSound, FFmpegError, ValueError, MemoryError):
        return None


def _analyse_sound(sound: Sound, longest_s: float) -> Analysis | None:
    """The first frame decides on channels and rate; later changes are converted to that."""
    frames = sound.frames()
    first = next(frames, None)
    if first is None or not first.sample_rate:
        return None
    channels, rate = first.layout.nb_channels, first.sample_rate
    waveform = Waveform(channels)
    for samples in _convert_samples(first, frames):
        waveform.add(samples)
        if waveform.length > longest_s * rate:
            return None
    if not waveform.length:
        return None
    return Analysis(channels, Peaks(rate, waveform.length / rate, waveform.peaks()), sound.missing("This file"))


def _convert_samples(first: AudioFrame, others: Iterator[AudioFrame]) -> Iterator[memoryview]:
    """The frames as 16-bit samples, the channels interleaved, like the first frame."""

    def make_resampler() -> AudioResampler:
        return AudioResampler("s16", first.layout, first.sample_rate)

    resampler = make_resampler()
    shape = shape_of(first)
    for frame in chain([first], others):
        if shape_of(frame) != shape:
            yield from map(_samples_of, resampler.resample(None))
            resampler, shape = make_resampler(), shape_of(frame)
        frame.pts = None  # `Sound` has placed it already
        yield from map(_samples_of, resampler.resample(frame))
    yield from map(_samples_of, resampler.resample(None))


def _samples_of(frame: AudioFrame) -> memoryview:
    """The samples of `frame`, without the padding behind them."""
    used = frame.samples * frame.layout.nb_channels * SAMPLE_BYTES
    return memoryview(frame.planes[0]).cast("B")[:used].cast("h")


if __name__ == "__main__":
    print_sandboxed(analyse, LIMITS)
