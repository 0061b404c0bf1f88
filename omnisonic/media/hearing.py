"""Decodes a file and hears what is in it. Blocking, and as long and as large as the file makes it: call it only in a
process under limits (`omnisonic.media.probe`).

The file may be made to do harm. So it is given to the decoder as bytes without a name, as one of a few formats that
hold their sound themselves, and nothing else may be opened: a playlist could name files of this machine, or of others.
Broken files: what can be decoded is heard. A sound of more than `LONGEST_S` is none.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

import av
from av.audio import AudioStream
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError

from omnisonic.media.waveform import Waveform
from omnisonic.uploads import Peaks
from omnisonic.uploads.analyses import Heard

LONGEST_S: Final = 14_400
"""Four hours: more than a file of the usual size limit has, unless its sound was made to be endless."""
READ_BYTES: Final = 262_144
SAMPLE_BYTES: Final = 2
FORMATS: Final = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,eac3,flac,flv,m4v,matroska,webm,mov,mp4,m4a,3gp,3g2,mp3,mp2,"
    "mpeg,mpegts,ogg,tta,w64,wav,wv"
)
"""As FFmpeg calls them. None of them leads to other files."""
OPTIONS: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}


def hear(file: BinaryIO, *, longest_s: float = LONGEST_S) -> Heard | None:
    """What is in `file`, which can be read and sought; None when there is no sound in it that can be played."""
    try:
        with av.open(
            file, "r", container_options=dict(OPTIONS), metadata_errors="replace", buffer_size=READ_BYTES
        ) as container:
            stream = container.streams.best("audio")
            return _heard(container, stream, longest_s) if isinstance(stream, AudioStream) else None
    except (FFmpegError, ValueError, MemoryError):
        # PyAV has no other word for what a decoder cannot make sense of.
        return None


def _heard(container: InputContainer, stream: AudioStream, longest_s: float) -> Heard | None:
    """The first frame says how many channels there are and at what rate; what changes later is converted to that."""
    frames = _frames(container, stream)
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
    return Heard(channels, Peaks(rate, waveform.length / rate, waveform.peaks()))


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """All that can be decoded, up to where the file cannot be read on."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            if isinstance(frame, AudioFrame) and frame.samples:
                yield frame


def _samples(first: AudioFrame, others: Iterator[AudioFrame]) -> Iterator[memoryview]:
    """The frames as 16-bit samples of all channels in turn."""

    def like_the_first() -> AudioResampler:
        return AudioResampler("s16", first.layout, first.sample_rate)

    resampler = like_the_first()
    shape = _shape(first)
    for frame in _with(first, others):
        if _shape(frame) != shape:
            yield from map(_bare, resampler.resample(None))
            resampler, shape = like_the_first(), _shape(frame)
        frame.pts = None  # gaps and overlaps are not the waveform's matter
        yield from map(_bare, resampler.resample(frame))
    yield from map(_bare, resampler.resample(None))


def _with(first: AudioFrame, others: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    yield first
    yield from others


def _shape(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _bare(frame: AudioFrame) -> memoryview:
    """The samples of `frame`, without the padding behind them."""
    used = frame.samples * frame.layout.nb_channels * SAMPLE_BYTES
    return memoryview(frame.planes[0]).cast("B")[:used].cast("h")
