"""Verifies an archive: reads all of it once, and compares every byte with the manifest. Blocks.

Every byte of the file is either in the hash of a member, or in a header or a padding that has only one possible form.
"""

import hashlib
import itertools

import msgspec

from omnisonic.operations.backup import Report, Summary
from omnisonic.operations.backup.archive_reader import ArchiveReader
from omnisonic.operations.backup.archive_writer import LineFile
from omnisonic.operations.backup.contents import Description, Entry, Kind, Member, StoredObject


class Contents(msgspec.Struct, frozen=True):
    """What a verified archive has in it."""

    description: Description
    summary: Summary


def verify_archive(archive: ArchiveReader, report: Report) -> Contents:
    """Check all hashes, the order of the members, and that each member is expected.

    Raises:
        NotABackup, ArchiveTooNew, ArchiveDamaged, ArchiveNotRead: In this order of checks.
    """
    description = archive.describe()
    report.begin("Checking the archive.", archive.size_bytes)
    members = LineFile("the archive")
    try:
        summary = _verify_members(archive, description, members, report)
    finally:
        members.close()
    return Contents(description, summary)


def _verify_members(archive: ArchiveReader, description: Description, computed: LineFile, report: Report) -> Summary:
    order = {table.name: number for number, table in enumerate(description.tables)}
    summary = Summary(tables=len(order))
    expected, part = None, (-1, "")
    for member in archive.members():
        if member.kind == Kind.MANIFEST:
            _compare(archive, member, computed)
            continue
        entry = Entry(member.name, member.size, _hash(archive, member, report))
        computed.add(entry)
        if member.kind == Kind.DATABASE:
            previous, part = part, (order.get(member.subject, -1), member.name)
            if part <= previous:
                raise archive.damaged(member.name)
        elif member.kind == Kind.OBJECT_LIST:
            expected = ExpectedObjects(archive, member)
        elif member.kind == Kind.OBJECT:
            if expected is None:
                raise archive.damaged(member.name)
            _count(summary, expected.find(member, summary.missing), entry)
        elif member.kind == Kind.SECRET:
            summary.secrets.append(member.subject)
    if expected is None:
        raise archive.damaged()
    expected.skip_rest(summary.missing)
    return summary


class ExpectedObjects:
    """The objects that the database names, read beside the members that hold them: both are sorted by key."""

    def __init__(self, archive: ArchiveReader, list_member: Member) -> None:
        self._archive = archive
        self._objects = archive.records(list_member, StoredObject)

    def find(self, member: Member, missing: list[str]) -> StoredObject:
        """What the database says of this member. Those that are skipped on the way are `missing`.

        Raises:
            ArchiveDamaged: The database does not name it.
        """
        for found in self._objects:
            if found.key == member.subject:
                return found
            missing.append(found.key)
        raise self._archive.damaged(member.name)

    def skip_rest(self, missing: list[str]) -> None:
        """All objects that are left are `missing`."""
        missing.extend(found.key for found in self._objects)


def _hash(archive: ArchiveReader, member: Member, report: Report) -> str:
    digest = hashlib.sha256()
    for block in archive.blocks(member):
        digest.update(block)
        report.advance(len(block))
    return digest.hexdigest()


def _count(summary: Summary, expected: StoredObject, entry: Entry) -> None:
    summary.files += 1
    summary.file_bytes += entry.size
    if expected.sha256 not in (None, entry.sha256):
        summary.damaged.append(expected.key)


def _compare(archive: ArchiveReader, manifest: Member, computed: LineFile) -> None:
    """Compare the manifest, byte for byte, with the one that the members make."""
    for line, own in itertools.zip_longest(archive.lines(manifest), computed.lines()):
        if line is None or own is None or line + b"\n" != own:
            raise archive.damaged(msgspec.json.decode(own, type=Entry).name if own else manifest.name)
