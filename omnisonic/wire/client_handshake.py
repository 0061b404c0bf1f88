"""The opening handshake as a client does it, sans-IO (RFC 6455 4.1, RFC 9112, SPEC 5.1)."""

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
"""This much of an answer's body is read: it says in a sentence why the server refused."""
SWITCHING: Final = 101

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_PORTS: Final = {"ws": 80, "wss": 443}


class NoHandshake(Exception):
    """What came is not the answer of a WebSocket server."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and what to ask it for."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of `Host`."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS["wss" if self.secure else "ws"] else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's head. Header names are in lower case."""

    status: int
    headers: dict[str, str]


def read_url(url: str, fields: Mapping[str, str]) -> Address:
    """The address in a `ws://` or `wss://` URL, `fields` put into its query.

    Errors: `InvalidInput` (`invalid_url`) when it is none.
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


def new_key() -> str:
    """A `Sec-WebSocket-Key` that was never used before."""
    return base64.b64encode(os.urandom(16)).decode()


def upgrade_request(address: Address, key: str, subprotocols: Sequence[str], headers: Mapping[str, str]) -> bytes:
    """The request that asks for a WebSocket. Errors: `InvalidInput` (`invalid_header`)."""
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


def read_answer(received: bytearray) -> Answer | None:
    """Take the answer's head off what was received; None when it is not whole yet. Errors: `NoHandshake`."""
    end = received.find(b"\r\n\r\n")
    if (len(received) if end < 0 else end) > HEAD_BYTES:
        raise NoHandshake("the answer's head is too long")
    if end < 0:
        return None
    start, *lines = received[:end].decode("latin-1").split("\r\n")
    del received[: end + 4]
    version, _, status = start.partition(" ")
    if not version.startswith("HTTP/1.") or not status[:3].isdecimal() or status[3:4] not in ("", " "):
        raise NoHandshake("the answer is not HTTP/1.1")
    pairs = (line.partition(":") for line in lines)
    return Answer(int(status[:3]), {name.lower(): value.strip() for name, _, value in pairs})


def check_answer(answer: Answer, key: str) -> None:
    """See that a 101 opens the WebSocket that was asked for (RFC 6455 4.1). Errors: `NoHandshake`."""
    headers = answer.headers
    tokens = {token.strip() for token in headers.get("connection", "").lower().split(",")}
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise NoHandshake("the server did not switch to the WebSocket protocol")
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    if headers.get("sec-websocket-accept") != base64.b64encode(digest).decode():
        raise NoHandshake("the server's answer is not to this request")
    if headers.get("sec-websocket-protocol", SUBPROTOCOL) != SUBPROTOCOL or "sec-websocket-extensions" in headers:
        raise NoHandshake("the server chose what was not offered")


class _Refusal(msgspec.Struct):
    error: str = ""
    code: str = ""


def read_refusal(answer: Answer, body: bytes) -> tuple[str, str]:
    """The stable code and the sentence in a refusing answer; made up when the server says none."""
    try:
        told = msgspec.json.decode(body, type=_Refusal)
    except ValueError:
        told = _Refusal()
    return told.code or f"http_{answer.status}", told.error or f"The server answered {answer.status}."
