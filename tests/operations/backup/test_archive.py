"""The archive itself: whatever is wrong with it is found before anything is changed."""

import contextlib
import hashlib
import os
import random
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest

from omnisonic.operations.backup import ArchiveDamaged, ArchiveNotRead, ArchiveNotWritten, ArchiveTooNew, NotABackup
from omnisonic.operations.backup.archive_writer import new_archive
from omnisonic.operations.backup.contents import MANIFEST, Entry, header
from tests.operations.backup.installations import Installation, verified, written

DESCRIPTION = (
    b'{"format": 1, "omnisonic": "0.1.0", "migration": 1, "createdAt": "2026-11-27T03:00:00Z",'
    b' "tables": [{"name": "users", "columns": ["id"]}, {"name": "logins", "columns": ["id"]}], "sequences": []}'
)
OBJECT = b'{"key": "uploads/1", "size": 4, "sha256": null}\n'
GOOD = [
    ("backup.json", DESCRIPTION),
    ("database/users/00000000", b"1\n"),
    ("database/users/00000001", b"2\n"),
    ("database/logins/00000000", b"3\n"),
    ("objects.jsonl", OBJECT),
    ("objects/uploads/1", b"stem"),
    ("secrets/secret", b"secret\n"),
]


def saved(folder: Path, content: bytes) -> Path:
    """The file of an archive."""
    path = folder / "studio.tar"
    path.write_bytes(content)
    return path


def test_a_good_archive_is_one(tmp_path: Path) -> None:
    """What the tests below change is good before."""
    summary = verified(saved(tmp_path, written(GOOD))).summary
    assert (summary.tables, summary.files, summary.file_bytes, summary.secrets) == (2, 1, 4, ["secret"])


def test_tar_reads_it_and_the_manifest_has_the_hash_of_every_member(source: Installation, tmp_path: Path) -> None:
    """An operator needs nothing of ours to look into it."""
    source.fill()
    source.back_up(tmp_path / "studio.tar")
    listed = subprocess.run(
        ["tar", "-tf", str(tmp_path / "studio.tar")], capture_output=True, text=True, check=True, timeout=20
    )
    names = listed.stdout.splitlines()
    assert listed.stderr == ""
    with tarfile.open(tmp_path / "studio.tar") as tar:
        contents = {}
        for info in tar:
            file = tar.extractfile(info)
            assert file is not None
            contents[info.name] = file.read()
    entries = [msgspec.json.decode(line, type=Entry) for line in contents.pop(MANIFEST).splitlines()]
    assert [entry.name for entry in entries] == names[:-1] == list(contents)
    assert [(len(content), hashlib.sha256(content).hexdigest()) for content in contents.values()] == [
        (entry.size, entry.sha256) for entry in entries
    ]


def test_a_changed_byte_is_found_wherever_it_is() -> None:
    """In headers, contents, paddings, manifest and end: every third byte of the file, each with another value."""
    good = written(GOOD)
    chance = random.Random(19)
    for position in range(0, len(good), 3):
        damaged = bytearray(good)
        damaged[position] ^= chance.randrange(1, 256)
        assert fails(bytes(damaged)), position


def test_every_shorter_file_is_found_and_so_is_a_longer_one() -> None:
    """Cut off anywhere, also between two members."""
    good = written(GOOD)
    assert all(fails(good[:size]) for size in range(0, len(good), 128))
    assert fails(good + b"\0")
    assert fails(good + good)


def fails(content: bytes) -> bool:
    """Whether the archive is refused."""
    descriptor = os.memfd_create("archive")
    try:
        os.write(descriptor, content)
        verified(Path(f"/proc/self/fd/{descriptor}"))
    except (ArchiveDamaged, NotABackup, ArchiveTooNew):
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize(
    "name",
    [
        "objects/../../etc/passwd",
        "/etc/passwd",
        "objects/uploads/../1",
        "objects/./1",
        "objects//1",
        "objects/uploads/1.part",
        "secrets/../lock",
        "secrets/password",
        "database/users;drop/00000000",
        'database/users"/00000000',
        "valkey/dump.rdb",
    ],
)
def test_a_name_that_no_member_has_is_refused(tmp_path: Path, name: str) -> None:
    """No name leads out of the installation, or to a file in it that is not restored."""
    content = b"evil"
    evil = header(name, len(content), 0) + content + bytes(512 - len(content))
    good = written(GOOD)
    at = good.index(b"objects.jsonl")
    with pytest.raises(ArchiveDamaged):
        verified(saved(tmp_path, good[:at] + evil + good[at:]))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_only_ordinary_files_are_in_an_archive(tmp_path: Path, kind: bytes) -> None:
    """No links, folders, devices or sparse files."""
    good = written(GOOD)
    info = tarfile.TarInfo("objects/uploads/1")
    info.type, info.linkname, info.mode = kind, "/etc/passwd", 0o600
    at = good.index(b"objects.jsonl")
    with pytest.raises(ArchiveDamaged):
        verified(saved(tmp_path, good[:at] + info.tobuf(tarfile.GNU_FORMAT) + good[at:]))


