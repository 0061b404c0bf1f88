"""Files of many kinds with chirps in them at known times, and where those are found again."""

import io
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import av
import numpy as np
import soundfile  # type: ignore[import-untyped]

from omnisonic.studio.mixdown import RATE_HZ
from tests.studio.media.recordings import pictures, show
from tests.studio.mixdown.sounds import Sound, file_of

CHIRPS_S: Final = (0.3, 1.1, 1.6)
"""When they begin."""
LENGTH_S: Final = 2.0
CHIRP_S: Final = 0.1
FADE_S: Final = 0.004
FROM_HZ: Final = 400.0
TO_HZ: Final = 3_000.0
LEVEL: Final = 0.5
PAUSE_AT_S: Final = 0.8
PAUSE_S: Final = 1.0
AFTER_PAUSE_S: Final = (0.3, 2.1, 2.6)
LATE_S: Final = 0.7
MONO_DB: Final = 20 * np.log10(0.5**0.5)
"""One channel in the middle is so much quieter on each side."""
SEARCHED_S: Final = 0.04


def chirp(at_s: Sound) -> Sound:
    """The value of a chirp so long after its beginning: unlike itself a millisecond later, at any rate of samples."""
    phase = 2 * np.pi * (FROM_HZ * at_s + (TO_HZ - FROM_HZ) / (2 * CHIRP_S) * at_s**2)
    edge = np.clip(np.minimum(at_s, CHIRP_S - at_s) / FADE_S, 0, 1)
    value: Sound = LEVEL * np.sin(phase) * np.sin(edge * np.pi / 2) ** 2
    return value


def chirps(rate: int, channels: int = 2, begins_s: Sequence[float] = CHIRPS_S, length_s: float = LENGTH_S) -> Sound:
    """Silence with a chirp at each of these times, all channels alike."""
    at_s = np.arange(round(length_s * rate)) / rate
    row = np.sum([chirp(at_s - begin_s) for begin_s in begins_s], axis=0)
    return np.repeat(row[:, np.newaxis], channels, axis=1)


class Found(NamedTuple):
    """A chirp: when it begins, and how much louder it is than it was, in dB."""

    begins_s: float
    level_db: float


def found(row: Sound, wanted_s: Sequence[float]) -> list[Found]:
    """The chirps near these times in a row of the mix: where it is most like one."""
    pattern = chirp(np.arange(round(CHIRP_S * RATE_HZ)) / RATE_HZ)
    around = round(SEARCHED_S * RATE_HZ)
    row = np.pad(row, (around, around + len(pattern)))
    results = []
    for wanted in wanted_s:
        first = round(wanted * RATE_HZ)
        likeness = np.correlate(row[first : first + 2 * around + len(pattern)], pattern, "valid")
        best = int(likeness.argmax())
        received = row[first + best :][: len(pattern)]
        level = np.sqrt((received**2).mean() / (pattern**2).mean())
        results.append(Found((first + best - around) / RATE_HZ, float(20 * np.log10(level + 1e-9))))
    return results


class Packets(NamedTuple):
    """How the sound is put into a file: from when on, and with a pause that is not in it. With pictures, if wanted."""

    late_s: float = 0.0
    has_pause: bool = False
    is_film: bool = False


AS_IT_IS: Final = Packets()


def encoded(
    container: str,
    codec: str,
    rate: int = RATE_HZ,
    layout: str = "stereo",
    *,
    sound: Sound | None = None,
    put: Packets = AS_IT_IS,
    bits_per_s: int = 256_000,
) -> bytes:
    """The chirps in a file of this kind, as FFmpeg calls it."""
    channels = av.AudioLayout(layout).nb_channels
    data = chirps(rate, channels) if sound is None else sound
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        film = pictures(output) if put.is_film else None
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.bit_rate = bits_per_s
        frame = av.AudioFrame.from_ndarray(data.T.astype(np.float32).copy(), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        stream.codec_context.open()
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, layout, rate, frame_size=context.frame_size or rate // 20)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(part):
                if packet.pts is None or packet.time_base is None:
                    continue
                begins_s = float(packet.pts * packet.time_base)
                later_s = put.late_s + (PAUSE_S if put.has_pause and begins_s >= PAUSE_AT_S - 0.001 else 0.0)
                packet.pts += round(later_s / packet.time_base)
                packet.dts = packet.pts
                output.mux(packet)
        if film is not None:
            show(output, film)
    return file.getvalue()


def written(kind: str, subtype: str, rate: int, channels: int) -> Callable[[], bytes]:
    """The chirps in a file that libsndfile writes."""
    return lambda: file_of(chirps(rate, channels), rate, kind, subtype).read()


def vorbis(rate: int = RATE_HZ, channels: int = 2) -> Callable[[], bytes]:
    """The chirps in Ogg Vorbis, well enough that they are as loud as they were. FFmpeg cannot write it."""

    def data() -> bytes:
        file = io.BytesIO()
        sound = chirps(rate, channels)
        soundfile.write(file, sound, rate, format="OGG", subtype="VORBIS", compression_level=0.3)
        return file.getvalue()

    return data
