"""What the members of an archive are called, in which order they come, and the records in them."""

import re
from enum import IntEnum
from tarfile import GNU_FORMAT, TarInfo
from typing import Final, NamedTuple

import msgspec

FORMAT: Final = 1
"""The number of this format. A reader refuses higher ones."""
BLOCK: Final = 512
"""Tar consists of blocks of so many bytes."""
NAME_BYTES: Final = 100
"""The longest name that fits into a header."""
DESCRIPTION: Final = "backup.json"
OBJECT_LIST: Final = "objects.jsonl"
MANIFEST: Final = "manifest.jsonl"


class Kind(IntEnum):
    """The kinds of members, in the order in which they come."""

    DESCRIPTION = 0
    DATABASE = 1
    OBJECT_LIST = 2
    OBJECT = 3
    SECRET = 4
    MANIFEST = 5


_NAMES: Final = {
    Kind.DESCRIPTION: re.compile(re.escape(DESCRIPTION)),
    Kind.DATABASE: re.compile(r"database/([a-z_][a-z0-9_]*)/[0-9]{8}"),
    Kind.OBJECT_LIST: re.compile(re.escape(OBJECT_LIST)),
    Kind.OBJECT: re.compile(r"objects/([a-z0-9-]+(?:/[a-z0-9-]+)*)"),
    Kind.SECRET: re.compile(r"secrets/(secret|admin-token)"),
    Kind.MANIFEST: re.compile(re.escape(MANIFEST)),
}
"""All names that a member may have. The group is the table, the key or the name."""


class Member(NamedTuple):
    """A member of an archive. `subject` is its table, key or name; `begins_at` is where its bytes begin.

    `written_at` is the time in its header, the same in all members.
    """

    kind: Kind
    name: str
    subject: str
    size: int
    begins_at: int
    written_at: int

    @property
    def ends_at(self) -> int:
        """Where the next header begins."""
        return self.begins_at + self.size + padding_of(self.size)


class Table(msgspec.Struct, frozen=True):
    """A table, and the columns whose values are in the archive."""

    name: str
    columns: list[str]


class Sequence(msgspec.Struct, frozen=True, rename="camel"):
    """Where the sequence of a column was."""

    table: str
    column: str
    last_value: int
    is_called: bool


class Version(msgspec.Struct, frozen=True):
    """What every format has, so that a reader can refuse the newer ones."""

    format: int
    omnisonic: str


class Description(msgspec.Struct, frozen=True, rename="camel"):
    """`backup.json`. `tables` come after those that they refer to; `created_at` is ISO 8601 in UTC."""

    format: int
    omnisonic: str
    migration: int
    created_at: str
    tables: list[Table]
    sequences: list[Sequence]


class StoredObject(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A line of `objects.jsonl`: what the database says of an object. Chunks have no hash and no label."""

    key: str
    size: int
    sha256: str | None = None
    mime_type: str | None = None
    file_name: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """A line of `manifest.jsonl`."""

    name: str
    size: int
    sha256: str


def identify(name: str) -> tuple[Kind, str] | None:
    """The kind of the member called `name`, and its table, key or name. None for a name that no member has."""
    if len(name) > NAME_BYTES:
        return None
    for kind, pattern in _NAMES.items():
        if found := pattern.fullmatch(name):
            return kind, found[1] if pattern.groups else ""
    return None


def header(name: str, size: int, written_at: int) -> bytes:
    """The block of tar that comes before the bytes of a member. `written_at` is a Unix time.

    Everything in it follows from the three, so that a reader can tell one that was changed.
    """
    info = TarInfo(name)
    info.size, info.mtime, info.mode = size, written_at, 0o600
    return info.tobuf(GNU_FORMAT, "ascii", "strict")


def padding_of(size: int) -> int:
    """How many zeros fill the last block of `size` bytes."""
    return -size % BLOCK
