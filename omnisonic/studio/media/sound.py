"""The whole sound of a file, placed in time. Blocking; only for a process in the sandbox, as all decoding.

Analysis (`omnisonic.studio.media.probe`) and mixdown (`omnisonic.studio.mixdown`) both use it, so a waveform shows what
is mixed. A file may be a chain of others (`omnisonic.studio.media.containers`), each decoded on its own. Where the file
declares that nothing sounds there is silence (`omnisonic.studio.media.timeline`), at most `SILENT_SAMPLES` a frame.

Broken files: whatever can be decoded is there, in its place as far as the file declares it, and `missing` says what is
not.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from av.audio.frame import AudioFrame

from omnisonic.studio.media.containers import (
    MOST_TAGS,
    OGG_CAPTURE,
    TAG_HEADER_BYTES,
    FileParts,
    Part,
    find_links,
    read_at,
    size_of,
    tag_bytes,
    walk_chunks,
)
from omnisonic.studio.media.decoding import LONGEST_S, Decoder, NoSound, cut_frame
from omnisonic.studio.media.timeline import GAP_S, Timeline

SILENT_SAMPLES: Final = 16_384
UNTAGGED: Final = (b"RIFF", b"RF64", b"BW64", b"FORM", b"caff", b"OggS", b"wvpk", b".snd")
"""Files that FFmpeg does not recognise behind a tag."""
SHORT_S: Final = 0.25
"""How much shorter than declared a file may be without anything missing."""
SHORT_PART: Final = 0.002
LEAST_REPORTED_S: Final = 0.1
UNSIGNED_MIDDLE: Final = b"\x80"
"""Silence in samples of 8 bits without a sign."""


class Sound:
    """The sound in `file`, which must be seekable, and which nobody else reads meanwhile.

    One thread at a time may use it. Close it; that does not close the file. Creating it raises `NoSound` when there is
    no sound that can be decoded.
    """

    def __init__(self, file: BinaryIO, *, longest_s: float = LONGEST_S) -> None:
        begin = _skip_tags(file)
        self._timeline = Timeline(longest_s)
        self._share, self._is_whole = 1.0, True
        if read_at(file, begin, len(OGG_CAPTURE)) == OGG_CAPTURE:
            links, self._is_whole = find_links(file, begin)
            parts: list[list[Part | bytes]] = [[link] for link in links]
        else:
            whole, self._share = walk_chunks(file, begin)
            parts = [whole]
        self._files = [_open_parts(file, part) for part in parts]
        self._lost_s, self._lost_links, self._short_s = 0.0, 0, 0.0
        self._is_cut_off = False
        self._decoder = self._open_next()

    @property
    def length_s(self) -> float:
        """The length that the file, or the first link of a chain, declares, true or not; 0 when it declares none."""
        return self._decoder.length_s

    def frames(self) -> Iterator[AudioFrame]:
        """Decode the sound, once. Each frame begins where the one before it ends."""
        while True:
            yield from self._place_frames()
            self._decoder.close()
            if not self._files:
                return
            try:
                self._decoder = self._open_next()
            except NoSound:
                return

    def missing(self, name: str) -> str | None:
        """A sentence about `name` on what of the sound is missing; None for nothing. Valid once all is decoded."""
        present_s = self._timeline.end_s
        declared_s = max(present_s / self._share, present_s + self._short_s)
        if declared_s - present_s > max(SHORT_S, SHORT_PART * declared_s):
            return f"{name} was cut off: {present_s:.1f} of {declared_s:.1f} seconds are there."
        if self._is_cut_off or not self._is_whole:
            return f"{name} was cut off: only its first {present_s:.1f} seconds could be read."
        if self._lost_links:
            count = "A part" if self._lost_links == 1 else f"{self._lost_links} parts"
            return f"{count} of {name[0].lower()}{name[1:]} could not be decoded, and cannot be heard."
        if self._lost_s:
            lost_s = max(self._lost_s, LEAST_REPORTED_S)
            return f"{name} is damaged: about {lost_s:.1f} seconds of it could not be decoded, and are silent."
        return None

    def close(self) -> None:
        """Close the decoder."""
        self._decoder.close()

    def _open_next(self) -> Decoder:
        """The decoder of the next link that can be decoded. Raises `NoSound` when there is none."""
        while self._files:
            try:
                decoder = Decoder(self._files.pop(0))
            except NoSound:
                self._lost_links += 1
                continue
            self._timeline.begin(decoder.lead_s, decoder.starts_at_s, decoder.longest_gap_s)
            return decoder
        raise NoSound

    def _place_frames(self) -> Iterator[AudioFrame]:
        """The frames of the current decoder, with silence between them."""
        decoder, timeline = self._decoder, self._timeline
        begin_s, undecodable, is_first = timeline.end_s, 0, True
        frame = None
        for frame in decoder.frames():
            rate = frame.sample_rate
            silence, skipped = timeline.place(decoder.begins_at_s(frame), frame.samples, rate)
            if silence:
                yield from _make_silence(frame, silence)
                # The decoder never sees a broken page of Ogg, and nothing else makes a pause there.
                if decoder.undecodable > undecodable or (decoder.format == "ogg" and not is_first):
                    self._lost_s += silence / rate
            undecodable, is_first = decoder.undecodable, False
            if skipped < frame.samples:
                yield cut_frame(frame, skipped, frame.samples)
        self._is_cut_off |= decoder.broke_off
        if (declared_s := decoder.exact_length_s) is not None:
            ends_s = begin_s + max(decoder.lead_s, 0.0) + declared_s
            # The next link begins where this one should end. FFmpeg ends some whole links some samples too early.
            if frame is not None and decoder.format == "ogg" and (self._files or ends_s - timeline.end_s < GAP_S):
                lacking = timeline.fill_up(ends_s)
                self._lost_s += lacking / frame.sample_rate if lacking > GAP_S * frame.sample_rate else 0.0
                yield from _make_silence(frame, lacking)
            self._short_s += max(ends_s - timeline.end_s, 0.0)


def _skip_tags(file: BinaryIO) -> int:
    """Where the file begins behind its tags; 0 for formats whose decoder reads the tags."""
    at = 0
    for _ in range(MOST_TAGS):
        size = tag_bytes(read_at(file, at, TAG_HEADER_BYTES))
        if not size:
            break
        at += size
    return at if read_at(file, at, 4) in UNTAGGED else 0


def _open_parts(file: BinaryIO, parts: list[Part | bytes]) -> BinaryIO:
    """The parts as one file; `file` itself when they are all of it."""
    if parts == [Part(0, size_of(file))]:
        file.seek(0)
        return file
    return cast("BinaryIO", FileParts(file, parts))


def _make_silence(like: AudioFrame, samples: int) -> Iterator[AudioFrame]:
    """Silence in the format of `like`. The same frame may be yielded again and again."""
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
