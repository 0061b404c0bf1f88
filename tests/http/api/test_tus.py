"""Uploads in pieces go on where they were cut off, as tus 1.0 has it, for a client that others have written."""

import base64
import hashlib
import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest
from tusclient.client import TusClient

from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from tests.cli.running import eventually
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.api.test_uploads import is_clean, published_events, send
from tests.http.running import Web
from tests.http.sounds import wav

SOUND: Final = wav(5)
"""About 880 kB."""
PIECE_BYTES: Final = 300_000
TUS: Final = {"Tus-Resumable": "1.0.0"}
PLACE: Final = "/api/upload/tus"


@pytest.fixture(name="ada")
def signed_up(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


def encoded(**pairs: str) -> str:
    """`Upload-Metadata`."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def begin(client: httpx.Client, size: int = len(SOUND), **metadata: str) -> httpx.Response:
    """Ask for a place to send `size` bytes to."""
    about = encoded(**({"filename": "bass.wav"} | metadata))
    return client.post(PLACE, headers=TUS | {"Upload-Length": str(size), "Upload-Metadata": about})


def begun(client: httpx.Client, **about: Any) -> str:
    """Such a place."""
    answer = begin(client, **about)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


def piece(
    client: httpx.Client, place: str, offset: int, content: bytes, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Send a piece."""
    said = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)} | (headers or {})
    return client.patch(place, content=content, headers=TUS | said)


def offset(client: httpx.Client, place: str) -> int:
    """How much has arrived."""
    answer = client.head(place, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def test_a_client_of_others_sends_a_file_in_pieces(web: Web, ada: httpx.Client) -> None:
    """tuspy, with checksums, into a session: the bytes are the same, the room is told once, and no piece is left."""
    session = make(ada)["id"]
    cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in ada.cookies.jar)
    client = TusClient(f"{web.url}{PLACE}", headers={"Cookie": cookie})
    uploader = client.uploader(
        file_stream=io.BytesIO(SOUND),
        chunk_size=PIECE_BYTES,
        metadata={"filename": "bass.wav", "sessionId": session},
        upload_checksum=True,
    )
    uploader.upload()
    upload_id = str(uploader.url).rpartition("/")[2]
    made = ada.get(f"/api/upload/{upload_id}").json()
    assert made["upload"]["sha256"] == hashlib.sha256(SOUND).hexdigest()
    assert ada.get(made["downloadUrl"]).content == SOUND
    assert published_events(web) == [(session, "upload.added", made["upload"])]
    assert is_clean(web)


def test_what_the_server_can_is_told_to_anyone(web: Web) -> None:
    """Without a sign-in and without a version."""
    answer = web.client.options(PLACE)
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        *("creation", "creation-defer-length"),
        *("expiration", "checksum", "termination"),
    }
    assert answer.headers["Tus-Max-Size"] == "104857600"
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"]


