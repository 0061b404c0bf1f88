"""A zip archive, made while it is sent: nothing of it is whole in memory or on disk. Sans-IO.

The entries are stored, not compressed: sound and pictures are. So the size of the archive follows from the sizes of the
files, before the first byte is read. CRCs do not: each follows its file, in a data descriptor (PKWARE's APPNOTE 6.3.10,
4.3.9). Files, archives and counts beyond the limits of the first zip are Zip64 (4.5.3).

`zipstream-ng` makes the same format of blocking iterators. The storage is read by asyncio, so each download would hold
a thread for as long as its client takes; this holds none.

Errors: a file that is longer or shorter than announced raises `WrongSize`, and there is no archive.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

STORED: Final = 0
FLAGS: Final = 0x0808
"""Sizes and CRC come after the file (bit 3), and names are UTF-8 (bit 11)."""
VERSION: Final = 20
VERSION_ZIP64: Final = 45
MADE_ON_UNIX: Final = 3 << 8
MODE: Final = 0o100644 << 16
"""A plain file that everybody may read."""
LIMIT: Final = 0xFFFF_FFFF
"""From this on a size or a place needs Zip64."""
COUNT_LIMIT: Final = 0xFFFF
ZIP64: Final = 1
"""The id of Zip64's extra field."""
EARLIEST: Final = datetime(1980, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_END_ZIP64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")


class WrongSize(Exception):
    """A file is longer or shorter than it was announced."""


class Entry(NamedTuple):
    """A file in the archive: its path with `/`, its size in bytes, and when it was made."""

    path: str
    size: int
    made_at: datetime

    @property
    def is_large(self) -> bool:
        return self.size >= LIMIT

    @property
    def overhead_bytes(self) -> int:
        """What stands before and behind the file."""
        return len(_local_header(self)) + len(_descriptor(self, 0))


class ZipStream:
    """The bytes of an archive of `entries`. One task owns it.

    For each entry in turn: `begin`, `add` for each block of the file, `end`. Then `finish`.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)
        self._begun = 0
        self._at = 0
        self._places = list[int]()
        self._crcs = list[int]()
        self._crc = self._left_bytes = 0

    @property
    def size(self) -> int:
        """The size of the whole archive, in bytes."""
        places = list[int]()
        at = 0
        for entry in self._entries:
            places.append(at)
            at += entry.overhead_bytes + entry.size
        return at + len(_directory(self._entries, places, [0] * len(places), at))

    def begin(self) -> bytes:
        """What stands before the next file."""
        entry = self._entries[self._begun]
        self._begun += 1
        self._places.append(self._at)
        self._crc, self._left_bytes = 0, entry.size
        return self._count(_local_header(entry))

    def add(self, block: bytes) -> bytes:
        """The next block of the file. Raises `WrongSize`."""
        self._left_bytes -= len(block)
        if self._left_bytes < 0:
            raise WrongSize
        self._crc = zlib.crc32(block, self._crc)
        return self._count(block)

    def end(self) -> bytes:
        """What stands behind the file. Raises `WrongSize`."""
        if self._left_bytes:
            raise WrongSize
        self._crcs.append(self._crc)
        return self._count(_descriptor(self._entries[self._begun - 1], self._crc))

    def finish(self) -> bytes:
        """The directory, which ends the archive."""
        return _directory(self._entries, self._places, self._crcs, self._at)

    def _count(self, block: bytes) -> bytes:
        self._at += len(block)
        return block


def dos_date(at: datetime) -> tuple[int, int, int, int, int, int]:
    """Year to second in UTC, within what zip can express: 1980 to 2107."""
    at = min(max(at.astimezone(UTC), EARLIEST), LATEST)
    return at.year, at.month, at.day, at.hour, at.minute, at.second


def _pack_time(at: datetime) -> tuple[int, int]:
    """Time and date as zip has them, in steps of two seconds (4.4.6)."""
    year, month, day, hour, minute, second = dos_date(at)
    return hour << 11 | minute << 5 | second // 2, (year - EARLIEST.year) << 9 | month << 5 | day


def _local_header(entry: Entry) -> bytes:
    name = entry.path.encode()
    size, extra, version = 0, b"", VERSION
    if entry.is_large:
        size, extra, version = LIMIT, struct.pack("<2H2Q", ZIP64, 16, 0, 0), VERSION_ZIP64
    times = _pack_time(entry.made_at)
    return _LOCAL.pack(b"PK\3\4", version, FLAGS, STORED, *times, 0, size, size, len(name), len(extra)) + name + extra


def _descriptor(entry: Entry, crc: int) -> bytes:
    return struct.pack("<4sL2Q" if entry.is_large else "<4s3L", b"PK\7\x08", crc, entry.size, entry.size)


def _central_header(entry: Entry, place: int, crc: int) -> bytes:
    name = entry.path.encode()
    large = [entry.size, entry.size] if entry.is_large else []
    far = [place] if place >= LIMIT else []
    wide = large + far
    extra = struct.pack(f"<2H{len(wide)}Q", ZIP64, 8 * len(wide), *wide) if wide else b""
    version = VERSION_ZIP64 if wide else VERSION
    size = LIMIT if large else entry.size
    header = _CENTRAL.pack(
        b"PK\1\2",
        MADE_ON_UNIX | version,
        version,
        FLAGS,
        STORED,
        *_pack_time(entry.made_at),
        crc,
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        MODE,
        LIMIT if far else place,
    )
    return header + name + extra


def _directory(entries: list[Entry], places: list[int], crcs: list[int], at: int) -> bytes:
    """The central directory and the end of the archive, when its files end `at`."""
    headers = b"".join(_headers(entries, places, crcs))
    count, size = len(entries), len(headers)
    ending = b""
    if count >= COUNT_LIMIT or size >= LIMIT or at >= LIMIT:
        rest_bytes = _END_ZIP64.size - 12
        versions = MADE_ON_UNIX | VERSION_ZIP64, VERSION_ZIP64
        ending = _END_ZIP64.pack(b"PK\6\6", rest_bytes, *versions, 0, 0, count, count, size, at)
        ending += _LOCATOR.pack(b"PK\6\7", 0, at + size, 1)
    counts = min(count, COUNT_LIMIT)
    return headers + ending + _END.pack(b"PK\5\6", 0, 0, counts, counts, min(size, LIMIT), min(at, LIMIT), 0)


def _headers(entries: list[Entry], places: list[int], crcs: list[int]) -> Iterator[bytes]:
    for entry, place, crc in zip(entries, places, crcs, strict=True):
        yield _central_header(entry, place, crc)
