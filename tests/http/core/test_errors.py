"""How failures look from outside: `{"error", "code"}` for programs, a page for people, never an inside view."""

import logging
import socket
from http.client import HTTPResponse
from typing import Final

import pytest

from tests.http.running import Web


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/presence/", "/api/<script>"])
def test_the_api_never_answers_html(web: Web, path: str) -> None:
    """An unknown path under `/api` is 404 in JSON."""
    answer = web.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"error": "There is nothing at this address.", "code": "not_found"}


@pytest.mark.parametrize("path", ["/nothing", "/sessions/", "/static/old/room.js", "/%00", "/%ff"])
def test_people_get_a_page_that_helps(web: Web, path: str) -> None:
    """Elsewhere an unknown path is a page with a way on, and without scripts."""
    answer = web.client.get(f"{web.url}{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert 'href="/"' in answer.text
    assert "<script" not in answer.text
    assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_our_own_failure_tells_nothing(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is 500 `internal`; what it said is in the log and not in the answer."""
    web.presence.trouble.kind = "broken"
    with caplog.at_level(logging.ERROR):
        answer = web.client.get("/api/presence", params={"roomId": "jam"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


EARLY: Final = [("/api/nothing", 404), ("/sessions", 302), ("/api/upload", 401)]
"""What is answered without a look at the body, and with what status."""


@pytest.mark.parametrize(("path", "status"), EARLY)
def test_an_early_answer_does_not_cost_the_connection(web: Web, path: str, status: int) -> None:
    """Head and body come in two packets: the answer waits for both, and the next request is answered too."""
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n" % path.encode()
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        for _ in range(50):
            connection.sendall(head)
            connection.sendall(b"{}")
            with HTTPResponse(connection) as answer:
                answer.begin()
                assert (answer.status, answer.headers["Connection"]) == (status, None)
                answer.read()


@pytest.mark.parametrize(("path", "status"), EARLY)
def test_a_body_that_does_not_come_ends_the_connection(web: Web, path: str, status: int) -> None:
    """Whoever sends no body is answered all the same, told that the connection is over, and cut off."""
    answer = web.raw(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n" % path.encode())
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert b"connection: close" in answer.lower()