def test_another_version_is_refused(web: Web, ada: httpx.Client) -> None:
    """412, with the version that is spoken here; every answer says it, too."""
    for version in ({}, {"Tus-Resumable": "0.2.2"}):
        answer = ada.post(PLACE, headers=version | {"Upload-Length": "9"})
        assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")
        assert answer.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "invalid_upload_length"),
        ({"Upload-Length": "-1"}, 400, "invalid_upload_length"),
        ({"Upload-Length": "0"}, 400, "empty_file"),
        ({"Upload-Defer-Length": "0"}, 400, "invalid_upload_length"),
        ({"Upload-Defer-Length": "1", "Upload-Length": "9"}, 400, "invalid_upload_length"),
        ({"Upload-Length": "104857601"}, 413, "upload_too_large"),
        ({"Upload-Length": "9"}, 400, "invalid_file_name"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename %%%"}, 400, "invalid_upload_metadata"),
        ({"Upload-Length": "9", "Upload-Metadata": encoded(filename="..")}, 400, "invalid_file_name"),
        ({"Upload-Length": "9", "Upload-Metadata": encoded(filename="a", sessionId="x")}, 404, "session_not_found"),
        ({"Upload-Length": "9", "Upload-Metadata": f"{encoded(filename='a')},{encoded(filename='b')}"}, 400,
         "invalid_upload_metadata"),
    ],
)  # fmt: skip
def test_what_cannot_be_begun_is_told_why(ada: httpx.Client, headers: dict[str, str], status: int, code: str) -> None:
    """A status and a code each."""
    answer = ada.post(PLACE, headers=TUS | headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_an_upload_goes_on_where_it_was(web: Web, ada: httpx.Client) -> None:
    """The offset is told at any time; a piece that begins elsewhere is 409 and changes nothing."""
    place = begun(ada)
    assert offset(ada, place) == 0
    first = piece(ada, place, 0, SOUND[:1000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    for elsewhere in (0, 999, 1001):
        conflict = piece(ada, place, elsewhere, SOUND[elsewhere : elsewhere + 10])
        assert (conflict.status_code, conflict.json()["code"]) == (409, "offset_conflict")
    assert offset(ada, place) == 1000
    assert piece(ada, place, 1000, b"").headers["Upload-Offset"] == "1000"
    last = piece(ada, place, 1000, SOUND[1000:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(SOUND)))
    assert offset(ada, place) == len(SOUND)
    assert is_clean(web)


def test_a_damaged_piece_is_not_taken(web: Web, ada: httpx.Client) -> None:
    """460 for a wrong checksum, 400 for one that is none; the offset stays, and nothing is stored (RELIABILITY 15)."""
    place = begun(ada)
    right = base64.b64encode(hashlib.sha1(SOUND[:1000], usedforsecurity=False).digest()).decode()
    damaged = piece(ada, place, 0, SOUND[1:1001], {"Upload-Checksum": f"sha1 {right}"})
    assert (damaged.status_code, damaged.json()["code"]) == (460, "checksum_mismatch")
    for said in ("crc32 AAAA", "sha1 %", "sha1"):
        assert piece(ada, place, 0, SOUND[:1000], {"Upload-Checksum": said}).status_code in (400, 460)
    assert offset(ada, place) == 0
    assert web.stored() == set()
    assert piece(ada, place, 0, SOUND[:1000], {"Upload-Checksum": f"sha1 {right}"}).status_code == 204


def test_a_piece_that_breaks_off_is_kept_as_far_as_it_came(web: Web, ada: httpx.Client) -> None:
    """A connection that is lost in the middle costs what was on the wire; with a checksum nothing can be kept."""
    place, checked = begun(ada), begun(ada)
    _break_off(web, ada, place, SOUND[:100_000])
    eventually(lambda: offset(ada, place) > 0, what="a part of the piece")
    arrived = offset(ada, place)
    assert arrived <= 100_000
    assert piece(ada, place, arrived, SOUND[arrived:]).status_code == 204
    made = ada.get(f"/api/upload/{place.rpartition('/')[2]}").json()["upload"]
    assert made["sha256"] == hashlib.sha256(SOUND).hexdigest()
    _break_off(web, ada, checked, SOUND[:100_000], "Upload-Checksum: sha1 AAAA\r\n")
    eventually(lambda: is_clean(web), what="nothing is left")
    assert offset(ada, checked) == 0


def test_the_same_piece_twice_at_once_is_taken_once(web: Web, ada: httpx.Client) -> None:
    """One of ten is taken, the others are 409, and nothing of theirs is left."""
    place = begun(ada)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: piece(ada, place, 0, SOUND[:PIECE_BYTES]), range(10)))
    assert sorted(answer.status_code for answer in answers) == [204] + [409] * 9
    eventually(lambda: is_clean(web), what="nothing is left")
    assert offset(ada, place) == PIECE_BYTES


def test_the_last_piece_ten_times_at_once_makes_one_upload(web: Web, ada: httpx.Client) -> None:
    """The others are 409: asked for the offset, it is finished."""
    session = make(ada)["id"]
    place = begun(ada, sessionId=session)
    piece(ada, place, 0, SOUND[:PIECE_BYTES])
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: piece(ada, place, PIECE_BYTES, SOUND[PIECE_BYTES:]), range(10)))
    assert sorted(answer.status_code for answer in answers) == [204] + [409] * 9
    assert [kind for _, kind, _ in published_events(web)] == ["upload.added"]
    eventually(lambda: is_clean(web), what="nothing is left")


def test_a_file_that_is_refused_takes_its_pieces_with_it(web: Web, ada: httpx.Client) -> None:
    """415 with the last piece, whatever it is called; then there is no such upload."""
    page = b"<!doctype html>" + bytes(500)
    place = begun(ada, size=len(page))
    assert piece(ada, place, 0, page[:100]).status_code == 204
    answer = piece(ada, place, 100, page[100:])
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert ada.head(place, headers=TUS).status_code == 404
    assert is_clean(web)
    assert web.stored() == set()


def test_a_role_that_was_lost_meanwhile_takes_the_pieces_with_it(web: Web, ada: httpx.Client) -> None:
    """404 with the last piece: nobody can finish it any more, so nothing of it is kept or counts towards the quota."""
    bob, session = web.sign_up("bob@example.com"), make(ada)
    share(ada, session, bob)
    place = begun(bob, sessionId=session["id"])
    assert piece(bob, place, 0, SOUND[:1000]).status_code == 204
    assert ada.delete(f"/api/sessions/{session['id']}/collaborators/{user_id(bob)}").status_code == 200
    answer = piece(bob, place, 1000, SOUND[1000:])
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert bob.head(place, headers=TUS).status_code == 404
    assert bob.delete(place, headers=TUS).status_code == 404
    assert published_events(web) == []
    assert web.stored() == set()
    assert is_clean(web)


