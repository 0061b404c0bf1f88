"""Links to objects in a bucket are those of botocore, made without it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.stores.storage import LINK_S, Label, attachment
from omnisonic.stores.storage.s3_links import LinkSigner
from tests.stores.storage.shelves import DEADLINE_S

KEY: Final = "uploads/4c8e-9c37-1"
MANY: Final = 200


@asynccontextmanager
async def bucket_client(
    endpoint: str | None, addressing: str = "path", *, token: str | None = None, region: str = "us-east-1"
) -> AsyncIterator[tuple[LinkSigner, Any]]:
    """A signer for the bucket `stems`, and the client of botocore, which is not connected to anything."""
    session = AioSession()
    session.set_credentials("studio", "canary+/=", token)
    config = AioConfig(signature_version="s3v4", s3={"addressing_style": addressing})
    async with session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config) as client:
        yield LinkSigner(session, "stems"), client


def parts(link: str) -> tuple[str, dict[str, str]]:
    """A link without its query, and the query, whose order does not matter."""
    where = urlsplit(link)
    return where._replace(query="").geturl(), dict(parse_qsl(where.query, strict_parsing=True))


@pytest.mark.parametrize("name", ["take.wav", 'Bø\'s "take" (1) + 50%.wav', "a~b_c-d;e&f=g,h.wav", "🎸 / ..\\.wav"])
@pytest.mark.parametrize(
    ("endpoint", "options"),
    [
        (None, {"addressing": "virtual", "region": "eu-central-1"}),
        (None, {"addressing": "virtual"}),
        (None, {"token": "a+token/of=a role"}),
        ("http://127.0.0.1:9000", {}),
        ("http://MinIO.example:80", {}),
        ("https://minio.example:443/below", {}),
        ("http://[::1]:9000", {"region": "auto"}),
        ("https://storage.example", {"addressing": "virtual"}),
    ],
)
async def test_a_link_is_signed_as_botocore_signs_it(
    thread: AsyncioThread, endpoint: str | None, options: dict[str, Any], name: str
) -> None:
    """For servers of all kinds, whatever the file is called; also with the credentials of a role."""
    label = Label("audio/x-flac", name)
    wanted = {
        "Bucket": "stems",
        "Key": KEY,
        "ResponseContentType": label.mime_type,
        "ResponseContentDisposition": attachment(name),
    }

    async def make_both() -> tuple[str, str]:
        async with bucket_client(endpoint, **options) as (signer, client):
            while True:  # until both are made in the same second
                ours = await signer.link(client, KEY, label)
                theirs = await client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=LINK_S)
                if parts(ours)[1]["X-Amz-Date"] == parts(theirs)[1]["X-Amz-Date"]:
                    return ours, theirs

    ours, theirs = await thread.call(make_both, timeout_s=DEADLINE_S)
    assert parts(ours) == parts(theirs)


async def test_a_page_of_links_asks_botocore_for_one(thread: AsyncioThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold up everybody else for a millisecond and more with each."""
    asked: list[str] = []

    async def make_page() -> None:
        async with bucket_client("http://127.0.0.1:9000") as (signer, client):
            presign = client.generate_presigned_url

            async def count(method: str, **values: Any) -> str:
                asked.append(method)
                return str(await presign(method, **values))

            monkeypatch.setattr(client, "generate_presigned_url", count)
            links = {await signer.link(client, f"{KEY}{number}", Label("audio/wav", "a.wav")) for number in range(MANY)}
            assert len(links) == MANY

    await thread.call(make_page, timeout_s=DEADLINE_S)
    assert asked == ["get_object"]
