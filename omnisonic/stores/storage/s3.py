"""Objects in a bucket of S3, or of a server that speaks it, such as MinIO. Asyncio, through aiobotocore.

A small object is put at once, a large one in parts. Each part waits on this machine's disk until it is complete, and is
sent with its checksum before more is read: whatever the size, a put has less than 1 MiB in memory.

Overload: calls wait for one of the connections, and that wait counts against their deadlines. A server that crashes or
does not answer: botocore tries again, then `Unavailable`; a read continues where it was interrupted. What a failed put
has left is deleted at once where possible (`UNDO_S`), otherwise when the key is deleted; so is what a crash of this
process leaves. Shutdown: `aclose`.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header
from botocore.loaders import Loader, create_loader

from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.stores.storage import READ_BYTES, Digest, Key, Label, Storage, StorageFull, in_blocks
from omnisonic.stores.storage.s3_errors import FAILURES, code_of, storage_error
from omnisonic.stores.storage.s3_links import LinkSigner
from omnisonic.stores.storage.s3_upload import CALL_S, ObjectUpload

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CONNECT_S: Final = 3.0
SILENCE_S: Final = 20.0
"""Longest time without a byte from the server."""
ATTEMPTS: Final = 3
"""How often botocore tries."""
PING_S: Final = 5.0
UNDO_S: Final = 10.0
"""How long a failed put waits until what is left of the object is deleted."""
CLOSE_S: Final = 3.0
"""How long `aclose` waits for that."""
RESUMES: Final = 3
"""How often a read that returns nothing more is started again."""
CONNECTIONS: Final = 512
"""Each download holds one for as long as it lasts. More than run at once in a process, so no other call waits."""

_PING: Final = "ping"
"""The key of an object of one byte, which `ping` puts and deletes."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and its credentials. Without an `endpoint` it is Amazon's; without keys the machine's role is used."""

    name: str
    region: str
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    addressing: Literal["virtual", "path"] = "path"
    """Where the bucket's name is in URLs. `virtual`: in the host, so that links go to the bucket's own region."""

    @property
    def server(self) -> str:
        """The name of the server, for operators."""
        return urlsplit(self.endpoint).netloc if self.endpoint else f"S3 in {self.region}"


