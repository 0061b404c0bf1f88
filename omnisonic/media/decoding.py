"""Opens files and decodes their sound. Blocking, and as long and as large as the file makes it: call it only in a
process under limits (`omnisonic.media.confinement`).

A file may be made to do harm. So it is given to the decoder as bytes without a name, as one of a few formats that hold
their sound themselves, and nothing else may be opened: a playlist could name files of this machine, or of others.
Broken files: what can be decoded is decoded. What encoders add before and behind the sound (MP3, AAC, Opus) is taken
away as far as the file tells of it.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

import av
from av.audio import AudioStream
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError

LONGEST_S: Final = 14_400
"""Four hours: more than a file of the usual size limit has, unless its sound was made to be endless."""
READ_BYTES: Final = 262_144
FORMATS: Final = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,eac3,flac,flv,m4v,matroska,webm,mov,mp4,m4a,3gp,3g2,mp3,mp2,"
    "mpeg,mpegts,ogg,tta,w64,wav,wv"
)
"""As FFmpeg calls them. None of them leads to other files."""
OPTIONS: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}


class NoSound(Exception):
    """There is no sound in the file that can be decoded."""


class Sound:
    """The sound in `file`, which can be read and sought, and which nobody else reads meanwhile.

    One thread at a time may use it. Close it; that does not close the file. Errors: `NoSound` when it is made.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._container: InputContainer = av.open(
                file, "r", container_options=dict(OPTIONS), metadata_errors="replace", buffer_size=READ_BYTES
            )
        except (FFmpegError, ValueError, MemoryError) as problem:
            # PyAV has no other word for what a decoder cannot make sense of.
            raise NoSound from problem
        stream = self._container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            self._container.close()
            raise NoSound
        self._stream = stream

    @property
    def length_s(self) -> float:
        """What the file says of its length, true or not; 0 when it says nothing."""
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return max(float(stream.duration * stream.time_base), 0.0)
        return max((self._container.duration or 0) / av.time_base, 0.0)

    def frames(self) -> Iterator[AudioFrame]:
        """All that can be decoded, once, up to where the file cannot be read on."""
        packets = self._container.demux(self._stream)
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

    def close(self) -> None:
        """Let go of the decoder."""
        self._container.close()


def shape_of(frame: AudioFrame) -> tuple[str, str, int, int]:
    """What two frames must have in common for their samples to belong together."""
    return frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate
