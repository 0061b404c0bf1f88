"""The structure of files, where FFmpeg needs help: ID3 tags, chunks, boxes, the links of a chained Ogg. Blocking.

Nothing is decoded. Chunks (WAV, RF64, W64, AIFF, CAF) are walked up to the samples, at most `MOST_CHUNKS`, to find
three things: a chunk of an odd size without the padding byte that must follow it, behind which FFmpeg loses its way;
samples of a WAV or W64 that have fewer valid bits than room, whose valid bits FFmpeg takes for their size; and samples
that were cut off, which FFmpeg does not report. The pages of Ogg are walked by their headers, at most `MOST_PAGES`;
broken pages are skipped. The result are `Part`s of the file; `FileParts` reads them as one file.

This module imports only the standard library: the web reads tags, too.
"""

import io
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO, Final, NamedTuple

TAG_HEADER_BYTES: Final = 10
TAG_FOOTER_BYTES: Final = 10
HAS_FOOTER: Final = 0x10
MOST_TAGS: Final = 8
"""One after the other."""

MOST_CHUNKS: Final = 1_000
UNKNOWN_SIZES: Final = (-1, 0, 0xFFFF_FFFF)
"""What is written by programs that do not know the size yet, and by RF64, which has it elsewhere."""
KNOWN_CHUNKS: Final = (
    b"data",
    b"fmt ",
    b"fact",
    b"LIST",
    b"bext",
    b"cue ",
    b"smpl",
    b"inst",
    b"iXML",
    b"id3 ",
    b"ID3 ",
    b"JUNK",
)
"""Chunks that follow others in a WAV."""

BOX: Final = struct.Struct(">I4s")
"""Of MP4 and QuickTime: the size of a box with its header, and its type."""
FIRST_BOX: Final = b"ftyp"
MOST_BRANDS_BYTES: Final = 4_096
PICTURES: Final = (b"mif1", b"msf1", b"miaf", b"heic", b"heix", b"hevc", b"hevx", b"avif", b"avis", b"crx ")
"""Brands of pictures, which are in boxes, too."""
FILLERS: Final = (b"wide", b"free", b"skip")
MOST_FILLER_BYTES: Final = 16_777_216
"""Room that a camera leaves at the beginning for the index. Four letters are never so small a number."""
FILM_BOXES: Final = (b"mdat", b"moov")
SIZES_OF_REST: Final = (0, 1)
"""Sizes of a box that ends with the file, and of one whose size comes later."""

EXTENSIBLE: Final = 0xFFFE
"""The tag of a format that says how many bits of each sample are valid."""
SAMPLE_SIZES: Final = struct.Struct("<H12xH2xH")
"""Of the body of the chunk `fmt `: the tag, the bits of a sample, and its valid bits."""
BITS_AT: Final = 14
VALID_BITS_AT: Final = 18
BITS_BYTES: Final = 2

OGG_CAPTURE: Final = b"OggS"
PAGE_HEADER_BYTES: Final = 27
MOST_SEGMENTS: Final = 255
FLAGS_AT: Final = 5
SEGMENTS_AT: Final = 26
IS_FIRST: Final = 0x02
"""The flag of the first page of a stream. Streams that sound together all begin before any of them goes on."""
MOST_PAGES: Final = 1_000_000
"""Four gigabytes in pages of the usual size."""
MOST_LINKS: Final = 1_000
"""Two days of songs."""
SEARCHED_BYTES: Final = 65_536


class Part(NamedTuple):
    """The bytes of a file from `begin` to before `end`."""

    begin: int
    end: int


