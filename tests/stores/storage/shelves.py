"""Storage of each kind, as a trio test can use it: it lives in the asyncio thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.stores.storage import Key, Label, Storage
from omnisonic.stores.storage.files import PART
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.stores.storage.s3 import Bucket, S3Storage
from tests.s3_server import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, S3Server

DEADLINE_S: Final = 45.0
STEM: Final = Label("audio/wav", 'Bø\'s "take".wav')

T = TypeVar("T")


class Place(Protocol):
    """Where a store keeps its objects, looked at from beside it."""

    def objects(self) -> dict[str, int]:
        """The size of each object by its key."""
        ...

    def unfinished(self) -> list[str]:
        """What puts have left that did not end."""
        ...

    def leave_unfinished(self, key: str, part: bytes) -> None:
        """Do as a put that is killed."""
        ...


class Folder:
    """The place of local storage."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def objects(self) -> dict[str, int]:
        return {key: size for key, size in self._files().items() if not key.endswith(PART)}

    def unfinished(self) -> list[str]:
        return [key for key in self._files() if key.endswith(PART)]

    def leave_unfinished(self, key: str, part: bytes) -> None:
        path = self.path / f"{key}{PART}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part)

    def _files(self) -> dict[str, int]:
        return {str(one.relative_to(self.path)): one.stat().st_size for one in self.path.rglob("*") if one.is_file()}


class Shelf:
    """A store, and the place where it keeps its objects."""

    def __init__(self, thread: AsyncioThread, store: Storage, place: Place) -> None:
        self.thread = thread
        self.store = store
        self.place = place

    async def do(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run asyncio code beside the store."""
        return await self.thread.call(work, *args, timeout_s=DEADLINE_S)

    async def put(self, key: Key, *chunks: bytes, label: Label | None = None) -> None:
        await self.do(self.store.put, key, given(*chunks), label)

    async def read(self, key: Key, begin: int = 0, end: int | None = None) -> bytes:
        return await self.do(self._read, key, begin, end)

    async def delete(self, key: Key) -> None:
        await self.do(self.store.delete, key)

    async def ping(self) -> None:
        await self.do(self.store.ping)

    async def link(self, key: Key, label: Label) -> str | None:
        return await self.do(self.store.link, key, label)

    def is_empty(self) -> bool:
        """Whether nothing of anything is left."""
        return not self.place.objects() and not self.place.unfinished()

    async def _read(self, key: Key, begin: int, end: int | None) -> bytes:
        async with aclosing(reading(self.store, key, begin, end)) as blocks:
            return b"".join([block async for block in blocks])


class Feed(AsyncIterator[bytes]):
    """Chunks that a test watches and controls: after `count` of them it waits, or raises `problem`. Asyncio."""

    def __init__(self, chunk: bytes, count: int, problem: Exception | None = None) -> None:
        self.given = 0
        self.is_waiting = asyncio.Event()
        self._awaited: tuple[int, asyncio.Event] | None = None
        self._chunk = chunk
        self._count = count
        self._problem = problem

    async def __anext__(self) -> bytes:
        if self.given == self._count:
            if self._problem is not None:
                raise self._problem
            self.is_waiting.set()
            await asyncio.Event().wait()
        self.given += 1
        if self._awaited and self.given >= self._awaited[0]:
            self._awaited[1].set()
        return self._chunk

    async def has_given(self, count: int) -> None:
        """Wait until so many were asked for."""
        reached = asyncio.Event()
        self._awaited = (count, reached)
        if self.given < count:
            await reached.wait()


async def given(*chunks: bytes) -> AsyncIterator[bytes]:
    """These chunks, one after the other. Asyncio."""
    for chunk in chunks:
        yield chunk


def reading(store: Storage, key: Key, begin: int = 0, end: int | None = None) -> Any:
    """`Storage.read`, for `aclosing`."""
    return cast("Any", store.read(key, begin, end))


def bucket_at(port: int, **changes: Any) -> Bucket:
    """The test's bucket on the server, or the proxy, at `port`."""
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "addressing": "path"}
    return Bucket(**{"name": BUCKET, "region": REGION, "endpoint": f"http://127.0.0.1:{port}", **keys, **changes})


@asynccontextmanager
async def local_shelf(thread: AsyncioThread, folder: Path) -> AsyncIterator[Shelf]:
    """Local storage in `folder`, closed with the block."""
    store = LocalStorage(folder)
    try:
        yield Shelf(thread, store, Folder(folder))
    finally:
        await thread.call(store.aclose, timeout_s=DEADLINE_S)


@asynccontextmanager
async def s3_shelf(thread: AsyncioThread, server: S3Server, bucket: Bucket, **options: Any) -> AsyncIterator[Shelf]:
    """A bucket, closed with the block."""
    store = S3Storage(bucket, **options)
    try:
        yield Shelf(thread, store, server)
    finally:
        await thread.call(store.aclose, timeout_s=DEADLINE_S)
