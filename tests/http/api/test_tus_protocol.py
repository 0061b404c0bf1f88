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
        ({"Upload-Defer-Length": "1"}, "creation-defer-length"),
        ({"Content-Type": "application/offset+octet-stream"}, "creation-with-upload"),
    ],
)
def test_an_extension_that_is_not_there_is_refused_by_its_name(
    web: Web, ada: httpx.Client, headers: dict[str, str], named: str
) -> None:
    """400 in a sentence; nothing is begun."""
    about = {"Upload-Metadata": encoded(filename="a.wav")} | ({} if "Defer" in str(headers) else {"Upload-Length": "9"})
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


def test_what_is_kept_of_the_metadata_is_told_again(ada: httpx.Client) -> None:
    """Before and after it is finished."""
    session = make(ada)["id"]
    said = encoded(filename="b\u00e4ss.wav", sessionId=session)
    place = begin(ada, filename="b\u00e4ss.wav", sessionId=session).headers["Location"]
    assert ada.head(place, headers=TUS).headers["Upload-Metadata"] == said
    assert piece(ada, place, 0, SOUND).status_code == 204
    assert ada.head(place, headers=TUS).headers["Upload-Metadata"] == said
