"""The storage that the contract is held on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from tests.s3_server import S3Server
from tests.stores.storage.shelves import Shelf, bucket_at, local_shelf, s3_shelf


@pytest.fixture(params=["local", "minio", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which storage a test of the contract runs on."""
    return str(request.param)


@pytest.fixture
async def shelf(
    kind: str, thread: AsyncioThread, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Shelf]:
    """Storage of this `kind`, empty."""
    if kind == "local":
        async with local_shelf(thread, tmp_path / "uploads") as shelf:
            yield shelf
        return
    server: S3Server = request.getfixturevalue("s3")
    bucket = bucket_at(server.port, addressing="path" if kind == "minio" else "virtual")
    async with s3_shelf(thread, server, bucket) as shelf:
        yield shelf


@pytest.fixture
async def s3_only(thread: AsyncioThread, s3: S3Server) -> AsyncIterator[Shelf]:
    """A bucket, empty."""
    async with s3_shelf(thread, s3, bucket_at(s3.port)) as shelf:
        yield shelf
