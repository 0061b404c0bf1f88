"""All files of a session in one archive, made while it is sent (SPEC 3)."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest

from omnisonic.http.api.originals import _read_archive
from omnisonic.stores.storage import Storage
from omnisonic.studio.archives.session_files import OriginalsArchive
from omnisonic.studio.archives.zip_stream import Entry, ZipStream
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share
from tests.http.api.test_uploads import brought
from tests.http.running import Web
from tests.http.sounds import png, wav


@pytest.fixture(name="ada")
def signed_up(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


@pytest.fixture(name="session")
def create_session(ada: httpx.Client) -> dict[str, Any]:
    return make(ada, "AC/DC night")


def path_of(session: dict[str, Any]) -> str:
    return f"/api/sessions/{session['id']}/stems.zip?format=originals"


def bring(client: httpx.Client, session: dict[str, Any], *files: tuple[str, bytes]) -> list[dict[str, Any]]:
    """These files, sent one after the other."""
    return [brought(client, name=name, content=content, session=session["id"]) for name, content in files]


def test_everybody_in_a_session_downloads_all_its_files(web: Web, ada: httpx.Client, session: dict[str, Any]) -> None:
    """As they came, in their order, other takes and pictures as well; without what is in the bin. The size is known."""
    files = [("take.wav", wav(0.2)), ("Cover.PNG", png()), ("take.wav", wav(0.1)), ("nul", wav(0.3))]
    uploads = bring(ada, session, *files, ("gone.wav", wav(0.05)))
    assert ada.delete(f"/api/upload/{uploads[-1]['id']}").status_code == 200
    first, _, other, odd = (f"/api/upload/{upload['id']}" for upload in uploads[:4])
    assert ada.patch(other, json={"takeOf": uploads[0]["id"], "chosen": True}).status_code == 200
    assert ada.patch(first, json={"name": "Lead: vox"}).status_code == 200
    assert ada.patch(odd, json={"position": 0.5}).status_code == 200
    bo = web.sign_up("bo@example.com")
    share(ada, session, bo)
    answer = bo.get(path_of(session))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert 'filename="AC-DC night originals.zip"' in answer.headers["Content-Disposition"]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = ["01 nul", "02 Lead- vox.wav", "03 Lead- vox (take).wav", "04 Cover.png"]
        assert archive.namelist() == [f"AC-DC night originals/{name}" for name in names]
        assert [archive.read(name) for name in archive.namelist()] == [files[place][1] for place in (3, 2, 0, 1)]
    head = bo.head(path_of(session))
    assert (head.headers["Content-Length"], head.content) == (answer.headers["Content-Length"], b"")


def test_originals_that_cannot_be_downloaded_are_refused_with_a_reason(
    web: Web, ada: httpx.Client, session: dict[str, Any]
) -> None:
    """A session without files, another format, and somebody else's session."""
    empty = ada.get(path_of(session))
    assert (empty.status_code, empty.json()["code"]) == (409, "no_files")
    other = ada.get(f"/api/sessions/{session['id']}/stems.zip?format=tar")
    assert (other.status_code, other.json()["code"]) == (400, "invalid_format")
    assert web.sign_up("cy@example.com").get(path_of(session)).status_code == 404
    assert ada.get("/api/sessions/nonsense/stems.zip").status_code == 404


def test_a_lost_file_never_leaves_a_hole(web: Web, ada: httpx.Client, session: dict[str, Any]) -> None:
    """In the middle the connection ends before the announced length; the first one is an error with a sentence."""
    bring(ada, session, ("one.wav", wav(0.2)), ("two.wav", wav(0.3)))
    one, two = sorted((web.folder / "uploads").rglob("*"), key=lambda path: path.stat().st_size)[-2:]
    two.write_bytes(two.read_bytes()[:-1])
    with pytest.raises(httpx.RemoteProtocolError):
        ada.get(path_of(session))
    two.unlink()
    with pytest.raises(httpx.RemoteProtocolError):
        ada.get(path_of(session))
    one.unlink()
    lost = ada.get(path_of(session))
    assert (lost.status_code, lost.json()["code"]) == (404, "file_not_found")


def test_a_client_that_goes_away_closes_the_file() -> None:
    """The one that is being read then."""
    closed = list[str]()

    class OneFile:
        async def read(self, key: str) -> AsyncIterator[bytes]:
            try:
                yield b"some"
                yield b"more"
            finally:
                closed.append(key)

    async def leave() -> None:
        archive = OriginalsArchive("a.zip", [(Entry("a.wav", 8, datetime(2026, 3, 4, tzinfo=UTC)), "key")])
        blocks = _read_archive(ZipStream(entry for entry, _ in archive.files), archive, cast("Storage", OneFile()))
        async for _ in blocks:
            break
        await cast("Any", blocks).aclose()

    asyncio.run(leave())
    assert closed == ["key"]
