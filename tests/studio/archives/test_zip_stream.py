"""Archives that are made while they are sent, read back by Python's own library."""

import io
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from omnisonic.studio.archives.zip_stream import Entry, WrongSize, ZipStream

AT: Final = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LARGE: Final = 5 * 2**30


def archive_of(files: dict[str, bytes]) -> bytes:
    """The archive, each file given in blocks of three bytes."""
    zipped = ZipStream(Entry(name, len(content), AT) for name, content in files.items())
    parts = list[bytes]()
    for content in files.values():
        parts.append(zipped.begin())
        parts += [zipped.add(content[at : at + 3]) for at in range(0, len(content), 3)]
        parts.append(zipped.end())
    archive = b"".join([*parts, zipped.finish()])
    assert len(archive) == zipped.size
    return archive


@pytest.mark.parametrize("files", [{}, {"Night jam/01 Bø 🎸.wav": b"one two three", "Night jam/02 empty": b""}])
def test_an_archive_has_its_files_and_the_size_that_was_said(files: dict[str, bytes]) -> None:
    """With their names in whatever script, and the times when they came."""
    with zipfile.ZipFile(io.BytesIO(archive_of(files))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert all(info.date_time == (2026, 3, 4, 5, 6, 6) for info in archive.infolist())


def test_files_and_places_beyond_four_gigabytes_are_found(tmp_path: Path) -> None:
    """With holes in the place of sound: neither is read."""
    path, small = tmp_path / "large.zip", b"behind the large one"
    zipped = ZipStream([Entry("large", LARGE, AT), Entry("small", len(small), AT)])
    with path.open("wb") as file:
        file.write(zipped.begin())
        file.seek(LARGE, 1)
        zipped._at += LARGE
        zipped._left_bytes = 0
        file.write(zipped.end() + zipped.begin() + zipped.add(small) + zipped.end() + zipped.finish())
        assert file.tell() == zipped.size
    with zipfile.ZipFile(path) as archive:
        assert [info.file_size for info in archive.infolist()] == [LARGE, len(small)]
        assert archive.read("small") == small
        with archive.open("large") as large:
            assert large.read(5) == bytes(5)


def test_a_file_of_another_size_ends_the_archive() -> None:
    """What was announced would not be true any more."""
    zipped = ZipStream([Entry("five", 5, AT)])
    zipped.begin()
    zipped.add(b"four")
    with pytest.raises(WrongSize):
        zipped.end()
    with pytest.raises(WrongSize):
        zipped.add(b"and more")


def test_more_files_than_the_first_zip_could_count_are_counted() -> None:
    """From 65,535 on, the count is Zip64's."""
    count = 65_535
    zipped = ZipStream([Entry(str(number), 0, AT) for number in range(count)])
    zipped._places = zipped._crcs = [0] * count
    ending = zipped.finish()[-98:]
    assert (ending[:4], ending[56:60], ending[76:80]) == (b"PK\6\6", b"PK\6\7", b"PK\5\6")
    assert struct.unpack_from("<Q", ending, 32) == (count,)
