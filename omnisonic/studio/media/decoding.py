"""Opens files and decodes their sound. Blocking, and as long and as large as the file makes it: call it only in a
process in the sandbox (`omnisonic.process.sandbox`).

A file may be made to do harm. So it is given to the decoder as bytes without a name, as one of a few formats that hold
their sound themselves, and nothing else may be opened: a playlist could name files of this machine, or of others. Of
FFmpeg's hundreds of decoders only `CODECS` are used; those of pictures are not even asked what a film holds.
Broken files: what can be decoded is decoded, and what cannot is counted. What encoders add before and behind the sound
(MP3, AAC, Opus) is taken away as far as the file tells of it: FFmpeg does so, but for the end of what is in MP4.
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
"""The formats that hold one sound and nothing else: it begins where the file does. What their times begin with is what
was taken away."""
SPLICED: Final = ("mpeg", "mpegts")
"""The formats whose clock may be another one in the middle, as of a broadcast."""
SPLICED_GAP_S: Final = 10.0
"""The longest pause in one of these, as FFmpeg's own programs have it."""
EXACT: Final = frozenset(
    ["aiff", "ape", "au", "caf", "dsf", "flac", "matroska", "mov", "ogg", "tta", "w64", "wav", "wv"]
)
"""The formats that know how long they are, by the first of their names; MP3 does when it says what to take away."""
CLOCK_S: Final = 0.000_02
"""What is nearer to each other than that is the same: a sample."""
MOST_PADDING_S: Final = 0.1
"""How much an encoder may put behind the sound: two packets. What is longer than its file says, by more than that, is
none of it."""


class NoSound(Exception):
    """There is no sound in the file that can be decoded."""


class Decoder:
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
        self._tick_s = float(stream.time_base or 0)
        self.format = self._container.format.name.partition(",")[0]
        self.undecodable = 0
        """How many packets could not be decoded so far."""
        self.broke_off = False
        """Whether the file could not be read on, though it has not ended."""
        self.begins_at: int | None = None
        """Where its first packet is in the file, in bytes; None before it was read."""
        self._is_exact = self.format in EXACT
        self._first: Packet[Any] | None = None
        self._others_start_at_s = math.inf
        is_film = self.format == "matroska" and len(self._container.streams) > 1
        self._packets = self._container.demux(*(self._container.streams if is_film else [stream]))
        if is_film:
            self._look_ahead()

    @property
    def length_s(self) -> float:
        """What the file says of its length, true or not; 0 when it says nothing."""
        if self._stream.duration is not None:
            return max(self._stream.duration * self._tick_s, 0.0)
        # Where there is no other word (Matroska), it is when all has ended.
        return max(((self._container.duration or 0) - max(self._container.start_time or 0, 0)) / av.time_base, 0.0)

    @property
    def exact_length_s(self) -> float | None:
        """How long its sound is without priming, by what the file says; None when that is a guess. Ask when all is
        decoded.
        """
        if not self._is_exact or (self._stream.duration is None and len(self._container.streams) > 1):
            return None
        context = self._stream.codec_context
        priming_s = context.delay / context.sample_rate if self.format == "ogg" and context.sample_rate else 0.0
        return self.length_s - priming_s if self.length_s > priming_s else None

    @property
    def starts_at_s(self) -> float | None:
        """When its sound begins, by its own clock."""
        return None if self._stream.start_time is None else self._stream.start_time * self._tick_s

    @property
    def lead_s(self) -> float:
        """How much later its sound begins than the rest of it. Less than 0: it begins before everything is to begin."""
        starts_at_s, first = self.starts_at_s, self._container.start_time
        if starts_at_s is None or first is None or self.format in ALONE:
            return 0.0
        lead_s = starts_at_s - max(min(first / av.time_base, self._others_start_at_s), 0.0)
        return lead_s if abs(lead_s) > CLOCK_S else 0.0

    @property
    def longest_gap_s(self) -> float:
        """What is longer is none, but another clock."""
        return SPLICED_GAP_S if self.format in SPLICED else LONGEST_S

    def begins_at_s(self, frame: AudioFrame) -> float | None:
        """When it begins, by the file's clock; None when it does not say."""
        return None if frame.pts is None else frame.pts * self._tick_s

    def frames(self) -> Iterator[AudioFrame]:
        """All that can be decoded, once, up to where the file cannot be read on."""
        decoded = self._decoded()
        if self.format != "mov" or not self._stream.duration:
            return decoded
        return self._without_padding(decoded, (self._stream.start_time or 0) + self._stream.duration)

    def close(self) -> None:
        """Let go of the decoder."""
        self._container.close()

    def _look_ahead(self) -> None:
        """Find out when the pictures begin. Only their decoder could tell FFmpeg, and is not used."""
        packet = self._next_packet()
        while packet is not None and packet.stream != self._stream:
            if packet.pts is not None and packet.time_base is not None:
                self._others_start_at_s = min(float(packet.pts * packet.time_base), self._others_start_at_s)
            packet = self._next_packet()
        self._first = packet

    def _next_packet(self) -> "Packet[Any] | None":
        """Of any stream; None at the end, and where the file cannot be read on."""
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

    def _decoded(self) -> Iterator[AudioFrame]:
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

    def _without_padding(self, frames: Iterator[AudioFrame], end: int) -> Iterator[AudioFrame]:
        """The frames up to `end`, by the file's clock, unless there are too many behind it for it to be true."""
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
                yield part_of(frame, 0, samples)


def part_of(frame: AudioFrame, begin: int, end: int) -> AudioFrame:
    """These samples of it."""
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
    """Whether it may decode; None is for what FFmpeg has no decoder for."""
    return decoder is not None and decoder.codec.name in CODECS.split(",")


def shape_of(frame: AudioFrame) -> tuple[str, str, int, int]:
    """What two frames must have in common for their samples to belong together."""
    return frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate
