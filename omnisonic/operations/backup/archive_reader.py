"""Reads an archive, and trusts nothing in it. Everything blocks.

Only headers are accepted that `contents.header` makes: no links, no folders, no sparse files, and no names but those
of `contents`. A member never ends beyond the end of the file. So nothing in an archive can be larger than the archive.
"""

import contextlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from omnisonic.operations.backup import ArchiveDamaged, ArchiveNotRead, ArchiveTooNew, NotABackup
from omnisonic.operations.backup.contents import (
    BLOCK,
    DESCRIPTION,
    FORMAT,
    Description,
    Kind,
    Member,
    Version,
    header,
    identify,
    padding_of,
)

READ_BYTES: Final = 1_048_576
LONGEST_LINE: Final = 65_536
LONGEST_DESCRIPTION: Final = 4_194_304

_NOT_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON that is expected."""

Record = TypeVar("Record", bound=msgspec.Struct)


class ArchiveReader:
    """The archive in the file `path`, open as `descriptor`. Every method raises `ArchiveNotRead`, `ArchiveDamaged`."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self.size_bytes = os.fstat(descriptor).st_size

    def members(self) -> Iterator[Member]:
        """All members in their order, each in its place, the manifest last.

        Raises:
            NotABackup: The file does not begin like an archive of ours.
        """
        position, last = 0, None
        while last is None or last.kind != Kind.MANIFEST:
            member = self._parse(self._read(position, BLOCK), position + BLOCK)
            if member is None:
                raise self.damaged() if position else self._not_ours()
            position = member.ends_at
            padding = padding_of(member.size)
            is_cut = position > self.size_bytes or any(self._read(position - padding, padding))
            if is_cut or (last is not None and not _may_follow(member, last)):
                raise self.damaged(member.name)
            last = member
            yield member
        if self.size_bytes != position + 2 * BLOCK or any(self._read(position, 2 * BLOCK)):
            raise self.damaged()

    def blocks(self, member: Member) -> Iterator[bytes]:
        """The bytes of a member."""
        position, end = member.begins_at, member.begins_at + member.size
        while position < end:
            block = self._read(position, min(READ_BYTES, end - position))
            if not block:
                raise self.damaged(member.name)
            position += len(block)
            yield block

    def lines(self, member: Member) -> Iterator[bytes]:
        """The lines of a member, without their ends."""
        rest = b""
        for block in self.blocks(member):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if len(rest) > LONGEST_LINE:
                raise self.damaged(member.name)
        if rest:
            raise self.damaged(member.name)

    def records(self, member: Member, type_: type[Record]) -> Iterator[Record]:
        """The lines of a member, decoded."""
        decoder = msgspec.json.Decoder(type_)
        for line in self.lines(member):
            try:
                yield decoder.decode(line)
            except _NOT_JSON as problem:
                raise self.damaged(member.name) from problem

    def describe(self) -> Description:
        """What the archive says about itself.

        Raises:
            ArchiveTooNew: It has a format that this version does not know.
            NotABackup: It has no description.
        """
        first = next(self.members())
        if first.name != DESCRIPTION or first.size > LONGEST_DESCRIPTION:
            raise self._not_ours()
        content = b"".join(self.blocks(first))
        try:
            version = msgspec.json.decode(content, type=Version)
            if version.format > FORMAT:
                raise ArchiveTooNew(
                    f"{self._path} was made by Omnisonic {version.omnisonic}, which is newer than this one: restore it "
                    "with that version."
                )
            return msgspec.json.decode(content, type=Description)
        except _NOT_JSON as problem:
            raise self.damaged(DESCRIPTION) from problem

    def damaged(self, name: str = "") -> ArchiveDamaged:
        """The error for an archive that is damaged in the member called `name`, or outside of all."""
        where = f" (in {name})" if name else ""
        return ArchiveDamaged(
            f"{self._path} is damaged{where}: it is not as it was written. Nothing was restored. Use another backup."
        )

    def _not_ours(self) -> NotABackup:
        return NotABackup(f"{self._path} is not a backup of Omnisonic Studio.")

    def _parse(self, block: bytes, begins_at: int) -> Member | None:
        """The member whose header this block is; None for a block that no writer of ours makes."""
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            found = identify(info.name)
            if found is None or info.size < 0 or header(info.name, info.size, int(info.mtime)) != block:
                return None
        except (tarfile.TarError, ValueError):
            return None
        kind, subject = found
        return Member(kind, info.name, subject, info.size, begins_at, int(info.mtime))

    def _read(self, position: int, size: int) -> bytes:
        try:
            return os.pread(self._descriptor, size, position)
        except OSError as problem:
            raise _not_read(self._path, problem) from problem


def _may_follow(member: Member, last: Member) -> bool:
    """Whether `member` is in its place after `last`. The tables have their own order."""
    if member.written_at != last.written_at:
        return False
    if member.kind == last.kind == Kind.DATABASE:
        return True
    return (member.kind, member.name) > (last.kind, last.name)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[ArchiveReader]:
    """The archive in the file `path`, open until the block ends. Raises `ArchiveNotRead`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        raise _not_read(path, problem) from problem
    try:
        yield ArchiveReader(descriptor, path)
    finally:
        os.close(descriptor)


def _not_read(path: Path, problem: OSError) -> ArchiveNotRead:
    return ArchiveNotRead(f"{path} cannot be read ({problem.strerror or type(problem).__name__}).")
