"""Downloads: whole or in part, by a link or by a role, and never run by a browser (RFC 9110, 14; RFC 6266)."""

import asyncio
import time
from typing import Any, Final

import httpx
import pytest

from omnisonic.http.api.downloads import DownloadLinks
from omnisonic.stores.storage import LINK_S, attachment
from tests.http.api.test_uploads import SOUND, brought, send
from tests.http.running import SECRET, Web, running_web

SIZE: Final = len(SOUND)
LINKS: Final = 50


@pytest.fixture(name="ada")
def signed_up(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


def place(client: httpx.Client, **about: Any) -> str:
    """Where the content of a new upload is, for whoever may hear it."""
    return f"/api/upload/{brought(client, **about)['id']}/content"


def test_a_download_cannot_do_harm(web: Web, ada: httpx.Client) -> None:
    """An attachment of its true type, which is not sniffed, in a sandbox; the name for old clients and for new."""
    made = send(ada, name='B\u00e4\u00df "1"; take.wav').json()
    for answer in (web.client.get(made["downloadUrl"]), ada.get(f"/api/upload/{made['upload']['id']}/content")):
        assert answer.content == SOUND
        assert answer.headers["Content-Type"] == "audio/wav"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Length"] == str(SIZE)
        assert answer.headers["Content-Disposition"] == attachment(made["upload"]["fileName"])


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=100-", 100, SIZE), ("bytes=-5", SIZE - 5, SIZE),
     (f"bytes=5-{SIZE * 2}", 5, SIZE), (f"bytes=-{SIZE * 2}", 0, SIZE)],
)  # fmt: skip
def test_a_range_is_just_those_bytes(ada: httpx.Client, asked: str, begin: int, end: int) -> None:
    """206, and which bytes they are of how many."""
    answer = ada.get(place(ada), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, SOUND[begin:end])
    assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(end - begin)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes", "bytes=9-2", ""])
def test_what_is_no_single_range_is_the_whole(ada: httpx.Client, asked: str) -> None:
    """A server may ignore them (RFC 9110, 14.2)."""
    answer = ada.get(place(ada), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, SOUND)


def test_a_range_beyond_the_end_is_told_so(ada: httpx.Client) -> None:
    """416 with the size."""
    answer = ada.get(place(ada), headers={"Range": f"bytes={SIZE}-"})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


def test_what_a_client_has_is_not_sent_again(ada: httpx.Client) -> None:
    """304 for the same bytes; a range on condition of other bytes, of a weak tag or of a time is the whole."""
    content = place(ada)
    tag = ada.get(content).headers["ETag"]
    same = ada.get(content, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    later = "Sat, 01 Jan 2050 00:00:00 GMT"
    weak = (f"W/{tag}", tag.strip('"'), f"{tag}, {tag}", later, "")
    for condition, status in ((tag, 206), ('"other"', 200), *((each, 200) for each in weak)):
        assert ada.get(content, headers={"Range": "bytes=0-3", "If-Range": condition}).status_code == status


def test_head_says_what_get_would(web: Web, ada: httpx.Client) -> None:
    """The same headers without the bytes."""
    link = send(ada).json()["downloadUrl"]
    head, got = web.client.head(link), web.client.get(link)
    names = ("Content-Length", "Content-Type", "ETag", "Content-Disposition", "Accept-Ranges")
    assert [head.headers[name] for name in names] == [got.headers[name] for name in names]
    assert (head.status_code, head.content) == (200, b"")


def test_a_link_that_was_tampered_with_opens_nothing(web: Web, ada: httpx.Client) -> None:
    """403, whichever character was changed, and for a link of another studio."""
    link = send(ada).json()["downloadUrl"]
    signed = link.split("/files/")[1].split("/")[0]
    for at in range(0, len(signed), 7):
        other = signed[:at] + ("A" if signed[at] != "A" else "B") + signed[at + 1 :]
        answer = web.client.get(link.replace(signed, other))
        assert answer.status_code == 403, at
    foreign = DownloadLinks(web.stores.storage, secret=SECRET + "x", cdn_url=None)
    kept = web.do(web.stores.uploads.get(_login(web, ada), _only(ada)))
    assert web.client.get(web.do(foreign.url(kept, web.url))).status_code == 403


def test_a_link_runs_out(web: Web, ada: httpx.Client) -> None:
    """After fifteen minutes it is 403."""
    brought(ada)
    kept = web.do(web.stores.uploads.get(_login(web, ada), _only(ada)))
    for age_s, status in ((LINK_S - 5, 200), (LINK_S + 5, 403)):
        links = DownloadLinks(web.stores.storage, secret=SECRET, cdn_url=None, clock=_ago(age_s))
        assert web.client.get(web.do(links.url(kept, web.url))).status_code == status


def test_others_get_their_turn_between_links(web: Web, ada: httpx.Client) -> None:
    """However many links a list has."""
    brought(ada)
    kept = web.do(web.stores.uploads.get(_login(web, ada), _only(ada)))
    links = DownloadLinks(web.stores.storage, secret=SECRET, cdn_url=None)

    async def make_many() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        for _ in range(LINKS):
            await links.url(kept, web.url)
        counting.cancel()
        return turns

    assert web.do(make_many()) >= LINKS - 1


def test_what_was_removed_cannot_be_downloaded(web: Web, ada: httpx.Client) -> None:
    """Its link is 404 at once."""
    made = send(ada).json()
    ada.delete(f"/api/upload/{made['upload']['id']}")
    assert web.client.get(made["downloadUrl"]).status_code == 404


def test_a_cdn_serves_what_it_is_said_to(database_url: str) -> None:
    """Links lead to it, by the object's key."""
    with running_web({"STORAGE_CDN_URL": "https://cdn.example/stems/"}, database_url=database_url) as web:
        link = send(web.sign_up("ada@example.com")).json()["downloadUrl"]
        (key,) = web.stored()
    assert link == f"https://cdn.example/stems/{key}"


def _login(web: Web, client: httpx.Client) -> str:
    (row,) = web.do(web.database.rows("SELECT id FROM logins"))
    return str(row["id"])


def _only(client: httpx.Client) -> str:
    (line,) = client.get("/api/upload/list").json()["uploads"]
    return str(line["upload"]["id"])


def _ago(age_s: float) -> Any:
    return lambda: time.time() - age_s