def test_more_than_was_said_is_refused(web: Web, ada: httpx.Client) -> None:
    """413, and the offset stays."""
    place = begun(ada, size=1000)
    answer = piece(ada, place, 0, SOUND[:1001])
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert offset(ada, place) == 0


def test_an_upload_can_be_given_up(web: Web, ada: httpx.Client) -> None:
    """Its pieces are deleted; a second time it is 404."""
    place = begun(ada)
    piece(ada, place, 0, SOUND[:1000])
    assert ada.delete(place, headers=TUS).status_code == 204
    assert ada.delete(place, headers=TUS).status_code == 404
    assert web.stored() == set()
    assert is_clean(web)


def test_it_is_its_uploaders_alone(web: Web, ada: httpx.Client) -> None:
    """Not even who shares the session can look at it, add to it or give it up before it is finished."""
    bob, session = web.sign_up("bob@example.com"), make(ada)
    share(ada, session, bob)
    place = begun(ada, sessionId=session["id"])
    assert bob.head(place, headers=TUS).status_code == 404
    assert piece(bob, place, 0, SOUND[:10]).status_code == 404
    assert bob.delete(place, headers=TUS).status_code == 404


def test_it_expires_after_a_day(web: Web, ada: httpx.Client) -> None:
    """The answers say when; then it is 404, and housekeeping deletes what has arrived."""
    place = begun(ada)
    assert piece(ada, place, 0, SOUND[:1000]).headers["Upload-Expires"].endswith(" GMT")
    web.do(web.database.row("UPDATE resumable_uploads SET expires_at = now()"))
    assert ada.head(place, headers=TUS).status_code == 404
    assert piece(ada, place, 1000, SOUND[1000:]).status_code == 404
    assert web.do(web.stores.retention.drop_expired(10)) == 1
    assert web.do(GarbageCollector(web.stores.retention, web.stores.storage).sweep()) == 1
    assert is_clean(web)


def test_a_last_piece_that_is_over_the_quota_takes_the_others_with_it(web: Web, ada: httpx.Client) -> None:
    """The quota is full when the last piece has arrived: 413, there is no such upload, and nothing of it is kept."""
    kept = send(ada).json()["upload"]["id"]
    place = begun(ada)
    assert piece(ada, place, 0, SOUND[:1000]).status_code == 204

    def while_the_quota_fills() -> Iterator[bytes]:
        yield SOUND[1000:2000]
        eventually(lambda: bool(web.do(web.database.rows("SELECT 1 FROM loose_objects"))), what="the piece arrives")
        web.do(web.database.row("UPDATE uploads SET file_size = 10737418240"))
        yield SOUND[2000:]

    headers = TUS | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "1000"}
    headers["Content-Length"] = str(len(SOUND) - 1000)
    answer = ada.patch(place, content=while_the_quota_fills(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_quota_exceeded")
    assert ada.head(place, headers=TUS).status_code == 404
    assert ada.delete(place, headers=TUS).status_code == 404
    assert not web.do(web.database.rows("SELECT 1 FROM resumable_uploads"))
    eventually(lambda: is_clean(web), what="nothing is left")
    assert [each["upload"]["id"] for each in ada.get("/api/upload/list").json()["uploads"]] == [kept]


def test_what_is_promised_counts_towards_the_quota(web: Web, ada: httpx.Client) -> None:
    """A hundred promises of the largest file are as good as kept; one that is given up makes room."""
    answers = [begin(ada, size=104_857_600) for _ in range(103)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [201] * 102 + [413]
    assert answers[-1].json()["code"] == "upload_quota_exceeded"
    ada.delete(answers[0].headers["Location"], headers=TUS)
    assert begin(ada, size=104_857_600).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/octet-stream"}, 415, "unsupported_media_type"),
        ({"Upload-Offset": ""}, 400, "invalid_upload_offset"),
        ({"Upload-Offset": "x"}, 400, "invalid_upload_offset"),
    ],
)
def test_a_piece_must_say_what_it_is(ada: httpx.Client, headers: dict[str, str], status: int, code: str) -> None:
    """A status and a code each."""
    answer = piece(ada, begun(ada), 0, b"x", headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def _break_off(web: Web, client: httpx.Client, place: str, content: bytes, header: str = "") -> None:
    """Send a part of a piece that was to be the whole file, and vanish."""
    (cookie,) = client.cookies.jar
    head = (
        f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nCookie: {cookie.name}={cookie.value}\r\n"
        f"Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n{header}"
        f"Content-Length: {len(SOUND)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        connection.sendall(head.encode() + content)
