"""The opening handshake of the client (RFC 6455 4.1): with the server's own, and with invalid answers."""

import pytest

from omnisonic.errors import InvalidInput
from omnisonic.wire import handshake
from omnisonic.wire.client_handshake import (
    HandshakeResponse,
    InvalidHandshake,
    check_response,
    generate_key,
    parse_url,
    read_refusal,
    read_response,
    upgrade_request,
)
from omnisonic.wire.decoded_message import Message, message_from_envelope, read_binary, read_message
from omnisonic.wire.handshake import HEAD_BYTES
from omnisonic.wire.messages import Envelope


def test_the_server_understands_the_request_and_the_client_its_answer() -> None:
    """Back to back, with a room's name that has to be quoted, and a ticket."""
    address = parse_url("ws://127.0.0.1:8080/rooms?a=1&roomId=old", {"roomId": "Jäm & Toast", "memberId": "ada"})
    key = generate_key()
    request = handshake.read_request(upgrade_request(address, key, ["omnisonic", "ticket.x"], {"Cookie": "a=b"}))
    assert handshake.check_upgrade(request) == key
    assert request.query == "a=1&roomId=J%C3%A4m%20%26%20Toast&memberId=ada"
    assert (
        handshake.read_entrance({**handshake.read_fields(request.query), "displayName": "A"}).room_id == "Jäm & Toast"
    )
    assert (request.path, request.headers["host"], request.headers["cookie"]) == ("/rooms", "127.0.0.1:8080", "a=b")
    received = bytearray(handshake.upgrade_response(key, request.subprotocols) + b"early")
    answer = read_response(received)
    assert answer is not None
    check_response(answer, key)
    assert received == b"early"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("ws://band.example", (False, "band.example", 80, "/", "band.example")),
        ("wss://band.example/r", (True, "band.example", 443, "/r", "band.example")),
        ("wss://band.example:80", (True, "band.example", 80, "/", "band.example:80")),
        ("ws://[::1]:8080/a b", (False, "::1", 8080, "/a%20b", "[::1]:8080")),
    ],
)
def test_an_address_is_read_from_its_url(url: str, wanted: tuple[bool, str, int, str, str]) -> None:
    """Without a port, the scheme's own is used."""
    address = parse_url(url, {})
    assert (address.secure, address.host, address.port, address.target, address.authority) == wanted


def test_nothing_can_be_smuggled_into_the_request() -> None:
    """No header may contain a line break."""
    address = parse_url("ws://a", {})
    for headers in ({"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": "ü"}):
        with pytest.raises(InvalidInput, match="plain ASCII"):
            upgrade_request(address, generate_key(), [], headers)


@pytest.mark.parametrize(
    "data", [b"HTTP/2 200\r\n\r\n", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"x" * (HEAD_BYTES + 1)]
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    """Another protocol, or a head that is too long."""
    with pytest.raises(InvalidHandshake):
        read_response(bytearray(data))
    assert read_response(bytearray(b"HTTP/1.1 101")) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"upgrade": "h2c"},
        {"connection": "close"},
        {"sec-websocket-accept": "another"},
        {"sec-websocket-protocol": "chat"},
        {"sec-websocket-extensions": "permessage-deflate"},
    ],
)
def test_a_101_must_be_the_answer_to_this_request(headers: dict[str, str]) -> None:
    """It may choose only what was offered."""
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    right = {
        "upgrade": "WebSocket",
        "connection": "keep-alive, Upgrade",
        "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",  # RFC 6455 1.3
    }
    check_response(HandshakeResponse(101, right), key)
    with pytest.raises(InvalidHandshake):
        check_response(HandshakeResponse(101, right | headers), key)


def test_a_refusal_is_read_from_its_body() -> None:
    """Without a sentence there, the status stands in."""
    assert read_refusal(HandshakeResponse(403, {}), b'{"error": "No.", "code": "no"}') == ("no", "No.")
    for body in (b"<html>", b"[]", b""):
        assert read_refusal(HandshakeResponse(403, {}), body) == ("http_403", "The server answered 403.")


def test_messages_are_read_as_python_has_them() -> None:
    """Text by msgspec, or by `json` where msgspec cannot; bytes with their sender; an envelope for hooks."""
    assert read_message(b'{"type":"a","payload":[1,{"b":null}],"from":"bo","offset":3}') == Message(
        "a", [1, {"b": None}], "bo", 3
    )
    assert read_message(rb'{"type":"a","payload":"\ud800"}').payload == "\ud800"
    assert read_binary(b"\x02bo\x00\x01") == Message("", b"\x00\x01", "bo")
    assert read_binary(b"\x02bo").is_binary
    for text in (b"", b"[]", b'{"type":1}', b'{"type":"\xff"}', b"[" * 100_000):
        with pytest.raises((ValueError, RecursionError)):
            read_message(text)
    for data in (b"", b"\x05abc", b"\x01\xffa"):
        with pytest.raises(ValueError, match=r"."):
            read_binary(data)
    message = Message("a", None, "ada", None, "bo")
    assert message_from_envelope(Envelope("a", to="bo"), "ada") == message
    assert message.replace(type="b").type == "b"