def test_a_member_that_claims_to_be_huge_is_refused_at_once(tmp_path: Path) -> None:
    """Nothing is larger than the file itself: no memory or disk is used for it."""
    huge = header("objects/uploads/1", 2**60, 0)
    good = written(GOOD)
    at = good.index(b"objects/uploads/1")
    with pytest.raises(ArchiveDamaged):
        verified(saved(tmp_path, good[:at] + huge + good[at + 512 :]))


@pytest.mark.parametrize(
    "members",
    [
        [*GOOD[:3], GOOD[2], *GOOD[3:]],
        [*GOOD[:1], GOOD[3], *GOOD[1:3], *GOOD[4:]],
        [*GOOD[:5], GOOD[6], GOOD[5]],
        [*GOOD[:4], *GOOD[5:]],
        [*GOOD[:5], ("objects/uploads/2", b"stem"), *GOOD[6:]],
        [*GOOD[:3], ("database/invites/00000000", b"4\n"), *GOOD[4:]],
        [*GOOD[:4], ("objects.jsonl", b"{}\n"), *GOOD[5:]],
        [*GOOD[:4], ("objects.jsonl", OBJECT[:-1]), *GOOD[5:]],
        [*GOOD[:4], ("objects.jsonl", b"[" * 70_000), *GOOD[5:]],
        [("backup.json", b"{}"), *GOOD[1:]],
        [("backup.json", b"[" * 100_000), *GOOD[1:]],
    ],
    ids=[
        "a part twice", "tables out of order", "an object after a secret", "no list of objects", "an object too many",
        "another table", "a bad line", "half a line", "a long line", "no description", "a deep description",
    ],
)  # fmt: skip
def test_members_must_be_those_that_are_expected(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    """Even when their hashes are right."""
    with pytest.raises(ArchiveDamaged):
        verified(saved(tmp_path, written(members)))


def test_a_newer_format_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Nothing else need be as it is today."""
    newer = written([("backup.json", b'{"format": 2, "omnisonic": "9.0.0"}')])
    with pytest.raises(ArchiveTooNew, match=r"was made by Omnisonic 9\.0\.0, which is newer") as refused:
        verified(saved(tmp_path, newer + b"something new"))
    assert refused.value.code == "archive_too_new"


@pytest.mark.parametrize("content", [b"", b"RIFF", bytes(10_240), b"\x1f\x8b" + bytes(2000)])
def test_what_is_no_backup_is_called_so(tmp_path: Path, content: bytes) -> None:
    """Another file was named."""
    with pytest.raises(NotABackup, match="is not a backup of Omnisonic Studio"):
        verified(saved(tmp_path, content))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """It is not there, or a folder."""
    for path in (tmp_path / "none.tar", tmp_path):
        with pytest.raises(ArchiveNotRead, match="cannot be read"):
            verified(path)


def test_an_archive_that_is_there_stays(tmp_path: Path) -> None:
    """Unless it may be replaced, and even then until the new one is complete."""
    path = saved(tmp_path, b"the last backup")
    with pytest.raises(ArchiveNotWritten, match="--force"), new_archive(path, replace=False):
        pass
    with contextlib.suppress(ZeroDivisionError), new_archive(path, replace=True) as file:
        file.write(b"half")
        assert path.read_bytes() == b"the last backup"
        raise ZeroDivisionError
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"the last backup"
    with new_archive(path, replace=True) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"


def test_two_backups_do_not_write_one_file(tmp_path: Path) -> None:
    """The second is refused; what a killed one has left is written anew, and is private."""
    path = tmp_path / "studio.tar"
    partial = tmp_path / "studio.tar.partial"
    partial.write_bytes(b"left by one that was killed")
    partial.chmod(0o644)
    with new_archive(path, replace=False) as file:
        assert partial.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ArchiveNotWritten, match="Another backup writes"), new_archive(path, replace=False):
            pass
        file.write(b"whole")
    assert path.read_bytes() == b"whole"


def test_only_ordinary_files_are_replaced(tmp_path: Path) -> None:
    """No folder, no link, and nothing in a folder that is not there."""
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (tmp_path, tmp_path / "link", tmp_path / "none" / "studio.tar"):
        with pytest.raises(ArchiveNotWritten), new_archive(path, replace=True):
            pass
