"""The decoder: opens a file and decodes its sound with PyAV. Blocking, and as slow and large as the file makes it.

Call it only in a process in the sandbox (`omnisonic.process.sandbox`). A file may be made to do harm. So the decoder
gets it as bytes without a name, may read it only as one of `FORMATS`, which contain their sound, and may open nothing
else: a playlist could name other files. Of FFmpeg's hundreds of decoders only `CODECS` are used, none of them for
pictures.

Broken files: packets that cannot be decoded are counted and skipped. What encoders add before and after the sound (MP3,
AAC, Opus) is removed as far as the file declares it: FFmpeg does so, except for the end of MP4.
"""

import math
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import av

# PyAV imports these when it meets such a stream, which is too late in the sandbox.
import av.subtitles.codeccontext
import av.subtitles.stream
from av.audio import AudioStream
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

LONGEST_S: Final = 14_400
"""Four hours: more than a file of the usual size limit has, unless its sound was made to be endless."""
READ_BYTES: Final = 262_144
FORMATS: Final = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,eac3,flac,flv,m4v,matroska,webm,mov,mp4,m4a,3gp,3g2,mp3,mp2,"
    "mpeg,mpegts,ogg,tta,w64,wav,wv"
)
"""FFmpeg's names. None of them leads to other files."""
CODECS: Final = (
    "aac,aac_latm,ac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,alac,amrnb,amrwb,ape,dsd_lsbf,dsd_lsbf_planar,dsd_msbf,"
    "dsd_msbf_planar,eac3,flac,gsm,gsm_ms,libopencore_amrnb,libopencore_amrwb,libopus,mp1,mp1float,mp2,mp2float,mp3,"
    "mp3float,opus,pcm_alaw,pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,"
    "pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,pcm_s32be,pcm_s32le,"
    "pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_s8,pcm_s8_planar,pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,"
    "pcm_u32le,pcm_u8,tta,vorbis,wavpack,wmalossless,wmapro,wmav1,wmav2"
)
"""FFmpeg's decoders for what musicians' programs write."""
OPTIONS: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "none", "codec_whitelist": CODECS}


ALONE: Final = frozenset(
    [
        "aac",
        "ac3",
        "aiff",
        "amr",
        "amrnb",
        "amrwb",
        "ape",
        "au",
        "caf",
        "dsf",
        "eac3",
        "flac",
        "mp3",
        "mp2",
        "tta",
        "w64",
        "wav",
        "wv",
    ]
)
"""The formats that contain one sound and nothing else: it begins where the file does. Their first time is the length of
the priming that was removed."""
SPLICED: Final = ("mpeg", "mpegts")
"""The formats whose clock may change in the middle, as in a recorded broadcast."""
SPLICED_GAP_S: Final = 10.0
"""The longest pause in one of these, as in FFmpeg's own programs."""
EXACT: Final = frozenset(
    ["aiff", "ape", "au", "caf", "dsf", "flac", "matroska", "mov", "ogg", "tta", "w64", "wav", "wv"]
)
"""The formats that know their length, by FFmpeg's first name; MP3 does when it declares what to remove."""
CLOCK_S: Final = 0.000_02
"""Times that are nearer to each other are the same: one sample."""
MOST_PADDING_S: Final = 0.1
"""The most that an encoder adds after the sound: two packets. A sound that is longer than its file says by more than
that is not padded."""


class NoSound(Exception):
    """There is no sound in the file that can be decoded."""


