"""The storage that the settings name (`omnisonic.cli.storage`), how names are put in headers, and the spool."""

import asyncio
from pathlib import Path

import pytest

from omnisonic.cli.storage import create_storage
from omnisonic.settings.settings import Settings
from omnisonic.stores.storage import Label, attachment
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.stores.storage.s3 import S3Storage
from omnisonic.stores.storage.s3_upload import SPOOL_READ_BYTES, Spool
from tests.postgres_server import blocking
from tests.s3_server import Kind, S3Server
from tests.stores.storage.shelves import given
from tests.stores.storage.test_storage import noise


def test_local_storage_is_in_the_folder_of_the_settings(tmp_path: Path) -> None:
    """It is made when something is put there, and not before."""

    async def put() -> None:
        storage = create_storage(Settings.load({"STORAGE_LOCAL_DIR": str(tmp_path / "stems")}))
        assert isinstance(storage, LocalStorage)
        assert not await asyncio.to_thread((tmp_path / "stems").exists)
        await storage.put("uploads/a-1", given(b"stem"))
        await storage.aclose()

    blocking(put())
    assert (tmp_path / "stems/uploads/a-1").read_bytes() == b"stem"


@pytest.mark.parametrize("kind", ["minio"])
def test_a_bucket_is_that_of_the_settings(s3: S3Server, kind: Kind) -> None:
    """With the keys of the settings."""

    async def put() -> None:
        storage = create_storage(Settings.load(s3.environ(kind)))
        await storage.put("uploads/a-1", given(b"stem"))
        await storage.aclose()

    blocking(put())
    assert s3.objects() == {"uploads/a-1": 4}


def test_amazon_is_asked_in_the_region_and_by_the_bucket_s_own_host() -> None:
    """No endpoint is needed, and none is asked to make a link."""
    environ = {
        "STORAGE_TYPE": "s3",
        "S3_BUCKET_NAME": "stems",
        "S3_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "studio",
        "AWS_SECRET_ACCESS_KEY": "canary",
    }

    async def link() -> str | None:
        storage = create_storage(Settings.load(environ))
        assert isinstance(storage, S3Storage)
        try:
            return await storage.link("uploads/a-1", Label("audio/wav", "a.wav"))
        finally:
            await storage.aclose()

    url = blocking(link())
    assert url is not None
    assert url.startswith("https://stems.s3.eu-central-1.amazonaws.com/uploads/a-1?")
    assert "canary" not in url


@pytest.mark.parametrize(
    ("file_name", "header"),
    [
        ("take 1 (final).wav", 'attachment; filename="take 1 (final).wav"'),
        ("Bø.wav", "attachment; filename=\"B_.wav\"; filename*=UTF-8''B%C3%B8.wav"),
        ('a"b\\c.wav', "attachment; filename=\"a_b_c.wav\"; filename*=UTF-8''a%22b%5Cc.wav"),
        ("a\r\nSet-Cookie: x", "attachment; filename=\"a__Set-Cookie_ x\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x"),
        ("50%41;.wav", "attachment; filename=\"50_41_.wav\"; filename*=UTF-8''50%2541%3B.wav"),
        ("🎸.wav", "attachment; filename=\"_.wav\"; filename*=UTF-8''%F0%9F%8E%B8.wav"),
    ],
)
def test_a_file_name_is_told_so_that_nothing_can_be_read_into_it(file_name: str, header: str) -> None:
    """RFC 6266: plain, and as it is where that is more."""
    assert attachment(file_name) == header


def test_a_spool_is_read_again_and_again_and_then_forgotten() -> None:
    """As often as it takes to send it; its checksum is that of what is in it now."""

    async def use() -> None:
        spool = Spool()
        for data in (noise(2 * SPOOL_READ_BYTES + 5), b"", b"123456789"):
            await spool.write(data)
            for _ in range(2):
                assert b"".join([block async for block in spool]) == data
                assert spool.is_handed_out
            if data != b"123456789":
                await spool.clear()
        assert spool.crc32 == "y/Q5Jg=="
        spool.close()
        spool.close()
        await asyncio.get_running_loop().shutdown_default_executor()

    blocking(use())
