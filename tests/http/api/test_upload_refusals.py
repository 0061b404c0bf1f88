"""What is not taken: each with a status and a code of its own, and nothing of it is left (RELIABILITY, files)."""

import contextlib
import select
import socket
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.cli.running import eventually
from tests.http.api.test_sessions import make
from tests.http.api.test_uploads import SOUND, brought, is_clean, published_events, send
from tests.http.running import Web, running_web
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database

HTML: Final = b"<!doctype html><script>alert(1)</script>"
ELF: Final = b"\x7fELF\x02\x01\x01" + bytes(200)
SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
FORM: Final = "multipart/form-data; boundary=B"
PART: Final = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
SMALL: Final = {"UPLOAD_MAX_BYTES": "200000", "UPLOAD_QUOTA_BYTES": "300000"}


@pytest.fixture(scope="module")
def small_web(postgres_process: PostgresServer) -> Iterator[Web]:
    """A studio that takes little, and is impatient."""
    with (
        fresh_database(postgres_process) as url,
        running_web(SMALL, database_url=url, config={"STALL_TIMEOUT": 0.3}) as web,
    ):
        yield web


@pytest.fixture
def ada(small_web: Web) -> httpx.Client:
    small_web.forget_everybody()
    small_web.bus.published.clear()
    return small_web.sign_up("ada@example.com")


