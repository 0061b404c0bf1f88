"""The upload of one object into a bucket: at once when it is small, in parts when it is not. Owned by one `put`.

The bytes wait in a spool file on this machine's disk until their number is known, because S3 wants the length first.
The server carries out a request that it has received whole, even when the connection is gone. So requests are not
cancelled together with the `put`: it waits until they have ended (`wait_until_sent`), and deletes the object.

Crash: the spool file has no name, so nothing of it is left. Overload and shutdown: as `omnisonic.stores.storage.s3`.
"""

import asyncio
import base64
import errno
import logging
import os
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, cast

from omnisonic.errors import Unavailable
from omnisonic.stores.storage import Key, Label, StorageFull, attachment
from omnisonic.stores.storage.s3_errors import SENTENCE

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_BYTES: Final = 8_388_608
"""S3 accepts parts of 5 MiB and more."""
GROW_PARTS: Final = 1000
"""After so many, parts become larger, so that 10,000 parts, the most of S3, are enough for any size."""
SPOOL_READ_BYTES: Final = 262_144
CALL_S: Final = 30.0
PART_S: Final = 120.0
"""Longest that one part may take, attempts included."""

OpenClient: TypeAlias = "Callable[[float], AbstractAsyncContextManager[S3Client]]"
"""Opens the client for calls that have so many seconds together. Errors: those of `Storage`."""

_log = logging.getLogger(__name__)


class Spool:
    """A temporary file without a name: written, read as often as it is sent, and cleared. One task uses it.

    Only threads touch the file, one at a time. Every method raises `OSError`, also after `close`.
    """

    def __init__(self) -> None:
        self.size = 0
        self.is_handed_out = False
        """Whether the sender has read all of it."""
        self._crc = 0
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._is_closed = False

    @property
    def crc32(self) -> str:
        """The checksum of its content, as S3 writes it."""
        return base64.b64encode(self._crc.to_bytes(4, "big")).decode()

    async def write(self, block: bytes) -> None:
        """Append a block."""
        await asyncio.to_thread(self._write, block)

    async def clear(self) -> None:
        """Delete its content."""
        await asyncio.to_thread(self._clear)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Its content from the beginning: botocore iterates once for each attempt to send it."""
        self.is_handed_out = not self.size
        for begin in range(0, self.size, SPOOL_READ_BYTES):
            block = await asyncio.to_thread(self._read, begin)
            self.is_handed_out = begin + len(block) >= self.size
            yield block

    def read(self, size: int = -1) -> bytes:
        """Never called. botocore takes an object with this method for a file, and iterates over it."""
        raise NotImplementedError

    def seek(self, position: int) -> int:
        """Called by botocore before it sends the file again. There is nothing to do."""
        return position

    def close(self) -> None:
        """Delete the file, without waiting for the disk. Sending it fails from now on. Idempotent."""
        asyncio.get_running_loop().run_in_executor(None, self._close)

    def _write(self, block: bytes) -> None:
        with self._lock:
            file = self._open()
            file.seek(self.size)
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
            self._crc = zlib.crc32(block, self._crc)
            self.size += len(block)

    def _read(self, begin: int) -> bytes:
        with self._lock:
            file = self._open()
            file.seek(begin)
            return file.read(min(SPOOL_READ_BYTES, self.size - begin))

    def _clear(self) -> None:
        with self._lock:
            file = self._open()
            file.seek(0)
            file.truncate()
            self.size = self._crc = 0
            self.is_handed_out = False

    def _open(self) -> IO[bytes]:
        if self._is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="omnisonic-", buffering=0)  # noqa: SIM115 - `close`
        return self._file

    def _close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()


class ObjectUpload:
    """The object `key`, which is stored when `finish` returns. Every method raises the errors of `Storage`."""

    def __init__(self, open_client: OpenClient, bucket: str, key: Key, label: Label | None) -> None:
        self._open_client = open_client
        self._bucket = bucket
        self._key = key
        self._headers = _headers(label)
        self._spool = Spool()
        self._request: asyncio.Task[None] | None = None
        self._is_sending = False
        self._upload: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    @property
    def key(self) -> Key:
        return self._key

    @property
    def is_begun(self) -> bool:
        """Whether the server may have received something."""
        return self._request is not None

    async def add(self, block: bytes) -> None:
        """Append a block, and send a part when it is full."""
        await _translate_errors(self._spool.write(block))
        if self._spool.size >= PART_BYTES * (1 + len(self._parts) // GROW_PARTS):
            await self._request_shielded(self._send_part())
            await _translate_errors(self._spool.clear())

    async def finish(self) -> None:
        """Send what is left, and complete the object."""
        await self._request_shielded(self._send_all() if self._upload is None else self._complete())

    async def wait_until_sent(self) -> None:
        """Wait until no request is under way. One that was not sent whole is cancelled first."""
        if self._request is not None:
            if self._is_sending and not self._spool.is_handed_out:
                self._request.cancel()
            await asyncio.wait({self._request})

    def close(self) -> None:
        """Delete what has not been sent."""
        self._spool.close()

    async def _request_shielded(self, request: Coroutine[Any, Any, None]) -> None:
        self._request = asyncio.create_task(request)
        await asyncio.shield(self._request)

    async def _send_all(self) -> None:
        async with self._open_client(PART_S) as client, self._open_body() as body:
            await client.put_object(
                Bucket=self._bucket,
                Key=self._key,
                **self._headers,
                Body=body,
                ContentLength=self._spool.size,
                ChecksumCRC32=self._spool.crc32,
            )

    async def _send_part(self) -> None:
        if self._upload is None:
            async with self._open_client(CALL_S) as client:
                begun = await client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._key, **self._headers, ChecksumAlgorithm="CRC32"
                )
            self._upload = begun["UploadId"]
        number, checksum = len(self._parts) + 1, self._spool.crc32
        async with self._open_client(PART_S) as client, self._open_body() as body:
            sent = await client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload,
                PartNumber=number,
                Body=body,
                ContentLength=self._spool.size,
                ChecksumCRC32=checksum,
            )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": checksum})

    async def _complete(self) -> None:
        if self._spool.size:
            await self._send_part()
        async with self._open_client(CALL_S) as client:
            await client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload or "",
                MultipartUpload={"Parts": self._parts},
            )

    @asynccontextmanager
    async def _open_body(self) -> AsyncIterator[IO[bytes]]:
        """The spool as the body of a request. botocore reads it by `__aiter__`."""
        self._is_sending = True
        try:
            yield cast("IO[bytes]", self._spool)
        finally:
            self._is_sending = False


async def _translate_errors(work: Awaitable[None]) -> None:
    """Do something on this machine's disk, and raise its errors as those of `Storage`."""
    try:
        await work
    except OSError as problem:
        _log.error("What is to be sent to the S3 store cannot wait on the disk: %s", problem.strerror)
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from problem
        raise Unavailable(SENTENCE) from problem


def _headers(label: Label | None) -> dict[str, Any]:
    """Headers for downloads straight from the bucket, for example through a CDN."""
    if label is None:
        return {}
    return {"ContentType": label.mime_type, "ContentDisposition": attachment(label.file_name)}
