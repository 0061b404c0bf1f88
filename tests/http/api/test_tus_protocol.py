"""What tus 1.0 says beside the pieces: methods that a client cannot send, and extensions that are not there."""

import httpx
import pytest

from tests.http.api.test_sessions import make
from tests.http.api.test_tus import PIECE_BYTES, PLACE, SOUND, TUS, begin, begun, encoded, offset, piece
from tests.http.api.test_uploads import is_clean, send
from tests.http.running import Web

PIECE: dict[str, str] = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture(name="ada")
def signed_up(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


def instead(
    client: httpx.Client, place: str, method: str, headers: dict[str, str] | None = None, content: bytes = b""
) -> httpx.Response:
    """Ask for `method` by a POST."""
    return client.post(place, content=content, headers=PIECE | {"X-HTTP-Method-Override": method} | (headers or {}))


def test_a_client_that_can_only_post_says_what_it_means(web: Web, ada: httpx.Client) -> None:
    """A piece, a look and the end of it, as by their own methods; the last piece makes the upload."""
    place, other = begun(ada), begun(ada)
    first = instead(ada, place, "PATCH", {"Upload-Offset": "0"}, SOUND[:PIECE_BYTES])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, str(PIECE_BYTES))
    looked = instead(ada, place, "HEAD")
    assert (looked.status_code, looked.headers["Upload-Offset"], looked.content) == (200, str(PIECE_BYTES), b"")
    rest = instead(ada, place, "PATCH", {"Upload-Offset": str(PIECE_BYTES)}, SOUND[PIECE_BYTES:])
    assert rest.status_code == 204
    assert offset(ada, place) == len(SOUND)
    assert instead(ada, other, "DELETE").status_code == 204
    assert ada.head(other, headers=TUS).status_code == 404
    missing = instead(ada, other, "HEAD")
    assert (missing.status_code, missing.json()["code"]) == (404, "upload_not_found")
    assert is_clean(web)


def test_a_method_said_instead_is_checked_as_that_method_is(web: Web, ada: httpx.Client) -> None:
    """By origin, sign-in and version; what is no method here is 405, and a riddle 400."""
    place = begun(ada)
    foreign = instead(ada, place, "PATCH", {"Upload-Offset": "0", "Origin": "http://evil.example"}, SOUND)
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")
    assert instead(web.client, place, "DELETE").status_code == 401
    bob = web.sign_up("bob@example.com")
    assert instead(bob, place, "DELETE").status_code == 404
    assert instead(ada, place, "DELETE", {"Tus-Resumable": "0.2"}).status_code == 412
    assert instead(ada, place, "PUT").status_code == 405
    for method, said in (("PATCH", "DELETE"), ("DELETE", "PATCH"), ("HEAD", "DELETE"), ("OPTIONS", "POST")):
        at = PLACE if method == "OPTIONS" else place
        answer = ada.request(method, at, headers=PIECE | {"X-HTTP-Method-Override": said})
        assert answer.status_code == 400, method
    doubled = [*(TUS | {"X-HTTP-Method-Override": "DELETE"}).items(), ("X-HTTP-Method-Override", "PATCH")]
    answer = ada.post(place, headers=doubled)
    assert answer.status_code == 405
    assert offset(ada, place) == 0