def refused(web: Web, answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a refusal, after which nothing is left."""
    assert published_events(web) == []
    eventually(lambda: is_clean(web), what="nothing is left")
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("content", [HTML, ELF, SVG, b"x", b"PK\x03\x04" + bytes(50), b"%PDF-1.7" + bytes(50)])
def test_what_is_no_media_is_refused_whatever_it_is_called(small_web: Web, ada: httpx.Client, content: bytes) -> None:
    """Pages, programs and single bytes, under the name and type of a song."""
    answer = ada.post("/api/upload", files={"file": ("song.mp3", content, "audio/mpeg")})
    assert refused(small_web, answer) == (415, "unsupported_media_type")


def test_an_empty_file_is_refused(small_web: Web, ada: httpx.Client) -> None:
    """400."""
    assert refused(small_web, send(ada, b"")) == (400, "empty_file")


def test_a_form_must_have_one_file(small_web: Web, ada: httpx.Client) -> None:
    """None, one by another name, and a text by the right name: 400."""
    for parts in ({"sessionId": (None, "")}, {"stem": ("a.wav", SOUND)}, {"file": (None, "text")}):
        assert refused(small_web, ada.post("/api/upload", files=parts)) == (400, "missing_file")


@pytest.mark.parametrize(
    "names",
    [("file", "file"), ("files[]", "files[]"), ("files[]",), ("file", "cover")],
    ids=["same", "list", "list of one", "other"],
)
def test_several_files_in_one_form_are_refused_together(small_web: Web, ada: httpx.Client, names: list[str]) -> None:
    """As Uppy sends a bundle, by whatever name: the sentence says what to set, and the first file is not kept."""
    parts = [(name, (f"{number}.wav", SOUND)) for number, name in enumerate(names)]
    answer = ada.post("/api/upload", files=parts)
    assert refused(small_web, answer) == (400, "too_many_files")
    assert answer.json()["error"] == (
        "Send each file in a request of its own, as the part named file (Uppy: bundle: false)."
    )
    assert ada.get("/api/upload/list").json()["uploads"] == []


@pytest.mark.parametrize("name", ["a\x01.wav", "a\u202egnp.wav", "x" * 10_000 + ".wav", "..", "/", "a\\..\\"])
def test_names_that_are_none_are_refused(small_web: Web, ada: httpx.Client, name: str) -> None:
    """Control and bidirectional characters, far too long, and nothing but a path."""
    encoded = name.encode()
    body = PART.replace(b"a.wav", encoded.replace(b"\\", b"\\\\")) + SOUND + b"\r\n--B--\r\n"
    answer = ada.post("/api/upload", content=body, headers={"Content-Type": FORM})
    assert refused(small_web, answer) == (400, "invalid_file_name")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (rb'filename="C:\Users\me\take.wav"', "take.wav"),
        (rb'filename="C:\\Users\\me\\take.wav"', "take.wav"),
        (rb'filename="\\server\new\take.wav"', "take.wav"),
        (b'filename="12%22 mix.wav"', '12" mix.wav'),
        (rb'filename="12\" mix.wav"', '12" mix.wav'),
        (b"filename=\"x.wav\"; filename*=UTF-8''b%C3%BCr.wav", "b\u00fcr.wav"),
        ('filename="b\u00fcr.wav"'.encode(), "b\u00fcr.wav"),
        (b'filename="b\xfcr.wav"', "b\ufffdr.wav"),
    ],
    ids=["drive", "escaped", "server", "percent", "backslash", "extended", "UTF-8", "Latin 1"],
)
def test_a_name_is_read_however_a_client_writes_it(
    small_web: Web, ada: httpx.Client, disposition: bytes, name: str
) -> None:
    """Old browsers send the whole path; quotes are escaped in two ways (WHATWG HTML, RFC 7578); not all is UTF-8."""
    body = PART.replace(b'filename="a.wav"', disposition) + SOUND + b"\r\n--B--\r\n"
    answer = ada.post("/api/upload", content=body, headers={"Content-Type": FORM})
    assert answer.json()["upload"]["fileName"] == name


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.wav", "/etc/passwd", "%2e%2e%2fpasswd", "a b;c.wav"]
)
def test_names_never_leave_the_store(small_web: Web, ada: httpx.Client, name: str) -> None:
    """Only the last component of a path is kept, for people; nothing is stored under it."""
    upload = brought(ada, name=name)
    assert "/" not in upload["fileName"]
    assert "\\" not in upload["fileName"]
    assert all(key.startswith("uploads/") and upload["fileName"] not in key for key in small_web.stored())


def test_another_users_session_is_none(small_web: Web, ada: httpx.Client) -> None:
    """404, before or after the file."""
    session = make(small_web.sign_up("bob@example.com"))["id"]
    small_web.bus.published.clear()
    forms: list[list[tuple[str, Any]]] = [
        [("sessionId", (None, session)), ("file", ("a.wav", SOUND))],
        [("file", ("a.wav", SOUND)), ("sessionId", (None, session))],
        [("file", ("a.wav", SOUND)), ("sessionId", (None, "no-uuid"))],
    ]
    for parts in forms:
        assert refused(small_web, ada.post("/api/upload", files=parts)) == (404, "session_not_found")


def test_more_than_is_taken_is_refused_declared_or_not(small_web: Web, ada: httpx.Client) -> None:
    """413, and nothing is left; what just fits is taken."""
    assert refused(small_web, send(ada, wav(3))) == (413, "upload_too_large")

    def chunks() -> Iterator[bytes]:
        yield PART
        for _ in range(30):
            yield SOUND

    answer = ada.post("/api/upload", content=chunks(), headers={"Content-Type": FORM})
    assert refused(small_web, answer) == (413, "upload_too_large")
    exact = SOUND + bytes(200_000 - len(SOUND))
    assert refused(small_web, send(ada, exact + b"x")) == (413, "upload_too_large")
    assert brought(ada, content=exact)["fileSize"] == 200_000


def test_nobody_keeps_more_than_their_quota(small_web: Web, ada: httpx.Client) -> None:
    """413 for the second file; another user has a quota of their own, and what is removed makes room."""
    half = SOUND + bytes(180_000 - len(SOUND))
    first = brought(ada, content=half)
    second = send(ada, half)
    assert (second.status_code, second.json()["code"]) == (413, "upload_quota_exceeded")
    brought(small_web.sign_up("bob@example.com"), content=half)
    ada.delete(f"/api/upload/{first['id']}")
    brought(ada, content=half)
    assert is_clean(small_web)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b"{}"), ("text/plain", SOUND), ("multipart/form-data", SOUND), ("audio/wav", SOUND)],
)
def test_what_is_no_form_is_refused(small_web: Web, ada: httpx.Client, content_type: str, body: bytes) -> None:
    """415, also for a form without a boundary, and for the bare file as its own type; the sentence says what to set."""
    answer = ada.post("/api/upload", content=body, headers={"Content-Type": content_type})
    assert refused(small_web, answer) == (415, "unsupported_media_type")
    assert answer.json()["error"] == (
        "Send the file in a form, multipart/form-data, as the part named file (Uppy: formData: true)."
    )


@pytest.mark.parametrize("body", [b"", b"nothing of the kind", PART + SOUND, PART[:20], PART + SOUND + b"\r\n--B"])
def test_a_form_that_breaks_off_is_refused(small_web: Web, ada: httpx.Client, body: bytes) -> None:
    """400, though the file itself may have been whole."""
    answer = ada.post("/api/upload", content=body, headers={"Content-Type": FORM})
    status, code = refused(small_web, answer)
    assert (status, code) in ((400, "invalid_form"), (400, "missing_file"))


def test_a_client_that_stalls_is_cut_off(small_web: Web, ada: httpx.Client) -> None:
    """408 after the time that an upload may stand still, and nothing is left."""
    with _connection(small_web, ada) as connection:
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    eventually(lambda: is_clean(small_web), what="nothing is left")


def test_a_client_that_sends_on_after_its_refusal_is_cut_off(small_web: Web) -> None:
    """It is told, after a while in which it might have ended; then nobody listens any longer."""
    head = f"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:{small_web.port}\r\nContent-Length: {10**12}\r\n\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", small_web.port), timeout=10) as connection:
        connection.sendall(head.encode())
        with contextlib.suppress(ConnectionError):
            while True:
                if select.select([connection], [connection], [])[0]:
                    answer += connection.recv(65_536)
                connection.send(bytes(65_536))
        with contextlib.suppress(ConnectionError):
            answer += connection.recv(65_536)  # what came while it was sending, before it was cut off
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_client_that_vanishes_leaves_nothing(small_web: Web, ada: httpx.Client) -> None:
    """The connection is reset in the middle of the file."""
    with _connection(small_web, ada):
        eventually(lambda: bool(_unreferenced(small_web)), what="the upload has begun")
    eventually(lambda: is_clean(small_web), what="nothing is left")
    assert published_events(small_web) == []


def _unreferenced(web: Web) -> list[object]:
    return list(web.do(web.database.rows("SELECT 1 FROM loose_objects")))


def _connection(web: Web, client: httpx.Client) -> socket.socket:
    """A connection on which half of a file was sent, and no more is."""
    (cookie,) = client.cookies.jar
    connection = socket.create_connection(("127.0.0.1", web.port), timeout=10)
    head = (
        f"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nCookie: {cookie.name}={cookie.value}\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: 150000\r\n\r\n"
    )
    connection.sendall(head.encode() + PART + SOUND)
    return connection
