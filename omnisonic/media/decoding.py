"""Opens files and decodes their sound. Blocking, and as long and as large as the file makes it: call it only in a
process in the sandbox (`omnisonic.process.sandbox`).

A file may be made to do harm. So it is given to the decoder as bytes without a name, as one of a few formats that hold
their sound themselves, and nothing else may be opened: a playlist could name files of this machine, or of others. Of
FFmpeg's hundreds of decoders only `CODECS` are used; those of pictures are not even asked what a film holds.
Broken files: what can be decoded is decoded. What encoders add before and behind the sound (MP3, AAC, Opus) is taken
away as far as the file tells of it.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

import av

# PyAV imports these when it meets such a stream, which is too late in the sandbox.
import av.subtitles.codeccontext
import av.subtitles.stream
from av.audio import AudioStream
from av.audio.codeccontext import AudioCodecContext
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
CODECS: Final = (
    "aac,aac_latm,ac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,alac,amrnb,amrwb,ape,dsd_lsbf,dsd_lsbf_planar,dsd_msbf,"
    "dsd_msbf_planar,eac3,flac,gsm,gsm_ms,libopencore_amrnb,libopencore_amrwb,libopus,mp1,mp1float,mp2,mp2float,mp3,"
    "mp3float,opus,pcm_alaw,pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,"
    "pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,pcm_s32be,pcm_s32le,"
    "pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_s8,pcm_s8_planar,pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,"
    "pcm_u32le,pcm_u8,tta,vorbis,wavpack,wmalossless,wmapro,wmav1,wmav2"
)
"""What musicians' programs write, as FFmpeg calls its decoders."""
OPTIONS: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "none", "codec_whitelist": CODECS}


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
        if not isinstance(stream, AudioStream) or not _is_allowed(stream.codec_context):
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


def _is_allowed(decoder: AudioCodecContext | None) -> bool:
    """Whether it may decode; None is for what FFmpeg has no decoder for."""
    return decoder is not None and decoder.codec.name in CODECS.split(",")


def shape_of(frame: AudioFrame) -> tuple[str, str, int, int]:
    """What two frames must have in common for their samples to belong together."""
    return frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate
