"""Copies of objects: in time, or not at all, and never again and again."""

import asyncio
import errno
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Final, cast

import pytest

from omnisonic.stores.storage import Storage
from omnisonic.studio.uploads.object_copy import LEAST_RATE, CannotCopy, copied_object
from tests.patience import patient_timeout
from tests.postgres_server import blocking

BLOCKS: Final = [b"sound", b" and ", b"more"]
SOON_S: Final = 0.05
DEADLINE_S: Final = 20.0


class Shelf:
    """A storage that gives `BLOCKS`, and then ends, says nothing more, or goes on for ever."""

    def __init__(self, then: str = "end") -> None:
        self.then = then
        self.asked = 0

    async def read(self, key: str) -> AsyncIterator[bytes]:
        self.asked += 1
        for block in BLOCKS:
            yield block
        while self.then == "silence":
            await asyncio.Event().wait()
        while self.then == "more":
            await asyncio.sleep(0)
            yield b""


def copied(shelf: Shelf, size: int = 14, *, silence_s: float = DEADLINE_S, least_s: float = DEADLINE_S) -> bytes:
    """What is in the copy."""

    async def copy() -> bytes:
        storage = cast("Storage", shelf)
        async with (
            patient_timeout(DEADLINE_S),
            copied_object(storage, "uploads/a-1", size, silence_s=silence_s, least_s=least_s) as file,
        ):
            return file.read()

    return blocking(copy())


def test_a_copy_is_what_was_read() -> None:
    """From its beginning."""
    assert copied(Shelf()) == b"".join(BLOCKS)


def test_a_storage_that_says_nothing_more_is_an_outage() -> None:
    """The file is not at fault, however large it is."""
    with pytest.raises(TimeoutError):
        copied(Shelf("silence"), silence_s=SOON_S)


def test_a_copy_that_takes_too_long_for_its_size_counts() -> None:
    """Else it would be begun again for ever."""
    with pytest.raises(CannotCopy, match=r"^Copying 14 bytes out of the storage took too long\.$"):
        copied(Shelf("more"), least_s=SOON_S)


def test_a_large_file_may_take_longer() -> None:
    """As long as the least rate lets it; a small one may take the least time."""
    with pytest.raises(CannotCopy):
        copied(Shelf(), 0, least_s=0)
    assert copied(Shelf(), round(DEADLINE_S * LEAST_RATE), least_s=0) == b"".join(BLOCKS)


def test_what_the_disk_could_never_hold_is_not_copied() -> None:
    """It counts."""
    shelf = Shelf()
    with pytest.raises(CannotCopy, match="are more than the disk of"):
        copied(shelf, shutil.disk_usage(tempfile.gettempdir()).total + 1)
    assert shelf.asked == 0


def test_what_the_disk_has_no_room_for_now_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is an outage: others have filled it."""
    shelf, disk = Shelf(), shutil.disk_usage(tempfile.gettempdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: disk._replace(free=13))
    with pytest.raises(OSError, match="No space left") as reported:
        copied(shelf)
    assert reported.value.errno == errno.ENOSPC
    assert shelf.asked == 0
