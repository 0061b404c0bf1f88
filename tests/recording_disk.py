"""A disk that notes what was asked of it, in order, and does it."""

import os
from collections.abc import Callable
from io import IOBase
from pathlib import Path
from typing import BinaryIO

from omnisonic.process.disk import Disk


class RecordingDisk(Disk):
    """`asked` has what was done, with names below `root`. `before_lock` is called once, when something is locked."""

    def __init__(self, root: Path, *, before_lock: Callable[[], None] | None = None) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._root = root
        self._before_lock = before_lock

    def sync(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self.asked.append(("sync", str(size)))
        super().sync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        self.asked.append(("sync_folder", self._name(folder)))
        super().sync_folder(folder)

    def rename(self, file: Path, to: Path) -> None:
        self.asked.append(("rename", self._name(file), self._name(to)))
        super().rename(file, to)

    def link(self, file: Path, to: Path) -> None:
        self.asked.append(("link", self._name(to)))
        super().link(file, to)

    def lock(self, file: IOBase | BinaryIO) -> None:
        before, self._before_lock = self._before_lock, None
        if before is not None:
            before()
        super().lock(file)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root))