class FileParts(io.RawIOBase):
    """Parts of `file`, and bytes that it lacks, read as one file, without copying.

    What cannot be read in `file` is an error here. One thread at a time may use either. Each read seeks first, so the
    position of `file` does not matter. Closing this does not close `file`.
    """

    def __init__(self, file: BinaryIO, parts: Sequence[Part | bytes]) -> None:
        super().__init__()
        self._file = file
        self._parts: list[tuple[int, Part | bytes]] = []
        self._size = self._at = 0
        for part in parts:
            self._parts.append((self._size, part))
            self._size += len(part) if isinstance(part, bytes) else part.end - part.begin

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As for every file. Raises `OSError` before the beginning."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise OSError("There is nothing before the beginning.")
        self._at = at
        return at

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """As for every file; a read ends where a part ends."""
        view = memoryview(buffer).cast("B")
        for begin, part in self._parts:
            within = self._at - begin
            if isinstance(part, bytes):
                found = part[within : within + len(view)] if 0 <= within < len(part) else b""
            elif 0 <= within < part.end - part.begin:
                self._file.seek(part.begin + within)
                found = self._file.read(min(len(view), part.end - part.begin - within))
            else:
                continue
            if found:
                view[: len(found)] = found
                self._at += len(found)
                return len(found)
        return 0


def size_of(file: BinaryIO) -> int:
    """The size in bytes. The file is at its end afterwards."""
    return file.seek(0, io.SEEK_END)


def read_at(file: BinaryIO, begin: int, size: int) -> bytes:
    """Read `size` bytes from `begin` on; fewer at the end."""
    file.seek(begin)
    return file.read(size)


def tag_bytes(head: bytes) -> int:
    """The length of the tag (ID3v2.4, 3.1) that `head` begins with; 0 for none. `TAG_HEADER_BYTES` are enough. Pure."""
    if len(head) < TAG_HEADER_BYTES or not head.startswith(b"ID3") or max(head[6:TAG_HEADER_BYTES]) > 0x7F:
        return 0
    size = 0
    for byte in head[6:TAG_HEADER_BYTES]:
        size = size << 7 | byte
    return TAG_HEADER_BYTES + size + (TAG_FOOTER_BYTES if head[5] & HAS_FOOTER else 0)


def begins_as_film(head: bytes) -> bool:
    """Whether a file that begins with `head` seems to be MP4 or QuickTime, of any brand, with the index anywhere. Pure.

    Files of QuickTime have no brand: they begin with their samples or their index, or with fillers before these.
    """
    at = 0
    while len(head) >= at + BOX.size:
        size, name = BOX.unpack_from(head, at)
        if at == 0 and name == FIRST_BOX:
            return BOX.size + 8 <= size <= MOST_BRANDS_BYTES and head[BOX.size : BOX.size + 4] not in PICTURES
        if name in FILM_BOXES:
            return size in SIZES_OF_REST or size >= BOX.size
        if name not in FILLERS or not BOX.size <= size <= MOST_FILLER_BYTES:
            return False
        at += size
    return at > 0


class ChunkFormat(NamedTuple):
    """A format of chunks: where the first chunk is, the header of each, and the name of the one with the samples.

    The next chunk begins at a multiple of `alignment` bytes behind the first. `counts_header`: the size of a chunk is
    that of its header and its body.
    """

    first: int
    header: struct.Struct
    samples: bytes
    alignment: int = 2
    counts_header: bool = False


WAV: Final = ChunkFormat(12, struct.Struct("<4sI"), b"data")
AIFF: Final = ChunkFormat(12, struct.Struct(">4sI"), b"SSND")
CAF: Final = ChunkFormat(8, struct.Struct(">4sq"), b"data", alignment=1)
W64: Final = ChunkFormat(40, struct.Struct("<4s12xq"), b"data", alignment=8, counts_header=True)
"""The names of its chunks are long, and begin with those of a WAV."""
CHUNK_FORMATS: Final = {b"RIFF": WAV, b"RF64": WAV, b"BW64": WAV, b"FORM": AIFF, b"caff": CAF, b"riff": W64}


class Walk(NamedTuple):
    """The parts that make a readable file, and the share of its samples that is there: 1 for all."""

    parts: list[Part | bytes]
    share: float