class Decoder:
    """Decodes the sound in `file`, which must be seekable, and which nobody else reads meanwhile.

    One thread at a time may use it. Close it; that does not close the file. Creating it raises `NoSound` when there is
    no sound that can be decoded.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._container: InputContainer = av.open(
                file, "r", container_options=dict(OPTIONS), metadata_errors="replace", buffer_size=READ_BYTES
            )
        except (FFmpegError, ValueError, MemoryError) as problem:
            # PyAV raises all of these for files that it cannot read.
            raise NoSound from problem
        stream = self._container.streams.best("audio")
        if not isinstance(stream, AudioStream) or not _is_allowed(stream.codec_context):
            self._container.close()
            raise NoSound
        self._stream = stream
        self._tick_s = float(stream.time_base or 0)
        self.format = self._container.format.name.partition(",")[0]
        self.undecodable = 0
        """How many packets could not be decoded so far."""
        self.broke_off = False
        """Whether reading failed before the end of the file."""
        self.begins_at: int | None = None
        """The position of its first packet in the file, in bytes; None before it was read."""
        self._is_exact = self.format in EXACT
        self._first: Packet[Any] | None = None
        self._others_start_at_s = math.inf
        is_film = self.format == "matroska" and len(self._container.streams) > 1
        self._packets = self._container.demux(*(self._container.streams if is_film else [stream]))
        if is_film:
            self._look_ahead()

    @property
    def length_s(self) -> float:
        """The length that the file declares, true or not; 0 when it declares none."""
        if self._stream.duration is not None:
            return max(self._stream.duration * self._tick_s, 0.0)
        # Matroska declares only the end of all streams.
        return max(((self._container.duration or 0) - max(self._container.start_time or 0, 0)) / av.time_base, 0.0)

    @property
    def exact_length_s(self) -> float | None:
        """The length that the file declares, without priming; None when it is a guess. Valid once all is decoded."""
        if not self._is_exact or (self._stream.duration is None and len(self._container.streams) > 1):
            return None
        context = self._stream.codec_context
        priming_s = context.delay / context.sample_rate if self.format == "ogg" and context.sample_rate else 0.0
        return self.length_s - priming_s if self.length_s > priming_s else None

    @property
    def starts_at_s(self) -> float | None:
        """When its sound begins, by the file's clock."""
        return None if self._stream.start_time is None else self._stream.start_time * self._tick_s

    @property
    def lead_s(self) -> float:
        """How much later the sound begins than the other streams. Negative for priming."""
        starts_at_s, first = self.starts_at_s, self._container.start_time
        if starts_at_s is None or first is None or self.format in ALONE:
            return 0.0
        lead_s = starts_at_s - max(min(first / av.time_base, self._others_start_at_s), 0.0)
        return lead_s if abs(lead_s) > CLOCK_S else 0.0

    @property
    def longest_gap_s(self) -> float:
        """A longer gap is not a pause, but a change of the clock."""
        return SPLICED_GAP_S if self.format in SPLICED else LONGEST_S

    def begins_at_s(self, frame: AudioFrame) -> float | None:
        """When `frame` begins, by the file's clock; None when the file does not say."""
        return None if frame.pts is None else frame.pts * self._tick_s

    def frames(self) -> Iterator[AudioFrame]:
        """Decode the sound, once, up to the end or to where reading fails."""
        decoded = self._decode()
        if self.format != "mov" or not self._stream.duration:
            return decoded
        return self._strip_padding(decoded, (self._stream.start_time or 0) + self._stream.duration)

    def close(self) -> None:
        """Close the decoder."""
        self._container.close()

    def _look_ahead(self) -> None:
        """Find when the pictures begin. FFmpeg would need their decoder, which is not used."""
        packet = self._next_packet()
        while packet is not None and packet.stream != self._stream:
            if packet.pts is not None and packet.time_base is not None:
                self._others_start_at_s = min(float(packet.pts * packet.time_base), self._others_start_at_s)
            packet = self._next_packet()
        self._first = packet

    def _next_packet(self) -> "Packet[Any] | None":
        """The next packet of any stream; None at the end, and when reading fails."""
        try:
            return next(self._packets, None)
        except FFmpegError as problem:
            self.broke_off = not isinstance(problem, EOFError)
            return None

    def _sound_packets(self) -> "Iterator[Packet[Any]]":
        if self._first is not None:
            yield self._first
        while (packet := self._next_packet()) is not None:
            if packet.stream == self._stream:
                yield packet

    def _decode(self) -> Iterator[AudioFrame]:
        is_first = True
        for packet in self._sound_packets():
            if is_first:
                is_first, self.begins_at = False, packet.pos
                self._is_exact |= self.format == "mp3" and packet.has_sidedata("skip_samples")
            try:
                frames = packet.decode()
            except FFmpegError:
                self.undecodable += 1
                continue
            for frame in frames:
                if isinstance(frame, AudioFrame) and frame.samples:
                    yield frame

    def _strip_padding(self, frames: Iterator[AudioFrame], end: int) -> Iterator[AudioFrame]:
        """The frames up to `end`, by the file's clock, unless too much follows for `end` to be true."""
        late = list[AudioFrame]()
        late_s = 0.0
        for frame in frames:
            length_s = frame.samples / frame.sample_rate
            if late or (frame.pts is not None and frame.pts * self._tick_s + length_s > end * self._tick_s + CLOCK_S):
                late.append(frame)
                late_s += length_s
            if not late:
                yield frame
            elif late_s > MOST_PADDING_S:
                yield from late
                yield from frames
                return
        for frame in late:
            left_s = (end - frame.pts) * self._tick_s if frame.pts is not None else 0.0
            if (samples := min(round(left_s * frame.sample_rate), frame.samples)) > 0:
                yield cut_frame(frame, 0, samples)


def cut_frame(frame: AudioFrame, begin: int, end: int) -> AudioFrame:
    """The samples of `frame` from `begin` to before `end`."""
    if (begin, end) == (0, frame.samples):
        return frame
    part = AudioFrame(format=frame.format.name, layout=frame.layout, samples=end - begin)
    part.sample_rate = frame.sample_rate
    sample_bytes = frame.format.bytes * (1 if frame.format.is_planar else frame.layout.nb_channels)
    for source, target in zip(frame.planes, part.planes, strict=True):
        target.update(bytes(memoryview(source)[begin * sample_bytes : end * sample_bytes]))
    if frame.pts is not None:
        part.time_base, part.pts = frame.time_base, frame.pts
    return part


def _is_allowed(decoder: AudioCodecContext | None) -> bool:
    """Whether this decoder may be used. None: FFmpeg has no decoder."""
    return decoder is not None and decoder.codec.name in CODECS.split(",")


def shape_of(frame: AudioFrame) -> tuple[str, str, int, int]:
    """Format, layout, channels and rate: frames with the same shape can be joined."""
    return frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate
