"""The opening handshake, sans-IO (RFC 6455 4.2, RFC 9112, SPEC 5.1).

A request head either is exactly what it must be, or is refused: nothing is guessed, no body is read, and a connection
carries one request only. `Entrance` is what the query, or a ticket, says about who wants to enter where.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from omnisonic.errors import InvalidInput, OmnisonicError
from omnisonic.models import Member, RoomId, checked_display_name, checked_member_id, checked_room_id, checked_status
from omnisonic.wire.closing import CloseCode, Closing

HEAD_BYTES: Final = 16_384
"""A longer request head is refused with 431."""
QUERY_FIELDS: Final = 32
SUBPROTOCOL: Final = "omnisonic"
TICKET_PREFIX: Final = "ticket."
"""A ticket may be offered as a subprotocol, with this in front: there it stands in no log of addresses."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_REQUEST_LINE: Final = re.compile(r"([A-Z]{1,20}) ([\x21-\x7e]{1,8192}) HTTP/(1\.[01])")
_HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\x20-\x7e\x80-\xff\t]*)")
_GIVEN_ONCE: Final = frozenset({"roomId", "memberId", "displayName", "status", "ticket"})
_ONCE: Final = frozenset({"host", "origin", "upgrade", "sec-websocket-key", "sec-websocket-version", "content-length"})


class Refused(OmnisonicError):
    """The request is answered with an HTTP error instead of an upgrade."""

    def __init__(self, status: HTTPStatus | int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)
        self.code = code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """A request head. Header names are in lower case; a header given several times is joined by commas, cookies by
    semicolons.
    """

    version: str
    method: str
    path: str
    query: str
    headers: dict[str, str]

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers to speak, in its order of preference."""
        return [offer.strip() for offer in self.headers.get("sec-websocket-protocol", "").split(",") if offer.strip()]


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who wants to enter which room."""

    room_id: RoomId
    member: Member


def end_of_head(received: bytearray, new: int) -> int | None:
    """Where the request head ends in `received`, of which `new` bytes are new; None when it is not whole yet.

    Errors: `Refused` (431) when it is longer than `HEAD_BYTES`.
    """
    end = received.find(b"\r\n\r\n", max(0, len(received) - new - 3))
    if (len(received) if end < 0 else end) > HEAD_BYTES:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "The request head is too long.")
    return end + 4 if end >= 0 else None


def check_early(received: bytearray) -> None:
    """See that a client that is kept waiting does not send too much. Errors: `Refused` (431)."""
    if len(received) > HEAD_BYTES:
        raise Refused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "Wait for the answer before you send more."
        )


def read_request(head: bytes) -> Request:
    """The request in `head`, which ends with its empty line. Errors: `Refused` (400)."""
    lines = head[:-4].decode("latin-1").split("\r\n")
    start = _REQUEST_LINE.fullmatch(lines[0])
    if start is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "This is not an HTTP/1.1 request.")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "A header of the request is malformed.")
        name, value = header[1].lower(), header[2].strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in _ONCE:
            raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", f"The header {name} is given twice.")
        else:
            headers[name] += ("; " if name == "cookie" else ", ") + value  # RFC 9110 5.2, RFC 9113 8.2.3
    if "host" not in headers:
        raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "The header Host is missing.")
    path, _, query = start[2].partition("?")
    return Request(start[3], start[1], path, query, headers)


def check_upgrade(request: Request) -> str:
    """The `Sec-WebSocket-Key` of a request that asks for a WebSocket as it must. Errors: `Refused`."""
    headers = request.headers
    if headers.get("upgrade", "").lower() != "websocket":
        raise Refused(
            HTTPStatus.UPGRADE_REQUIRED,
            "upgrade_required",
            "This is a WebSocket server: connect with ws:// and a roomId, memberId and displayName.",
            Upgrade="websocket",
        )
    if request.version != "1.1":
        raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "A WebSocket handshake is HTTP/1.1.")
    if request.method != "GET":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "Connect with GET.", Allow="GET")
    if "upgrade" not in {token.strip() for token in headers.get("connection", "").lower().split(",")}:
        raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "The header Connection must say Upgrade.")
    # Some devices send the length of the body that there is not.
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "A WebSocket handshake has no body.")
    if headers.get("sec-websocket-version") != "13":
        raise Refused(
            HTTPStatus.UPGRADE_REQUIRED,
            "unsupported_version",
            "Only version 13 of the WebSocket protocol is spoken here.",
            **{"Sec-WebSocket-Version": "13"},
        )
    key = headers.get("sec-websocket-key", "")
    try:
        well_formed = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        well_formed = False
    if not well_formed:
        raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "The header Sec-WebSocket-Key is not 16 bytes in base64.")
    return key


def read_fields(query: str) -> dict[str, str]:
    """The fields of a query. Errors: `InvalidInput` (`invalid_query`) for too many, or one of ours given twice."""
    try:
        fields = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS)
    except UnicodeDecodeError:
        raise InvalidInput("The query must be percent-encoded UTF-8.", code="invalid_query") from None
    except ValueError:
        raise InvalidInput(f"The query may have at most {QUERY_FIELDS} fields.", code="invalid_query") from None
    values: dict[str, str] = {}
    for name, value in fields:
        if name in values and name in _GIVEN_ONCE:
            raise InvalidInput(f"{name} must be given once.", code="invalid_query")
        values[name] = value
    return values


def tickets_in(request: Request, fields: Mapping[str, str]) -> set[str]:
    """Every ticket that a request shows, in its subprotocols and in the fields of its query."""
    offered = {offer.removeprefix(TICKET_PREFIX) for offer in request.subprotocols if offer.startswith(TICKET_PREFIX)}
    return {ticket for ticket in offered | {fields.get("ticket", "")} if ticket}


def read_entrance(values: Mapping[str, str]) -> Entrance:
    """Who wants to enter where, as these fields say. Those that are not known are ignored.

    Errors: `InvalidInput` whose code names what is missing or not allowed.
    """
    missing = [name for name in ("roomId", "memberId", "displayName") if name not in values]
    if missing:
        raise InvalidInput(f"{' and '.join(missing)} must be given in the query.", code="invalid_query")
    return Entrance(
        checked_room_id(values["roomId"]),
        Member(
            checked_member_id(values["memberId"]),
            checked_display_name(values["displayName"]),
            checked_status(values.get("status", "active")),
        ),
    )


def upgrade_answer(key: str, subprotocols: list[str]) -> bytes:
    """The 101 that opens the WebSocket; `omnisonic` is spoken when it was offered."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    spoken = b"Sec-WebSocket-Protocol: omnisonic\r\n" if SUBPROTOCOL in subprotocols else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n"
        + spoken
        + b"\r\n"
    )


def http_answer(status: HTTPStatus, body: object, **headers: str) -> bytes:
    """A whole HTTP answer with a JSON body, after which the connection is closed."""
    content = msgspec.json.encode(body)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def refusal_answer(refused: Refused) -> bytes:
    """The HTTP answer to a refused request, in the shape of SPEC 3's errors."""
    return http_answer(refused.status, {"error": refused.message, "code": refused.code}, **refused.headers)


def closing_answer(closing: Closing) -> bytes:
    """The HTTP answer to a client that has to be closed before its WebSocket is open."""
    if closing.code is CloseCode.INTERNAL_ERROR:
        return refusal_answer(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The connection failed here."))
    refused = Refused(
        HTTPStatus.SERVICE_UNAVAILABLE, closing.word, "This server does not let anybody in now.", Retry_After="5"
    )
    return refusal_answer(refused)