def walk_chunks(file: BinaryIO, begin: int = 0) -> Walk:
    """Walk the chunks of the file that begins at `begin`. A file of another format is one part."""
    size = size_of(file)
    kind = CHUNK_FORMATS.get(read_at(file, begin, 4))
    parts = list[Part | bytes]()
    if kind is None:
        return Walk([Part(begin, size)], 1.0)
    at = begin + kind.first
    for _ in range(MOST_CHUNKS):
        header = read_at(file, at, kind.header.size)
        if len(header) < kind.header.size:
            break
        name, length = kind.header.unpack(header)
        body = at + kind.header.size
        is_known = length not in UNKNOWN_SIZES
        if kind.counts_header:
            length -= kind.header.size
        if name == kind.samples:
            is_cut_off = is_known and length > size - body
            return Walk([*parts, Part(begin, size)], (size - body) / length if is_cut_off else 1.0)
        if kind in (WAV, W64) and name == b"fmt " and _has_wider_samples(file, body):
            at_bits, at_valid = body + BITS_AT, body + VALID_BITS_AT
            parts += [Part(begin, at_valid), read_at(file, at_bits, BITS_BYTES)]
            begin = at_valid + BITS_BYTES
        if length < 0:
            break
        at = body + length
        padding = -length % kind.alignment
        if padding and kind is WAV and _lacks_padding(file, at):
            parts += [Part(begin, at), b"\0"]
            begin = at
        else:
            at += padding
    return Walk([*parts, Part(begin, size)], 1.0)


def _has_wider_samples(file: BinaryIO, body: int) -> bool:
    """Whether the samples take more bytes than their valid bits need. `body` is where `fmt ` says so."""
    sizes = read_at(file, body, SAMPLE_SIZES.size)
    if len(sizes) < SAMPLE_SIZES.size:
        return False
    tag, bits, valid_bits = SAMPLE_SIZES.unpack(sizes)
    return bool(tag == EXTENSIBLE and bits and valid_bits and (valid_bits + 7) // 8 != (bits + 7) // 8)


def _lacks_padding(file: BinaryIO, at: int) -> bool:
    """Whether the next chunk begins where the padding byte should be."""
    return read_at(file, at, 4) in KNOWN_CHUNKS and read_at(file, at + 1, 4) not in KNOWN_CHUNKS


class Links(NamedTuple):
    """The links of an Ogg file. `is_whole`: the file ends where its last page does, and was walked to its end."""

    parts: list[Part]
    is_whole: bool


def find_links(file: BinaryIO, begin: int = 0) -> Links:
    """Find the links of the Ogg file that begins at `begin` (RFC 3533, 4).

    A chained Ogg file has several recordings one after the other, as radio stations make them. FFmpeg goes on from link
    to link only while codec, rate and channels stay the same, so each link is decoded as a file of its own. A file with
    more than `MOST_PAGES` or `MOST_LINKS` is cut there.
    """
    size, links = size_of(file), list[Part]()
    at, had_data = begin, False
    for _ in range(MOST_PAGES):
        header = read_at(file, at, PAGE_HEADER_BYTES + MOST_SEGMENTS)
        if len(header) < PAGE_HEADER_BYTES:
            break
        if not header.startswith(OGG_CAPTURE):
            at = _find_page(file, at + 1, size)
            continue
        is_first = bool(header[FLAGS_AT] & IS_FIRST)
        if is_first and had_data:
            links.append(Part(begin, at))
            begin = at
            if len(links) == MOST_LINKS:
                return Links(links, is_whole=False)
        had_data = not is_first
        count = header[SEGMENTS_AT]
        at += PAGE_HEADER_BYTES + count + sum(header[PAGE_HEADER_BYTES : PAGE_HEADER_BYTES + count])
    return Links([*links, Part(begin, size)], at == size)


def _find_page(file: BinaryIO, begin: int, size: int) -> int:
    """Where the next page begins; the file's end when there is none."""
    while begin < size:
        found = read_at(file, begin, SEARCHED_BYTES + len(OGG_CAPTURE) - 1).find(OGG_CAPTURE)
        if found >= 0:
            return begin + found
        begin += SEARCHED_BYTES
    return size
