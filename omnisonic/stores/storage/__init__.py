"""Object storage: the bytes of files, by key. Adapters: `.local` (a folder) and `.s3`. Asyncio.

An object is stored whole or not at all, and never changed. Its key is made of ids and has nothing of the name that
people give a file. Nothing lists the objects: the database has the keys
(`omnisonic.studio.uploads.unreferenced_objects`).
"""

from collections.abc import AsyncIterator
from typing import Final, Protocol, TypeAlias
from urllib.parse import quote

import msgspec

from omnisonic.errors import OmnisonicError, Unavailable

Key: TypeAlias = str
"""Parts of `[a-z0-9-]`, separated by `/`."""
LINK_S: Final = 900
"""How long a link to an object is valid: 15 minutes."""
CHUNK_BYTES: Final = 1_048_576
"""How much of an object is put at a time: handing it to a thread costs as much as writing a quarter of it. A put has
two in memory: one that is written, one that arrives.
"""
READ_BYTES: Final = 65_536
"""How much of an object is read at a time. Hundreds may be read at once, by slow readers."""

_PLAIN: Final = frozenset(" !#$&+-.^_`|~()[]{}@=,'")
"""Characters that a quoted file name may have beside letters and digits: none that a browser unescapes."""


class Label(msgspec.Struct, frozen=True):
    """The media type of an object, and the name under which a browser saves it."""

    mime_type: str
    file_name: str


class Digest(Protocol):
    """A hash that is updated with bytes, such as one of `hashlib`."""

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
    """The store refuses us: no such bucket, wrong credentials. `reason` is a sentence for the operator."""

    code = "storage_refused"

    def __init__(self, reason: str) -> None:
        super().__init__("The studio's storage does not work now. Ask whoever runs it.", retry_after_s=30)
        self.reason = reason


class Storage(Protocol):
    """Puts, reads and deletes objects.

    Raises:
        Unavailable: Every method but `aclose`, when the store does not answer. `StorageRefused` is one.
    """

    async def put(
        self, key: Key, chunks: AsyncIterator[bytes], label: Label | None = None, *, digest: Digest | None = None
    ) -> None:
        """Store all of `chunks` as one object. They are read no faster than they can be stored. A key is put only once.

        `digest` is updated with all of it, in a thread. When `chunks` raises, or the caller is cancelled, nothing is
        stored, and the exception is raised.

        Raises:
            StorageFull
        """
        ...

    def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `begin` up to but not including `end` (None: to the last). `NoSuchObject` is raised at first.

        Close the iterator (`contextlib.aclosing`) when it is not read to its end.
        """
        ...

    async def delete(self, key: Key) -> None:
        """Delete this object, and what a `put` that was killed has left of it. Idempotent."""
        ...

    async def link(self, key: Key, label: Label) -> str | None:
        """A URL that downloads the object with this label, valid for `LINK_S`. None where the store has no URLs."""
        ...

    async def ping(self) -> None:
        """Check by one round trip that objects can be stored."""
        ...

    async def aclose(self) -> None:
        """Close what is open. Safe to call twice."""
        ...


async def in_blocks(chunks: AsyncIterator[bytes], size: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """Join `chunks` into blocks of at least `size`, but for the last one. No chunk is cut, and none is read ahead."""
    waiting: list[bytes] = []
    waiting_bytes = 0
    async for chunk in chunks:
        waiting.append(chunk)
        waiting_bytes += len(chunk)
        if waiting_bytes >= size:
            block = waiting[0] if len(waiting) == 1 else b"".join(waiting)
            waiting, waiting_bytes = [], 0
            yield block
    if waiting_bytes:
        yield b"".join(waiting)


def attachment(file_name: str) -> str:
    """The header `Content-Disposition` that makes a browser save a file under this name (RFC 6266, RFC 8187).

    The name is there in ASCII and, if it has other characters, as it is.
    """
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in _PLAIN) else "_" for letter in file_name
    )
    header = f'attachment; filename="{plain}"'
    return header if plain == file_name else f"{header}; filename*=UTF-8''{quote(file_name, safe='')}"
