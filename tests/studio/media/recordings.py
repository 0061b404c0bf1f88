"""Files to listen to, made here by the same library: tones, films, pictures, and such as were made to do harm."""

import io
from array import array
from typing import Final, TypeAlias

import av
import numpy as np
from av.container import OutputContainer

Samples: TypeAlias = "array[int]"
"""16 bits each, of all channels in turn."""
LEVEL: Final = 0.5
"""How loud a `tone` is, of full scale."""
FILM_HZ: Final = 10
DOTS: Final = 64
SILENT_SAMPLES: Final = 4608
"""What a frame of FLAC usually holds, in a dozen bytes when they are silent (RFC 9639, 9)."""


def samples(seconds: float, *, rate: int = 44_100, channels: int = 2) -> Samples:
    """A tone, all channels alike and in turn."""
    one = np.rint(LEVEL * 32_768 * np.sin(np.arange(round(rate * seconds)) / 10)).astype(np.int16)
    return array("h", one.repeat(channels).tobytes())


def tone(
    container: str = "wav",
    codec: str = "pcm_s16le",
    *,
    seconds: float = 1.0,
    rate: int = 44_100,
    layout: str = "stereo",
    film: bool = False,
    title: str | None = None,
) -> bytes:
    """A tone in a file of this kind, as FFmpeg calls it; with `film`, to moving pictures."""
    channels = av.AudioLayout(layout).nb_channels
    sound = samples(seconds, rate=rate, channels=channels)
    return recorded(sound, container, codec, rate=rate, layout=layout, film=film, title=title)


def recorded(
    sound: Samples,
    container: str = "wav",
    codec: str = "pcm_s16le",
    *,
    rate: int = 44_100,
    layout: str = "stereo",
    film: bool = False,
    title: str | None = None,
) -> bytes:
    """These samples in a file of this kind."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        if title is not None:
            output.metadata["title"] = title
        moving = pictures(output) if film else None
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        whole = _frame(sound, rate, layout)
        resampler = av.AudioResampler(
            stream.codec_context.format, layout, rate, frame_size=stream.codec_context.frame_size or None
        )
        for frame in resampler.resample(whole) + resampler.resample(None):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if moving is not None:
            show(output, moving)
    return file.getvalue()


def silent_film() -> bytes:
    """A second of grey, without a sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        show(output, pictures(output))
    return file.getvalue()


def silence(frames: int) -> bytes:
    """A bomb: so many times a tenth of a second of silence in a dozen bytes (FLAC)."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=44_100, layout="mono")
        frame = _frame(array("h", bytes(2 * SILENT_SAMPLES)), 44_100, "mono")
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    whole = file.getvalue()
    begin = whole.index(b"\xff\xf8")
    return whole[:begin] + whole[begin:] * frames


def _frame(sound: Samples, rate: int, layout: str) -> av.AudioFrame:
    frame = av.AudioFrame("s16", layout, len(sound) // av.AudioLayout(layout).nb_channels)
    frame.sample_rate = rate
    frame.pts = 0
    room = frame.planes[0].buffer_size
    frame.planes[0].update(sound.tobytes().ljust(room, b"\0"))
    return frame


def pictures(output: OutputContainer) -> av.VideoStream:
    """A stream for pictures. All streams are to be there before anything is put into any of them."""
    stream = output.add_stream("mpeg4", rate=FILM_HZ)
    stream.width = stream.height = DOTS
    stream.pix_fmt = "yuv420p"
    return stream


def show(output: OutputContainer, stream: av.VideoStream) -> None:
    """A second of grey."""
    for number in range(FILM_HZ):
        picture = av.VideoFrame(DOTS, DOTS, "yuv420p")
        picture.pts = number
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))
