"""How Hypercorn is set up: what it says of itself, and how it stops."""

import socket
import threading

import pytest

from tests.http.running import running_web


def test_a_stop_lets_a_request_in_flight_finish() -> None:
    """A request whose body is still arriving when the stop comes is answered; nobody new gets in."""
    body = b'{"roomId": "jam", "memberId": "ada", "displayName": "Ada"}'
    head = (
        b"POST /api/presence HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    with (
        running_web() as web,
        socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection,
        socket.create_connection(("127.0.0.1", web.port), timeout=10) as idle,
    ):
        connection.sendall(head % len(body) + b"{")
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in idle.recv(65_536)
        stopping = threading.Thread(target=web.stop)
        stopping.start()
        # The idle connection is closed as soon as the server stops.
        while idle.recv(65_536):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", web.port), timeout=10)
        connection.sendall(body[1:])
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        stopping.join()
    assert answer.startswith(b"HTTP/1.1 200")
    assert web.presence.rooms["jam"]


def test_a_stop_does_not_wait_for_idle_connections() -> None:
    """A browser that keeps its connection open is simply cut off."""
    with running_web() as web:
        assert web.client.get("/healthz").status_code == 200
        web.stop()


def test_nothing_is_said_about_what_serves() -> None:
    """No Server header, also on what the server answers by itself."""
    with running_web() as web:
        assert "server" not in web.client.get("/healthz").headers
        assert b"server:" not in web.raw(b"nonsense\r\n\r\n").lower()
