"""One object on its way into a bucket: at once when it is small, in parts when it is not. Owned by one `put`.

A request that the server has got whole is carried out, even when nobody waits for its answer any longer. So requests
here are not cancelled with whoever puts: he waits until they have ended (`settle`), and deletes.
"""

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, cast

from omnisonic.errors import Unavailable
from omnisonic.stores.storage import Key, Label, StorageFull
from omnisonic.stores.storage.disposition import attachment
from omnisonic.stores.storage.s3_errors import SENTENCE
from omnisonic.stores.storage.spool import Spool

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_BYTES: Final = 8_388_608
"""S3 takes parts of 5 MiB and more."""
GROW_PARTS: Final = 1000
"""After so many, parts become larger, so that the 10,000 that S3 takes are enough for everything."""
CALL_S: Final = 30.0
PART_S: Final = 120.0
"""Longest that one part may take, attempts included."""

Asking: TypeAlias = "Callable[[float], AbstractAsyncContextManager[S3Client]]"
"""The client, for calls that have so many seconds together. Errors: those of storage."""

_log = logging.getLogger(__name__)


class Placing:
    """The object `key`, which appears when `finish` returns. Errors: every method raises those of storage."""

    def __init__(self, asking: Asking, bucket: str, key: Key, label: Label | None) -> None:
        self._asking = asking
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
        """Whether the server may have something of it."""
        return self._request is not None

    async def add(self, block: bytes) -> None:
        """These bytes come next."""
        await _on_disk(self._spool.write(block))
        if self._spool.size >= PART_BYTES * (1 + len(self._parts) // GROW_PARTS):
            await self._ask(self._send_part())
            await _on_disk(self._spool.clear())

    async def finish(self) -> None:
        """Those were all: let the object appear."""
        await self._ask(self._send_all() if self._upload is None else self._complete())

    async def settle(self) -> None:
        """Wait until nothing is asked of the server any more. What it has not got whole is not sent any further."""
        if self._request is not None:
            if self._is_sending and not self._spool.is_handed_out:
                self._request.cancel()
            await asyncio.wait({self._request})

    def close(self) -> None:
        """Forget what has not been sent."""
        self._spool.close()

    async def _ask(self, request: Coroutine[Any, Any, None]) -> None:
        self._request = asyncio.create_task(request)
        await asyncio.shield(self._request)

    async def _send_all(self) -> None:
        async with self._asking(PART_S) as client, self._sending() as body:
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
            async with self._asking(CALL_S) as client:
                begun = await client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._key, **self._headers, ChecksumAlgorithm="CRC32"
                )
            self._upload = begun["UploadId"]
        number, checksum = len(self._parts) + 1, self._spool.crc32
        async with self._asking(PART_S) as client, self._sending() as body:
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
        async with self._asking(CALL_S) as client:
            await client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload or "",
                MultipartUpload={"Parts": self._parts},
            )

    @asynccontextmanager
    async def _sending(self) -> AsyncIterator[IO[bytes]]:
        """The spool as a body, by the name of what botocore's types know: it is read by `__aiter__`."""
        self._is_sending = True
        try:
            yield cast("IO[bytes]", self._spool)
        finally:
            self._is_sending = False


async def _on_disk(work: Awaitable[None]) -> None:
    """Tell what this machine's disk says in the errors of storage."""
    try:
        await work
    except OSError as problem:
        _log.error("What is to be sent to the S3 store cannot wait on the disk: %s", problem.strerror)
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from problem
        raise Unavailable(SENTENCE) from problem


def _headers(label: Label | None) -> dict[str, Any]:
    """What the object is to whoever gets it from the bucket itself, by way of a CDN."""
    if label is None:
        return {}
    return {"ContentType": label.mime_type, "ContentDisposition": attachment(label.file_name)}
