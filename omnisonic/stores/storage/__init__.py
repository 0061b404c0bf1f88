"""Where the bytes of files are kept: a few words to put, read and delete them. Adapters: `.local`, `.s3`. Asyncio.

An object is there whole or not at all, and is never changed. What it is called has nothing of what people call their
files: keys are made here, of ids. Nothing lists what is stored: who keeps an object keeps its key
(`omnisonic.studio.uploads.retention`).
"""

from collections.abc import AsyncIterator
from typing import Final, Protocol, TypeAlias

import msgspec

from omnisonic.errors import OmnisonicError, Unavailable

Key: TypeAlias = str
"""Parts of `[a-z0-9-]`, apart by `/`."""
LINK_S: Final = 900
"""How long a link to an object is good: 15 minutes."""
CHUNK_BYTES: Final = 1_048_576
"""How much of an object is put at a time: a thread's hop costs as much as writing a quarter of it. A put has two of
them in memory: one that is kept, one that arrives.
"""
READ_BYTES: Final = 65_536
"""How much of an object is read at a time. Hundreds may be read at once, by readers who take their time."""


class Label(msgspec.Struct, frozen=True):
    """What an object is to whoever downloads it: its media type, and the name to save it under."""

    mime_type: str
    file_name: str


class Digest(Protocol):
    """What adds bytes up, such as one of `hashlib`."""

    def update(self, block: bytes, /) -> None: ...


class NoSuchObject(OmnisonicError):
    """There is no object with that key."""

    code = "file_not_found"

    def __init__(self) -> None:
        super().__init__("The file is not there any more.")


class StorageFull(OmnisonicError):
    """There is no room for the object. Nothing of it is left."""

    code = "storage_full"

    def __init__(self) -> None:
        super().__init__("The studio's storage is full. Ask whoever runs it to make room.")


class StorageRefused(Unavailable):
    """The store does not let us in: no such bucket, wrong credentials. `reason` is the operator's."""

    code = "storage_refused"

    def __init__(self, reason: str) -> None:
        super().__init__("The studio's storage does not work now. Ask whoever runs it.", retry_after_s=30)
        self.reason = reason


class Storage(Protocol):
    """Errors: every method but `aclose` may raise `Unavailable`, and so `StorageRefused`."""

    async def put(
        self, key: Key, chunks: AsyncIterator[bytes], label: Label | None = None, *, digest: Digest | None = None
    ) -> None:
        """Keep all that `chunks` gives, which is asked for no faster than it can be kept. A key is put only once.

        `digest` is updated with all of it, in the threads that keep it.
        When `chunks` raises, or whoever waits is cancelled, nothing is kept, and what was raised goes on.
        Errors: `StorageFull`.
        """
        ...

    def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `begin` up to but not including `end` (None: to the last). Errors: `NoSuchObject`, at first.

        Close the iterator (`contextlib.aclosing`) when it is not read to its end.
        """
        ...

    async def delete(self, key: Key) -> None:
        """Be without this object, and without what a `put` that was killed has left of it. Idempotent."""
        ...

    async def link(self, key: Key, label: Label) -> str | None:
        """A URL that downloads the object as `label` says, for `LINK_S`; None where only we can read it."""
        ...

    async def ping(self) -> None:
        """One round trip that shows that objects can be kept."""
        ...

    async def aclose(self) -> None:
        """Let go of what is open. Safe to call twice."""
        ...
