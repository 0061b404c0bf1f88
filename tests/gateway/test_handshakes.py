"""The opening handshake: what is one, what is none, and how that is said (RFC 6455 4.2, RFC 9112, SPEC 5.1)."""

from typing import NoReturn

import pytest

from tests.clients import upgrade_request
from tests.gateway.http_answers import answered, asked
from tests.rooms import Stage, eventually, open_stage


@pytest.mark.parametrize("version", ["", "8", "14"])
async def test_only_version_13_is_spoken(stage: Stage, version: str) -> None:
    """426 names the version that would do (RFC 6455 4.2.2)."""
    request = upgrade_request(stage.target(), stage.port, Sec_WebSocket_Version=version)
    status, headers, _ = await asked(stage, request)
    assert (status, headers["sec-websocket-version"]) == (426, "13")


async def test_a_plain_get_is_told_to_upgrade(stage: Stage) -> None:
    """426 for somebody who opens the URL in a browser's address bar."""
    status, headers, body = await asked(stage, f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{stage.port}\r\n\r\n".encode())
    assert (status, body["code"], headers["upgrade"]) == (426, "upgrade_required", "websocket")


@pytest.mark.parametrize(
    ("offered", "spoken"), [("omnisonic", "omnisonic"), ("chat, omnisonic, ticket.x", "omnisonic"), ("chat", None)]
)
async def test_the_subprotocol_is_spoken_when_it_is_offered(stage: Stage, offered: str, spoken: str | None) -> None:
    """`omnisonic` and nothing else of what the client offers."""
    request = upgrade_request(stage.target(), stage.port, Sec_WebSocket_Protocol=offered)
    status, headers, _ = await asked(stage, request)
    assert (status, headers.get("sec-websocket-protocol")) == (101, spoken)


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n",
        b"GET / HTTP/1.1",
        b"GET / HTTP/2.0\r\nHost: localhost",
        b"get / HTTP/1.1\r\nHost: localhost",
        b"GET  / HTTP/1.1\r\nHost: localhost",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
        b"GET / HTTP/1.1\r\nHost : localhost",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: yes",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon",
        b"GET / HTTP/1.1\nHost: localhost",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: localhost",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_a_malformed_head_is_refused(stage: Stage, head: bytes) -> None:
    """Nothing is guessed: 400, and the connection ends."""
    status, _, body = await asked(stage, head + b"\r\n\r\n")
    assert (status, body["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_WebSocket_Key": ""},
        {"Sec_WebSocket_Key": "c2hvcnQ="},
        {"Sec_WebSocket_Key": "not base64 at all!"},
        {"Connection": "keep-alive"},
        {"Content_Length": "5"},
        {"Transfer_Encoding": "chunked"},
    ],
)
async def test_a_handshake_that_is_not_one_is_refused(stage: Stage, headers: dict[str, str]) -> None:
    """RFC 6455 4.2.1: a key of 16 bytes, `Connection: Upgrade`, and no body."""
    status, _, body = await asked(stage, upgrade_request(stage.target(), stage.port, **headers))
    assert (status, body["code"]) == (400, "bad_request")


async def test_only_get_opens_a_websocket(stage: Stage) -> None:
    """405 for a POST that asks for an upgrade."""
    request = upgrade_request(stage.target(), stage.port).replace(b"GET", b"POST", 1)
    status, headers, _ = await asked(stage, request)
    assert (status, headers["allow"]) == (405, "GET")


async def test_too_long_a_head_is_refused_while_it_comes(stage: Stage) -> None:
    """431 as soon as the limit is passed: nobody waits for the end of a head that never ends."""
    async with await stage.bare() as bare:
        await bare.stream.send_all(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
        status, _, body = await answered(bare)
    assert (status, body["code"]) == (431, "head_too_large")


async def test_a_head_may_come_byte_by_byte(stage: Stage) -> None:
    """And a message right behind it, in the same segment as its last byte, is heard."""
    async with stage.member("bo") as bo, await stage.bare() as bare:
        request = upgrade_request(stage.target("ada"), stage.port)
        for at in range(len(request) - 1):
            await bare.stream.send_all(request[at : at + 1])
        await bare.stream.send_all(request[-1:] + b"\x81\x8f\x00\x00\x00\x00" + b'{"type":"note"}')
        assert (await bo.next("note"))["from"] == "ada"


async def test_whatever_is_refused_is_let_go(stage: Stage) -> None:
    """A hundred refused handshakes later nothing is left of them."""
    for _ in range(100):
        await asked(stage, b"nonsense\r\n\r\n")
    await eventually(lambda: not stage.gateway.connections)
    assert len(stage.gateway.registry) == 0


class Moody:
    """An admission with a fault in it."""

    def admit(self, request: object) -> NoReturn:
        raise ValueError("a fault of the embedding program")


async def test_a_fault_in_an_admission_is_500_and_costs_that_client_only() -> None:
    """What an embedding program's hook raises before the upgrade is answered in HTTP, not with a frame."""
    async with open_stage(admission=Moody()) as stage:
        status, _, body = await asked(stage, upgrade_request(stage.target(), stage.port))
        assert (status, body["code"]) == (500, "internal")
        assert stage.gateway.counters.connection_crashes == 1
        assert (await asked(stage, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0] == 200


async def test_health_is_answered_without_an_upgrade(stage: Stage) -> None:
    """`/healthz` says that the gateway lives."""
    status, headers, body = await asked(stage, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (status, body) == (200, {"ok": True})
    assert headers["content-type"] == "application/json"
