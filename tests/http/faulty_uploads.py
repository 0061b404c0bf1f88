"""What uploads stand on, told to stand still or to fail at a moment of one's choice. Asyncio, in the web's loop.

Everything else is done by the real ones underneath, so what is left behind is what really would be.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, SessionId, Upload, UploadId
from omnisonic.stores.storage import Digest, Key, Label, Storage
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.sessions import Cursor
from omnisonic.studio.uploads import (
    ChangedUploads,
    Mix,
    Peaks,
    ReceivedFile,
    StoredUpload,
    UploadPage,
)
from omnisonic.studio.uploads.peaks import WHOLE, Window
from omnisonic.studio.uploads.upload_store import UploadStore

Moment: TypeAlias = Literal["never", "first", "middle", "whole", "before", "after", "delete", "abandon"]
"""Of a put: before its first block, before its second, once it is kept. Of a commit: before it is done, or after.

Or when an object is to be deleted, or an upload given up.
"""
BEFORE_BLOCK: Final[dict[int, Moment]] = {0: "first", 1: "middle"}


class Fault:
    """What happens, and when: `raising` is raised, or without it whoever comes waits until `go_on`."""

    def __init__(self) -> None:
        self.at("never")

    def at(self, *moments: Moment, raising: Exception | None = None) -> None:
        """From now on it happens at these moments."""
        self.moments = moments
        self.raising = raising
        self.waiting: list[asyncio.Task[None]] = []
        self._let_go = asyncio.Event()

    def go_on(self) -> None:
        """Nobody is held up any longer. From the web's loop."""
        self._let_go.set()

    async def strike(self, moment: Moment) -> None:
        """It is this moment now."""
        if moment == "never" or moment not in self.moments:
            return
        if self.raising is not None:
            raise self.raising
        task = asyncio.current_task()
        assert task is not None
        self.waiting.append(task)
        await self._let_go.wait()


class FaultyStorage:
    """A storage in `folder`."""

    def __init__(self, folder: Path, fault: Fault) -> None:
        self._inner = LocalStorage(folder)
        self._fault = fault

    async def put(
        self, key: Key, chunks: AsyncIterator[bytes], label: Label | None = None, *, digest: Digest | None = None
    ) -> None:
        await self._inner.put(key, self._passed(chunks), label, digest=digest)
        await self._fault.strike("whole")

    async def _passed(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        passed = 0
        async for chunk in chunks:
            await self._fault.strike(BEFORE_BLOCK.get(passed, "never"))
            passed += 1
            yield chunk

    def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        return self._inner.read(key, begin, end)

    async def delete(self, key: Key) -> None:
        await self._fault.strike("delete")
        await self._inner.delete(key)

    async def link(self, key: Key, label: Label) -> str | None:
        return await self._inner.link(key, label)

    async def ping(self) -> None:
        await self._inner.ping()

    async def aclose(self) -> None:
        await self._inner.aclose()


class FaultyUploads(UploadStore):
    """An upload store on the one within."""

    def __init__(self, inner: UploadStore, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    async def begin(
        self,
        login: LoginId,
        key: Key,
        *,
        session: SessionId | None,
        size: int | None,
        resumable: UploadId | None = None,
    ) -> int:
        return await self._inner.begin(login, key, session=session, size=size, resumable=resumable)

    async def reserve(self, key: Key, *, least: int, most: int) -> int:
        return await self._inner.reserve(key, least=least, most=most)

    async def begin_copy(self, key: Key) -> None:
        await self._inner.begin_copy(key)

    async def commit(
        self,
        login: LoginId,
        upload: UploadId,
        key: Key,
        file: ReceivedFile,
        *,
        session: SessionId | None,
        take_of: str | None = None,
        offset_s: float = 0.0,
    ) -> Upload:
        await self._fault.strike("before")
        made = await self._inner.commit(login, upload, key, file, session=session, take_of=take_of, offset_s=offset_s)
        await self._fault.strike("after")
        return made

    async def abandon(self, key: Key) -> bool:
        await self._fault.strike("abandon")
        return await self._inner.abandon(key)

    async def list(
        self, login: LoginId, session: SessionId | None, *, limit: int, before: Cursor | None = None
    ) -> UploadPage:
        return await self._inner.list(login, session, limit=limit, before=before)

    async def get(self, login: LoginId, upload: UploadId) -> StoredUpload:
        return await self._inner.get(login, upload)

    async def change(self, login: LoginId, upload: UploadId, mix: Mix) -> ChangedUploads:
        return await self._inner.change(login, upload, mix)

    async def remove(self, login: LoginId, upload: UploadId) -> ChangedUploads:
        return await self._inner.remove(login, upload)

    async def peaks(self, login: LoginId, upload: UploadId, window: Window = WHOLE) -> Peaks:
        return await self._inner.peaks(login, upload, window)


def away() -> Unavailable:
    """What a database says that is not there."""
    return Unavailable("The database does not answer now. Try again in a moment.")


_storage_fits: type[Storage] = FaultyStorage
