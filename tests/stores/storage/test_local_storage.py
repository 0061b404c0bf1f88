"""What is special about files in a folder: their names, their rights, and how a disk fails (RELIABILITY 16)."""

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.storage import StorageFull, StorageRefused
from omnisonic.stores.storage.files import FileWriter
from omnisonic.stores.storage.local import LocalStorage
from tests.recording_disk import RecordingDisk
from tests.stores.storage.shelves import DEADLINE_S, local_shelf
from tests.stores.storage.test_storage import noise

ENDLESS = """
import asyncio, sys
from pathlib import Path
from omnisonic.stores.storage.local import LocalStorage

async def bytes_without_end():
    while True:
        yield bytes(65536)
        print("more", flush=True)

asyncio.run(LocalStorage(Path(sys.argv[1])).put("uploads/a-1", bytes_without_end()))
"""


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 4 MiB."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root can make a small disk (tmpfs)")
    with tempfile.TemporaryDirectory(prefix="omnisonic-disk-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def modes(folder: Path) -> dict[str, str]:
    """What is in `folder`, and its mode."""
    return {str(one.relative_to(folder)): oct(one.stat().st_mode) for one in folder.rglob("*")}


async def test_a_full_disk_leaves_nothing_and_is_used_again(thread: AsyncioThread, small_disk: Path) -> None:
    """`StorageFull`; what was there stays, and what fits the next time is taken."""
    async with local_shelf(thread, small_disk / "uploads") as shelf:
        await shelf.put("uploads/a-1", noise(2_000_000))
        for _ in range(3):
            with pytest.raises(StorageFull):
                await shelf.put("uploads/a-2", *[noise(500_000)] * 10)
        assert shelf.place.objects() == {"uploads/a-1": 2_000_000}
        assert not shelf.place.unfinished()
        await shelf.put("uploads/a-3", noise(1_500_000))
        assert await shelf.read("uploads/a-3") == noise(1_500_000)


async def test_a_full_disk_is_told_by_ping_as_unavailable(thread: AsyncioThread, small_disk: Path) -> None:
    """And no more once there is room."""
    (small_disk / "uploads").mkdir()
    with suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass
    async with local_shelf(thread, small_disk / "uploads") as shelf:
        with pytest.raises(Unavailable, match="full"):
            await shelf.ping()
        (small_disk / "ballast").unlink()
        await shelf.ping()


async def test_a_folder_that_cannot_be_used_says_why_to_the_operator(thread: AsyncioThread, tmp_path: Path) -> None:
    """Here it is a file; users are told whom to ask."""
    folder = tmp_path / "uploads"
    folder.write_text("no folder")
    async with local_shelf(thread, folder) as shelf:
        for asked in (shelf.ping(), shelf.put("uploads/a-1", b"x"), shelf.read("uploads/a-1")):
            with pytest.raises(StorageRefused) as refused:
                await asked
            assert refused.value.reason.startswith(f"The folder {folder} cannot be used (")
            assert str(folder) not in refused.value.message
    assert folder.read_text() == "no folder"


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../a", "uploads/../../a", "uploads/a.part", "a//b", "a/", "a\n", "a\0", "%2e%2e/a", "A"]
)
async def test_nothing_but_keys_is_taken_for_a_key(thread: AsyncioThread, tmp_path: Path, key: str) -> None:
    """Whatever went wrong before, nothing outside of the folder is touched."""
    async with local_shelf(thread, tmp_path / "uploads") as shelf:
        for asked in (shelf.put(key, b"x"), shelf.read(key), shelf.delete(key)):
            with pytest.raises(ValueError, match="is no key"):
                await asked
    assert not modes(tmp_path)


async def test_files_are_private(thread: AsyncioThread, tmp_path: Path) -> None:
    """Nobody else on the machine reads them, whatever the umask."""
    async with local_shelf(thread, tmp_path / "uploads") as shelf:
        await shelf.put("uploads/a-1", b"x")
    assert modes(tmp_path) == {"uploads": "0o40700", "uploads/uploads": "0o40700", "uploads/uploads/a-1": "0o100600"}


async def test_nothing_follows_a_link_out_of_the_folder(thread: AsyncioThread, tmp_path: Path) -> None:
    """Neither to read what it leads to nor to write there."""
    (tmp_path / "uploads" / "uploads").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (tmp_path / "uploads/uploads/a-1").symlink_to(outside)
    (tmp_path / "uploads/uploads/a-2.part").symlink_to(outside)
    async with local_shelf(thread, tmp_path / "uploads") as shelf:
        for asked in (shelf.read("uploads/a-1"), shelf.put("uploads/a-2", b"x")):
            with pytest.raises(StorageRefused):
                await asked
    assert outside.read_text() == "secret"


