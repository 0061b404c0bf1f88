"""The links of a chained Ogg file (RFC 3533, 4): recordings one after the other in one file, as radio stations make
them. Blocking.

FFmpeg goes on from link to link only while nothing changes: not the codec, the rate or the channels. So each link is
decoded as a file of its own. Nothing is decoded here; the pages are walked by their headers. Broken pages are passed
over. A file of more than `MOST_PAGES` or `MOST_LINKS` is cut there.
"""

from typing import BinaryIO, Final, NamedTuple

from omnisonic.studio.media.file_parts import Part, read_at, size_of

CAPTURE: Final = b"OggS"
HEADER_BYTES: Final = 27
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


class Links(NamedTuple):
    """Where each link is. `is_whole`: whether the file ends where its last page does, and was walked to its end."""

    parts: list[Part]
    is_whole: bool


def find_links(file: BinaryIO, begin: int = 0) -> Links:
    """The links of the Ogg file that begins there."""
    size, links = size_of(file), list[Part]()
    at, had_data = begin, False
    for _ in range(MOST_PAGES):
        header = read_at(file, at, HEADER_BYTES + MOST_SEGMENTS)
        if len(header) < HEADER_BYTES:
            break
        if not header.startswith(CAPTURE):
            at = _next_page(file, at + 1, size)
            continue
        is_first = bool(header[FLAGS_AT] & IS_FIRST)
        if is_first and had_data:
            links.append(Part(begin, at))
            begin = at
            if len(links) == MOST_LINKS:
                return Links(links, is_whole=False)
        had_data = not is_first
        count = header[SEGMENTS_AT]
        at += HEADER_BYTES + count + sum(header[HEADER_BYTES : HEADER_BYTES + count])
    return Links([*links, Part(begin, size)], at == size)


def _next_page(file: BinaryIO, begin: int, size: int) -> int:
    """Where the next page begins; the file's end when there is none."""
    while begin < size:
        found = read_at(file, begin, SEARCHED_BYTES + len(CAPTURE) - 1).find(CAPTURE)
        if found >= 0:
            return begin + found
        begin += SEARCHED_BYTES
    return size