def test_a_method_said_instead_means_nothing_elsewhere(ada: httpx.Client) -> None:
    """A POST stays a POST."""
    session, upload = make(ada), send(ada).json()["upload"]["id"]
    for place in (f"/api/upload/{upload}", f"/api/sessions/{session['id']}"):
        assert ada.post(place, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 405
        assert ada.get("/api/upload/list").json()["uploads"]
    made = ada.post("/api/sessions", json={"name": "x"}, headers={"X-HTTP-Method-Override": "GET"})
    assert made.status_code == 201


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Upload-Concat": "partial"}, "concatenation"),
        ({"Upload-Concat": "final;/api/upload/tus/a"}, "concatenation"),
        ({"Content-Type": "application/offset+octet-stream"}, "creation-with-upload"),
    ],
)
def test_an_extension_that_is_not_there_is_refused_by_its_name(
    web: Web, ada: httpx.Client, headers: dict[str, str], named: str
) -> None:
    """400 in a sentence; nothing is begun."""
    about = {"Upload-Metadata": encoded(filename="a.wav"), "Upload-Length": "9"}
    body = SOUND[:9] if "Content-Type" in headers else b""
    answer = ada.post(PLACE, content=body, headers=TUS | about | headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_tus_extension")
    assert named in answer.json()["error"]
    assert web.do(web.database.rows("SELECT 1 FROM resumable_uploads")) == []


def test_a_checksum_that_comes_after_the_piece_is_refused(ada: httpx.Client) -> None:
    """Nothing is taken unchecked from who wanted it checked."""
    place = begun(ada)
    answer = piece(ada, place, 0, SOUND[:9], {"Trailer": "Upload-Checksum"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_tus_extension")
    assert "checksum-trailer" in answer.json()["error"]
    assert offset(ada, place) == 0


def deferred(client: httpx.Client) -> str:
    """A place to send something to whose length nobody knows yet."""
    headers = TUS | {"Upload-Defer-Length": "1", "Upload-Metadata": encoded(filename="take.wav")}
    return str(client.post(PLACE, headers=headers).headers["Location"])


def test_a_length_may_be_said_at_the_end(web: Web, ada: httpx.Client) -> None:
    """Once, and not less than has come. A WAV that was begun without a length has it in its header then."""
    place = deferred(ada)
    streamed = SOUND[:4] + bytes([255] * 4) + SOUND[8:40] + bytes([255] * 4) + SOUND[44:]
    assert piece(ada, place, 0, streamed[:PIECE_BYTES]).status_code == 204
    looked = ada.head(place, headers=TUS)
    assert (looked.headers["Upload-Defer-Length"], looked.headers["Upload-Offset"]) == ("1", str(PIECE_BYTES))
    assert "Upload-Length" not in looked.headers
    less = piece(ada, place, PIECE_BYTES, b"", {"Upload-Length": str(PIECE_BYTES - 1)})
    assert (less.status_code, less.json()["code"]) == (400, "upload_length_conflict")
    whole = {"Upload-Length": str(len(SOUND))}
    second = piece(ada, place, PIECE_BYTES, streamed[PIECE_BYTES : 2 * PIECE_BYTES], whole)
    assert second.headers["Upload-Offset"] == str(2 * PIECE_BYTES)
    assert ada.head(place, headers=TUS).headers["Upload-Length"] == str(len(SOUND))
    other = piece(ada, place, 2 * PIECE_BYTES, b"", {"Upload-Length": str(len(SOUND) + 1)})
    assert (other.status_code, other.json()["code"]) == (400, "upload_length_conflict")
    assert piece(ada, place, 2 * PIECE_BYTES, streamed[2 * PIECE_BYTES :], whole).status_code == 204
    made = ada.get(f"/api/upload/{place.rpartition('/')[2]}").json()
    assert ada.get(made["downloadUrl"]).content == SOUND
    assert is_clean(web)


def test_what_has_come_without_a_length_can_be_all_of_it(web: Web, ada: httpx.Client) -> None:
    """Said with an empty piece; until the upload is there, nobody is told that it is. Nothing else is changed in it."""
    place, taken = deferred(ada), SOUND[:PIECE_BYTES]
    assert piece(ada, place, 0, taken).status_code == 204
    assert piece(ada, place, PIECE_BYTES, b"").headers["Upload-Offset"] == str(PIECE_BYTES)
    assert ada.get(f"/api/upload/{place.rpartition('/')[2]}").status_code == 404
    assert piece(ada, place, PIECE_BYTES, b"", {"Upload-Length": str(PIECE_BYTES)}).status_code == 204
    made = ada.get(f"/api/upload/{place.rpartition('/')[2]}").json()
    assert ada.get(made["downloadUrl"]).content == taken
    assert offset(ada, place) == PIECE_BYTES
    assert is_clean(web)


def test_without_a_length_there_are_the_same_limits(web: Web, ada: httpx.Client) -> None:
    """A piece counts towards the quota when it comes; what came before one that is refused can still be finished."""
    place = deferred(ada)
    too_long = piece(ada, place, 0, b"", {"Upload-Length": "104857601"})
    assert (too_long.status_code, too_long.json()["code"]) == (413, "upload_too_large")
    assert piece(ada, place, 0, SOUND[:PIECE_BYTES]).status_code == 204
    kept = send(ada).json()["upload"]["id"]
    rest = 10_737_418_240 - PIECE_BYTES - 9
    web.do(web.database.row("UPDATE uploads SET file_size = $2 WHERE id = $1", kept, rest))
    refused = piece(ada, place, PIECE_BYTES, SOUND[PIECE_BYTES:])
    assert (refused.status_code, refused.json()["code"]) == (413, "upload_quota_exceeded")
    more = piece(ada, place, PIECE_BYTES, b"", {"Upload-Length": str(PIECE_BYTES + 10)})
    assert (more.status_code, more.json()["code"]) == (413, "upload_quota_exceeded")
    assert piece(ada, place, PIECE_BYTES, b"", {"Upload-Length": str(PIECE_BYTES)}).status_code == 204
    assert len(ada.get("/api/upload/list").json()["uploads"]) == 2
    assert is_clean(web)


def test_what_is_kept_of_the_metadata_is_told_again(ada: httpx.Client) -> None:
    """Before and after it is finished."""
    session = make(ada)["id"]
    said = encoded(filename="b\u00e4ss.wav", sessionId=session)
    place = begin(ada, filename="b\u00e4ss.wav", sessionId=session).headers["Location"]
    assert ada.head(place, headers=TUS).headers["Upload-Metadata"] == said
    assert piece(ada, place, 0, SOUND).status_code == 204
    assert ada.head(place, headers=TUS).headers["Upload-Metadata"] == said
