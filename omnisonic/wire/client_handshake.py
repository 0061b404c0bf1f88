"""The opening handshake of the client (RFC 6455 4.1, RFC 9112, SPEC 5.1). Sans-IO.

The client sends `upgrade_request`, feeds what arrives to `read_response`, and checks a 101 with `check_response`.
Any other status is a refusal: `read_refusal` reads the code and the sentence from its body.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.wire.handshake import HEAD_BYTES, SUBPROTOCOL

BODY_BYTES: Final = 65_536
"""Most bytes that are read of a refusal's body."""
SWITCHING: Final = 101
"""The status that opens the WebSocket."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_PORTS: Final = {"ws": 80, "wss": 443}


class InvalidHandshake(Exception):
    """The server's answer is not a valid WebSocket handshake."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address, taken from a URL. `target` is the path and query of the request."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the `Host` header: the port is left out when it is the scheme's own."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS["wss" if self.secure else "ws"] else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """The head of the server's HTTP response. Header names are in lower case."""

    status: int
    headers: dict[str, str]


def parse_url(url: str, fields: Mapping[str, str]) -> Address:
    """Read a `ws://` or `wss://` URL, and put `fields` into its query, in place of fields with the same names.

    Raises:
        InvalidInput: `invalid_url`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput(f"{url!r} is not a URL.", code="invalid_url") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise InvalidInput(f"{url!r} is not a URL such as ws://127.0.0.1:8080.", code="invalid_url")
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in fields]
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if text := urlencode([*query, *fields.items()], quote_via=quote):
        target += "?" + text
    return Address(parts.scheme == "wss", parts.hostname, port or _PORTS[parts.scheme], target)


def generate_key() -> str:
    """Generate a `Sec-WebSocket-Key`: 16 random bytes in base64 (RFC 6455 4.1)."""
    return base64.b64encode(os.urandom(16)).decode()


def upgrade_request(address: Address, key: str, subprotocols: Sequence[str], headers: Mapping[str, str]) -> bytes:
    """The request that asks for a WebSocket.

    Raises:
        InvalidInput: `invalid_header`: a value has a line break, or is not ASCII.
    """
    fields = {
        "Host": address.authority,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": ", ".join(subprotocols),
        **headers,
    }
    lines = [f"GET {address.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if any("\r" in line or "\n" in line or not line.isascii() for line in lines):
        raise InvalidInput("Headers and tickets are plain ASCII on one line.", code="invalid_header")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def read_response(received: bytearray) -> HandshakeResponse | None:
    """Remove the head of the response from `received`, and return it; None when it is not whole yet.

    Raises:
        InvalidHandshake: It is not HTTP/1.x, or longer than `HEAD_BYTES`.
    """
    end = received.find(b"\r\n\r\n")
    if (len(received) if end < 0 else end) > HEAD_BYTES:
        raise InvalidHandshake("the answer's head is too long")
    if end < 0:
        return None
    start, *lines = received[:end].decode("latin-1").split("\r\n")
    del received[: end + 4]
    version, _, status = start.partition(" ")
    if not version.startswith("HTTP/1.") or not status[:3].isdecimal() or status[3:4] not in ("", " "):
        raise InvalidHandshake("the answer is not HTTP/1.1")
    pairs = (line.partition(":") for line in lines)
    return HandshakeResponse(int(status[:3]), {name.lower(): value.strip() for name, _, value in pairs})


def check_response(response: HandshakeResponse, key: str) -> None:
    """Check that a 101 accepts the request with this `key` (RFC 6455 4.1).

    Raises:
        InvalidHandshake: It does not, or it chose a subprotocol or an extension that was not offered.
    """
    headers = response.headers
    tokens = {token.strip() for token in headers.get("connection", "").lower().split(",")}
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise InvalidHandshake("the server did not switch to the WebSocket protocol")
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    if headers.get("sec-websocket-accept") != base64.b64encode(digest).decode():
        raise InvalidHandshake("the server's answer is not to this request")
    if headers.get("sec-websocket-protocol", SUBPROTOCOL) != SUBPROTOCOL or "sec-websocket-extensions" in headers:
        raise InvalidHandshake("the server chose what was not offered")


class _Refusal(msgspec.Struct):
    error: str = ""
    code: str = ""


def read_refusal(response: HandshakeResponse, body: bytes) -> tuple[str, str]:
    """The stable code and the sentence of a refusal. Without them in the body, the status stands in."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except ValueError:
        refusal = _Refusal()
    return refusal.code or f"http_{response.status}", refusal.error or f"The server answered {response.status}."
