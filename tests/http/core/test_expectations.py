"""Clients that send a body only when they are asked to: `Expect: 100-continue`, on real sockets."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
import pytest

from tests.cli.running import eventually
from tests.http.api.test_tus import begun
from tests.http.api.test_upload_faults import answer_of
from tests.http.api.test_uploads import is_clean
from tests.http.running import CLIENT_TIMEOUT_S, Web
from tests.http.sounds import wav

ASKED: Final = b"HTTP/1.1 100 \r\n\r\n"
FORM: Final = "multipart/form-data; boundary=b"
FORM_BODY: Final = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="take.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    + wav(0.1)
    + b"\r\n--b--\r\n"
)
PIECE: Final = "application/offset+octet-stream"
TUS: Final = "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
TOO_MUCH: Final = 2**40


@contextmanager
def waiting(
    web: Web, request: str, content_type: str, length: int | str, *, who: httpx.Client | None = None, also: str = ""
) -> Iterator[socket.socket]:
    """A connection on which the head of a request was sent, whose client waits."""
    cookie = "".join(f"Cookie: {cookie.name}={cookie.value}\r\n" for cookie in who.cookies.jar) if who else ""
    framing = "Transfer-Encoding: chunked" if length == "chunked" else f"Content-Length: {length}"
    head = (
        f"{request} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nExpect: 100-continue\r\n{cookie}{also}"
        f"Content-Type: {content_type}\r\n{framing}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", web.port), timeout=CLIENT_TIMEOUT_S) as connection:
        connection.sendall(head.encode())
        yield connection


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """The next answer, whose length is declared: its status and body."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65_536)
    head, _, body = got.partition(b"\r\n\r\n")
    (length,) = [int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
    while len(body) < length:
        body += connection.recv(65_536)
    return int(head[9:12]), body


@pytest.fixture(name="ada")
def signed_up(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


@pytest.mark.parametrize(
    ("request_line", "content_type", "also"),
    [
        ("POST /api/upload", FORM, ""),
        ("POST /api/sessions", "application/json", ""),
        ("PATCH /api/upload/tus/3f2c8a2e-0f0a-4f6e-9d3f-000000000000", PIECE, TUS),
    ],
    ids=["form", "json", "tus"],
)
@pytest.mark.parametrize("length", [50_000_000, "chunked"])
def test_who_is_not_signed_in_is_told_so_and_asked_for_nothing(
    web: Web, request_line: str, content_type: str, also: str, length: int | str
) -> None:
    """The answer is the first that the client reads, and the connection ends, as what follows could be the body."""
    with waiting(web, request_line, content_type, length, also=also) as connection:
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "sign_in_required"


@pytest.mark.parametrize(
    ("request_line", "content_type", "status"),
    [
        ("POST /api/upload", FORM, 413),
        ("POST /api/sessions", "application/json", 413),
        ("POST /api/upload", "audio/wav", 415),
        ("POST /api/sessions", "text/plain", 415),
    ],
)
def test_what_is_refused_for_its_head_is_not_asked_for(
    web: Web, ada: httpx.Client, request_line: str, content_type: str, status: int
) -> None:
    with waiting(web, request_line, content_type, TOO_MUCH, who=ada) as connection:
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_form_is_asked_for_and_kept(web: Web, ada: httpx.Client) -> None:
    with waiting(web, "POST /api/upload", FORM, len(FORM_BODY), who=ada) as connection:
        assert connection.recv(len(ASKED)) == ASKED
        connection.sendall(FORM_BODY)
        status, body = read_answer(connection)
    assert status == 201
    assert json.loads(body)["upload"]["fileName"] == "take.wav"


def test_a_piece_is_asked_for_and_kept(web: Web, ada: httpx.Client) -> None:
    place = begun(ada).removeprefix(web.url)
    with waiting(web, f"PATCH {place}", PIECE, 4, who=ada, also=TUS) as connection:
        assert connection.recv(len(ASKED)) == ASKED
        connection.sendall(wav(0.1)[:4])
        assert b"HTTP/1.1 204 " in connection.recv(65_536)
    assert ada.head(place, headers={"Tus-Resumable": "1.0.0"}).headers["Upload-Offset"] == "4"


def test_json_is_asked_for_and_the_connection_goes_on(web: Web, ada: httpx.Client) -> None:
    """The next request on it that does not wait is asked nothing, and one that does is asked once more."""
    body = b'{"name":"Evening"}'
    with waiting(web, "POST /api/sessions", "application/json", len(body), who=ada) as connection:
        assert connection.recv(len(ASKED)) == ASKED
        connection.sendall(body)
        assert read_answer(connection)[0] == 201
        host = b"Host: 127.0.0.1:%d\r\n" % web.port
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n")
        assert read_answer(connection)[0] == 200
        connection.sendall(
            b"POST /api/auth/signout HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n"
            b"Content-Type: application/json\r\n" + host + b"\r\n"
        )
        assert connection.recv(len(ASKED)) == ASKED


def test_who_does_not_wait_to_the_end_is_not_asked(web: Web, ada: httpx.Client) -> None:
    """Some send the body along with the head."""
    body = b'{"name":"Evening"}'
    (cookie,) = ada.cookies.jar
    head = (
        f"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nCookie: {cookie.name}={cookie.value}\r\n"
        f"Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    assert web.raw(head.encode() + body).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("asked", [False, True], ids=["refused", "asked"])
def test_who_hangs_up_leaves_nothing_behind(
    web: Web, ada: httpx.Client, caplog: pytest.LogCaptureFixture, asked: bool
) -> None:
    """Whether it was refused or asked: no task, no line in the log, no object."""

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    assert ada.get("/healthz").status_code == 200
    before = web.do(tasks())
    with caplog.at_level("WARNING"):
        for _ in range(10):
            with waiting(web, "POST /api/upload", FORM, 50_000_000, who=ada if asked else None) as connection:
                assert connection.recv(len(ASKED)).startswith(b"HTTP/1.1 100" if asked else b"HTTP/1.1 401")
        eventually(lambda: web.do(tasks()) <= before, what="all tasks are over")
    assert [record.getMessage() for record in caplog.records] == []
    assert is_clean(web)