async def test_two_that_write_the_same_key_never_mix(thread: AsyncioThread, tmp_path: Path) -> None:
    """The second is refused and harms nothing; once the first has given up, the key is free."""
    path = tmp_path / "uploads/a-1"
    first = FileWriter(tmp_path, path)
    first.open()
    first.write(b"first")
    async with local_shelf(thread, tmp_path) as shelf:
        with pytest.raises(Unavailable):
            await shelf.put("uploads/a-1", b"second")
        first.commit()
        assert await shelf.read("uploads/a-1") == b"first"
        await shelf.put("uploads/a-1", b"second")
        assert await shelf.read("uploads/a-1") == b"second"
        assert not shelf.place.unfinished()


async def test_a_process_that_is_killed_leaves_only_a_part(thread: AsyncioThread, tmp_path: Path) -> None:
    """SIGKILL in the middle of a put: no object, and deleting the key removes the rest."""
    command = [sys.executable, "-c", ENDLESS, str(tmp_path)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    # It is killed before the pipe ends: otherwise its next word would fail, and it would tidy up.
    async with process.stdout:
        try:
            assert await process.stdout.receive_some()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    async with local_shelf(thread, tmp_path) as shelf:
        assert shelf.place.objects() == {}
        assert shelf.place.unfinished() == ["uploads/a-1.part"]
        await shelf.delete("uploads/a-1")
        assert shelf.is_empty()


async def test_what_is_under_way_when_it_is_closed_ends(thread: AsyncioThread, tmp_path: Path) -> None:
    """A put that can do no more leaves nothing."""
    async with local_shelf(thread, tmp_path) as shelf:

        async def closing_chunks() -> None:
            async def chunks() -> AsyncIterator[bytes]:
                yield bytes(1_000_000)
                await shelf.store.aclose()
                yield bytes(1_000_000)

            await shelf.store.put("uploads/a-1", chunks())

        with pytest.raises(Unavailable):
            await thread.call(closing_chunks, timeout_s=DEADLINE_S)
        assert shelf.is_empty()


def test_a_file_that_was_given_up_does_nothing_more(tmp_path: Path) -> None:
    """Whatever a thread that was late still calls."""
    for steps in range(4):
        file = FileWriter(tmp_path, tmp_path / "uploads/a-1")
        for step in (file.open, partial(file.write, b"x"), file.commit)[:steps]:
            step()
        file.discard()
        file.open()
        file.write(b"late")
        file.commit()
        file.discard()
        assert modes(tmp_path).keys() <= {"uploads"}


async def test_an_object_is_on_the_disk_before_it_is_kept(thread: AsyncioThread, tmp_path: Path) -> None:
    """The folders that are made, then all of the file, its name, and the folder; then it is said to be kept.

    Whatever order the disk itself writes in, a crash of the machine leaves the whole object or none.
    """
    disk = RecordingDisk(tmp_path)
    storage = LocalStorage(tmp_path / "data" / "uploads", disk=disk)

    async def put(key: str, size: int) -> None:
        async def content() -> AsyncIterator[bytes]:
            yield noise(size)

        await storage.put(key, content())
        disk.asked.append(("kept", key))

    for size in (1_000, 2_000):
        await thread.call(partial(put, f"stems/one/a-{size}", size), timeout_s=DEADLINE_S)
    await thread.call(storage.aclose, timeout_s=DEADLINE_S)
    folder = "data/uploads/stems/one"
    assert disk.asked == [
        ("sync_folder", "."),
        ("sync_folder", "data"),
        ("sync_folder", "data/uploads"),
        ("sync_folder", "data/uploads/stems"),
        *(
            step
            for size in ("1000", "2000")
            for step in (
                ("sync", size),
                ("rename", f"{folder}/a-{size}.part", f"{folder}/a-{size}"),
                ("sync_folder", folder),
                ("kept", f"stems/one/a-{size}"),
            )
        ),
    ]


def test_whoever_locks_a_part_that_has_become_an_object_leaves_it_alone(tmp_path: Path) -> None:
    """Between opening and locking it, the other one has finished: its object is not begun anew."""
    path = tmp_path / "uploads" / "a-1"
    first = FileWriter(tmp_path, path)
    first.open()
    first.write(b"first")
    second = FileWriter(tmp_path, path, disk=RecordingDisk(tmp_path, before_lock=first.commit))
    with pytest.raises(BlockingIOError):
        second.open()
    assert path.read_bytes() == b"first"


def test_whoever_locks_a_part_that_is_not_there_any_more_does_not_write_it(tmp_path: Path) -> None:
    """Between opening and locking it, the other one has finished, and a third has begun the next."""
    path = tmp_path / "uploads" / "a-1"
    first, third = FileWriter(tmp_path, path), FileWriter(tmp_path, path)
    first.open()
    first.write(b"first")

    def overtake() -> None:
        first.commit()
        third.open()
        third.write(b"third")

    second = FileWriter(tmp_path, path, disk=RecordingDisk(tmp_path, before_lock=overtake))
    with pytest.raises(BlockingIOError):
        second.open()
    second.discard()
    third.commit()
    assert path.read_bytes() == b"third"
