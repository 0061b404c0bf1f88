"""The door and the headers: hosts, origins, framing, policies (RELIABILITY, attacks)."""

import re

import httpx
import pytest

from tests.http.api.test_sessions import make
from tests.http.running import Web, running_web
from tests.postgres_server import PostgresServer, fresh_database

ADA = {"roomId": "jam", "memberId": "ada", "displayName": "Ada"}


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/presence?roomId=a", "/api/nothing", "/nothing"])
def test_every_answer_is_locked_down(web: Web, path: str) -> None:
    """Found or not, page or data: the same headers, no CORS, nothing about what serves it."""
    answer = web.client.get(path, headers={"Origin": "https://evil.example"})
    policy = answer.headers["Content-Security-Policy"]
    for directive in ("default-src 'none'", "base-uri 'none'", "object-src 'none'", "frame-ancestors 'none'"):
        assert directive in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "microphone=()," in answer.headers["Permissions-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not [name for name in answer.headers if name.lower().startswith("access-control") or name == "server"]
    assert "Set-Cookie" not in answer.headers


def test_the_page_may_only_talk_to_us(web: Web) -> None:
    """Scripts, styles and sockets come from here and the gateway, and nothing is inline."""
    ada = web.sign_up("ada@example.com")
    page = ada.get(f"/sessions/{make(ada)['id']}")
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert "connect-src 'self' ws://127.0.0.1:9 wss://127.0.0.1:9;" in page.headers["Content-Security-Policy"]
    assert "microphone=(self)," in page.headers["Permissions-Policy"]  # it records, as no other page does
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=|https?://", page.text)


def test_a_gateway_behind_a_proxy_is_allowed_by_its_public_name(postgres_process: PostgresServer) -> None:
    """GATEWAY_PUBLIC_URL is what the studio's policy names."""
    environment = {"GATEWAY_PUBLIC_URL": "wss://live.example/rooms"}
    with fresh_database(postgres_process) as url, running_web(environment, database_url=url) as web:
        ada = web.sign_up("ada@example.com")
        page = ada.get(f"/sessions/{make(ada)['id']}")
    assert "connect-src 'self' wss://live.example;" in page.headers["Content-Security-Policy"]


def test_an_absolute_name_is_the_same_name(web: Web) -> None:
    """With the dot at its end (RFC 3986 3.2.2)."""
    answer = web.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost.\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ")[1] == b"200"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost..", "a" * 64, ".", "", "10.0.0.1", "a b"]
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/api/presence?roomId=a", "/nothing"])
def test_a_foreign_host_is_421(web: Web, host: str, path: str) -> None:
    """A name that is not ours (DNS rebinding) gets nothing."""
    answer = web.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in ((b"421", b"400") if host == "a b" else (b"421",))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:3000"])
def test_our_own_names_are_answered(web: Web, host: str) -> None:
    """Bound to loopback, it answers to loopback's names, on any port."""
    assert web.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "https://localhost", ""]
)
def test_a_foreign_page_changes_nothing(web: Web, origin: str) -> None:
    """Another origin, a look-alike or `null` is 403 on POST and DELETE."""
    for method in ("POST", "DELETE"):
        answer = web.client.request(method, "/api/presence", json=ADA, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert not web.presence.rooms


def test_our_own_page_and_programs_may_change_things(web: Web) -> None:
    """Our origin under both of its names, and no Origin at all."""
    for origin in (f"http://127.0.0.1:{web.port}", f"http://localhost:{web.port}"):
        assert web.client.post("/api/presence", json=ADA, headers={"Origin": origin}).status_code == 200
    assert web.client.post("/api/presence", json=ADA).status_code == 200


def test_a_request_with_two_lengths_is_refused(web: Web) -> None:
    """Content-Length and Transfer-Encoding together are how requests are smuggled: 400, and the connection is over."""
    answer = web.raw(
        b"POST /api/presence HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"code":"bad_request"' in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_two_content_lengths_are_refused(web: Web) -> None:
    """Two lengths that differ are 400."""
    answer = web.raw(
        b"POST /api/presence HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"
    )
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("name", ["h2c", "H2C", "H2c", "foo, h2c", "h2c/1", "H2C ,foo"])
@pytest.mark.parametrize("body", [b"", b"Content-Length: 2\r\n"])
def test_an_upgrade_to_http_2_is_refused_before_the_protocol_changes(web: Web, name: str, body: bytes) -> None:
    """400 in HTTP/1.1, without a 101 before it, however it is spelled."""
    upgrade = (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: %s\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n%s\r\n"
    )
    answer = web.raw(upgrade % (name.encode(), body) + (b"{}" if body else b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_http_2_is_not_spoken(web: Web) -> None:
    """Its preface is a bad request like others."""
    answer = web.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"This server speaks HTTP/1.1 only." in answer
    assert bytes(3) not in answer


def test_a_websocket_is_not_for_the_web(web: Web) -> None:
    """Sockets are the gateway's: here the upgrade is refused."""
    answer = web.raw(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 403")


def test_behind_https_browsers_are_told_to_stay_there() -> None:
    """With an https NEXTAUTH_URL every answer carries HSTS."""
    with running_web({"NEXTAUTH_URL": "https://studio.example"}) as web:
        answer = httpx.get(f"{web.url}/healthz", headers={"Host": "studio.example"})
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(web: Web) -> None:
    """What the page links to may be cached for a year; another version's address is 404."""
    ada = web.sign_up("ada@example.com")
    page = ada.get(f"/sessions/{make(ada)['id']}").text
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert {"favicon.svg", "studio.css", "studio.js"} <= {link.rpartition("/")[2] for link in links}
    for link in links:
        answer = web.client.get(link)
        assert answer.status_code == 200, link
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"].split(";")[0] in ("image/svg+xml", "text/css", "text/javascript")
    for escape in ("../app.py", "%2e%2e%2fapp.py", "..%5capp.py", "studio.js%00"):
        assert web.client.get(links[0].rpartition("/")[0] + "/" + escape).status_code == 404