class S3Storage:
    """Objects in `bucket`. The store belongs to the loop that uses it."""

    def __init__(self, bucket: Bucket, *, silence_s: float = SILENCE_S) -> None:
        self._bucket = bucket
        self._silence_s = silence_s
        self._open = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._session = _new_session(bucket)
        self._links = LinkSigner(self._session, bucket.name)
        self._client: S3Client | None = None
        self._is_closed = False
        self._undoing: set[asyncio.Task[None]] = set()

    async def put(
        self, key: Key, chunks: AsyncIterator[bytes], label: Label | None = None, *, digest: Digest | None = None
    ) -> None:
        upload = ObjectUpload(self._open_client, self._bucket.name, key, label)
        try:
            async for block in in_blocks(chunks):
                if digest is not None:
                    await asyncio.to_thread(digest.update, block)
                await upload.add(block)
            await upload.finish()
        except BaseException:
            if upload.is_begun:
                await self._undo(upload)
            raise
        finally:
            upload.close()

    async def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        position, resumes = begin, 0
        while end is None or position < end:
            try:
                async with self._open_body(key, position, end) as body:
                    async for block in body:
                        position += len(block)
                        resumes = 0
                        yield block
                end = position
            except Unavailable:
                # Servers close connections whose reader pauses for long, as a player does.
                resumes += 1
                if resumes > RESUMES or position == begin:
                    raise

    async def delete(self, key: Key) -> None:
        async with self._open_client(CALL_S) as client:
            await client.delete_object(Bucket=self._bucket.name, Key=key)
            found = await client.list_multipart_uploads(Bucket=self._bucket.name, Prefix=key)
            left = [one.get("UploadId", "") for one in found.get("Uploads", []) if one.get("Key") == key]
            for upload_id in left:
                await client.abort_multipart_upload(Bucket=self._bucket.name, Key=key, UploadId=upload_id)

    async def link(self, key: Key, label: Label) -> str | None:
        async with self._open_client(CALL_S) as client:
            return await self._links.link(client, key, label)

    async def ping(self) -> None:
        try:
            async with self._open_client(PING_S) as client:
                await client.put_object(Bucket=self._bucket.name, Key=_PING, Body=b".")
                await client.delete_object(Bucket=self._bucket.name, Key=_PING)
        except StorageFull as full:
            raise Unavailable(full.message) from full

    async def aclose(self) -> None:
        self._is_closed = True
        if self._undoing:
            _, late = await asyncio.wait(self._undoing, timeout=CLOSE_S)
            for undoing in late:
                undoing.cancel()
        async with self._opening:
            self._client = None
            await self._open.aclose()

    @asynccontextmanager
    async def _open_client(self, deadline_s: float) -> "AsyncIterator[S3Client]":
        """The client, for calls that have `deadline_s` together. Errors: those of `Storage`."""
        try:
            async with asyncio.timeout(deadline_s):
                yield await self._connect()
        except FAILURES as failure:
            raise self._storage_error(failure) from failure

    @asynccontextmanager
    async def _open_body(self, key: Key, begin: int, end: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of an object, by one request. Errors: those of `Storage`, also while they are read."""
        async with self._open_client(CALL_S) as client:
            wanted = f"bytes={begin}-{'' if end is None else end - 1}"
            try:
                answer = await client.get_object(Bucket=self._bucket.name, Key=key, Range=wanted)
            except ClientError as refusal:
                if code_of(refusal) != "InvalidRange":
                    raise
                answer = None
        if answer is None:
            yield _nothing()
            return
        body = answer["Body"]
        try:
            yield body.iter_chunks(READ_BYTES)
        except FAILURES as failure:
            raise self._storage_error(failure) from failure
        finally:
            body.close()

    async def _undo(self, upload: ObjectUpload) -> None:
        """Delete what is left of a failed put. It continues when the caller is cancelled."""
        undoing = asyncio.create_task(self._delete_remains(upload))
        self._undoing.add(undoing)
        undoing.add_done_callback(self._undoing.discard)
        await asyncio.wait({undoing}, timeout=UNDO_S)

    async def _delete_remains(self, upload: ObjectUpload) -> None:
        await upload.wait_until_sent()
        try:
            async with asyncio.timeout(UNDO_S):
                await self.delete(upload.key)
        except (OmnisonicError, TimeoutError) as problem:
            _log.warning("What is left of %s could not be removed at once: %s", upload.key, problem)

    async def _connect(self) -> "S3Client":
        if self._client is None:
            async with self._opening:
                if self._is_closed:
                    raise ConnectionAbortedError
                if self._client is None:
                    client = await self._open.enter_async_context(
                        _new_client(self._session, self._bucket, self._silence_s)
                    )
                    # A server that hangs never answers an Expect, and aiohttp waits for that without a deadline.
                    client.meta.events.unregister("before-call.s3", add_expect_header)
                    self._client = client
        return self._client

    def _storage_error(self, failure: Exception) -> OmnisonicError:
        error = storage_error(failure, bucket=self._bucket.name, server=self._bucket.server)
        if isinstance(error, Unavailable):
            _log.warning("The S3 store %s: %s", self._bucket.server, getattr(error, "reason", type(failure).__name__))
        return error


async def _nothing() -> AsyncIterator[bytes]:
    """The bytes after the last one."""
    return
    yield b""


@functools.cache
def _load_descriptions() -> Loader:
    """Reads and keeps botocore's descriptions of services: megabytes of JSON, once in a process."""
    return create_loader()


def _new_session(bucket: Bucket) -> AioSession:
    session = AioSession()
    session.register_component("data_loader", _load_descriptions())
    if bucket.access_key is not None or bucket.secret_key is not None:
        session.set_credentials(bucket.access_key or "", bucket.secret_key or "")
    return session


def _new_client(session: AioSession, bucket: Bucket, silence_s: float) -> "AbstractAsyncContextManager[S3Client]":
    config = AioConfig(
        signature_version="s3v4",
        s3={
            "addressing_style": bucket.addressing,
            # Parts are sent with their checksums. To sign them too, they would all have to be read once more.
            "payload_signing_enabled": False,
        },
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=CONNECT_S,
        read_timeout=silence_s,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # Megabytes of JSON are read in a thread then, and not in the loop.
        warm_up_loader_caches=True,
    )
    return session.create_client("s3", region_name=bucket.region, endpoint_url=bucket.endpoint, config=config)


_fits: type[Storage] = S3Storage
