"""All the sound of a file, placed in time: what is heard of it (`omnisonic.studio.media.analysis`) and what is mixed
(`omnisonic.studio.mixdown`) is the same. Blocking, and only for a process in the sandbox, as all decoding is
(`omnisonic.studio.media.decoding`).

A file may be a chain of others (`omnisonic.studio.media.ogg`), each decoded by itself. Where the file says that nothing
sounds there is silence (`omnisonic.studio.media.timeline`), of `SILENT_SAMPLES` at a time, however long it is. Broken
files: what can be decoded is there, in its place as far as the file tells, and `missing` says what is not.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from av.audio.frame import AudioFrame

from omnisonic.studio.media.chunks import walk
from omnisonic.studio.media.decoding import LONGEST_S, Decoder, NoSound, part_of
from omnisonic.studio.media.file_parts import FileParts, Part, read_at, size_of
from omnisonic.studio.media.id3 import HEADER_BYTES, MOST_TAGS, tag_bytes
from omnisonic.studio.media.ogg import CAPTURE, find_links
from omnisonic.studio.media.timeline import GAP_S, Timeline

SILENT_SAMPLES: Final = 16_384
UNTAGGED: Final = (b"RIFF", b"RF64", b"BW64", b"FORM", b"caff", b"OggS", b"wvpk", b".snd")
"""What FFmpeg does not find behind a tag."""
SHORT_S: Final = 0.25
"""What a file may be shorter than it says, without anything being missing."""
SHORT_PART: Final = 0.002
LEAST_TOLD_S: Final = 0.1
UNSIGNED_MIDDLE: Final = b"\x80"
"""Silence in samples of 8 bits without a sign."""


class Sound:
    """The sound in `file`, which can be read and sought, and which nobody else reads meanwhile.

    One thread at a time may use it. Close it; that does not close the file. Errors: `NoSound` when it is made.
    """

    def __init__(self, file: BinaryIO, *, longest_s: float = LONGEST_S) -> None:
        begin = _behind_tags(file)
        self._timeline = Timeline(longest_s)
        self._share, self._is_whole = 1.0, True
        if read_at(file, begin, len(CAPTURE)) == CAPTURE:
            links, self._is_whole = find_links(file, begin)
            parts: list[list[Part | bytes]] = [[link] for link in links]
        else:
            whole, self._share = walk(file, begin)
            parts = [whole]
        self._files = [_file_of(file, part) for part in parts]
        self._lost_s, self._lost_links, self._short_s = 0.0, 0, 0.0
        self._is_cut_off = False
        self._decoder = self._next_decoder()

    @property
    def length_s(self) -> float:
        """What the file says of its length, of its first link if it is a chain, true or not; 0 for nothing."""
        return self._decoder.length_s

    def frames(self) -> Iterator[AudioFrame]:
        """All that can be decoded, once, one after the other: each begins where the one before it ends."""
        while True:
            yield from self._placed()
            self._decoder.close()
            if not self._files:
                return
            try:
                self._decoder = self._next_decoder()
            except NoSound:
                return

    def missing(self, name: str) -> str | None:
        """What of it is not there, though it should be: a sentence about `name`. None for nothing. Ask when all frames
        were taken.
        """
        there_s = self._timeline.end_s
        said_s = max(there_s / self._share, there_s + self._short_s)
        if said_s - there_s > max(SHORT_S, SHORT_PART * said_s):
            return f"{name} was cut off: {there_s:.1f} of {said_s:.1f} seconds are there."
        if self._is_cut_off or not self._is_whole:
            return f"{name} was cut off: only its first {there_s:.1f} seconds could be read."
        if self._lost_links:
            count = "A part" if self._lost_links == 1 else f"{self._lost_links} parts"
            return f"{count} of {name[0].lower()}{name[1:]} could not be decoded, and cannot be heard."
        if self._lost_s:
            lost_s = max(self._lost_s, LEAST_TOLD_S)
            return f"{name} is damaged: about {lost_s:.1f} seconds of it could not be decoded, and are silent."
        return None

    def close(self) -> None:
        """Let go of the decoder."""
        self._decoder.close()

    def _next_decoder(self) -> Decoder:
        """For the next link that can be decoded. Errors: `NoSound` when there is none."""
        while self._files:
            try:
                decoder = Decoder(self._files.pop(0))
            except NoSound:
                self._lost_links += 1
                continue
            self._timeline.begin(decoder.lead_s, decoder.starts_at_s, decoder.longest_gap_s)
            return decoder
        raise NoSound

    def _placed(self) -> Iterator[AudioFrame]:
        """What one decoder has."""
        decoder, timeline = self._decoder, self._timeline
        begin_s, undecodable, is_first = timeline.end_s, 0, True
        frame = None
        for frame in decoder.frames():
            rate = frame.sample_rate
            silence, skipped = timeline.place(decoder.begins_at_s(frame), frame.samples, rate)
            if silence:
                yield from _silence(frame, silence)
                # A page of Ogg that is broken never comes to the decoder, and nothing else makes a pause there.
                if decoder.undecodable > undecodable or (decoder.format == "ogg" and not is_first):
                    self._lost_s += silence / rate
            undecodable, is_first = decoder.undecodable, False
            if skipped < frame.samples:
                yield part_of(frame, skipped, frame.samples)
        self._is_cut_off |= decoder.broke_off
        if (said_s := decoder.exact_length_s) is not None:
            ends_s = begin_s + max(decoder.lead_s, 0.0) + said_s
            # The next link begins where this one should end. FFmpeg ends some that are whole some samples too early.
            if frame is not None and decoder.format == "ogg" and (self._files or ends_s - timeline.end_s < GAP_S):
                lacking = timeline.fill_up(ends_s)
                self._lost_s += lacking / frame.sample_rate if lacking > GAP_S * frame.sample_rate else 0.0
                yield from _silence(frame, lacking)
            self._short_s += max(ends_s - timeline.end_s, 0.0)


def _behind_tags(file: BinaryIO) -> int:
    """Where the file begins that has tags before it; 0 when whoever decodes it wants to see them."""
    at = 0
    for _ in range(MOST_TAGS):
        size = tag_bytes(read_at(file, at, HEADER_BYTES))
        if not size:
            break
        at += size
    return at if read_at(file, at, 4) in UNTAGGED else 0


def _file_of(file: BinaryIO, parts: list[Part | bytes]) -> BinaryIO:
    """The file itself where that is all."""
    if parts == [Part(0, size_of(file))]:
        file.seek(0)
        return file
    return cast("BinaryIO", FileParts(file, parts))


def _silence(like: AudioFrame, samples: int) -> Iterator[AudioFrame]:
    """So many samples of nothing, as this frame has them. It is the same frame again and again."""
    frame = None
    while samples:
        length = min(samples, SILENT_SAMPLES)
        if frame is None or frame.samples != length:
            frame = AudioFrame(format=like.format.name, layout=like.layout, samples=length)
            frame.sample_rate = like.sample_rate
            byte = UNSIGNED_MIDDLE if like.format.packed.name == "u8" else b"\0"
            for plane in frame.planes:
                plane.update(byte * plane.buffer_size)
        yield frame
        samples -= length
