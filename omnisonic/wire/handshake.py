"""The opening handshake of the server (RFC 6455 4.2, RFC 9112, SPEC 5.1). Sans-IO.

A request head is valid, or it is refused: nothing is guessed, because a proxy might guess differently. No body is read,
and a connection carries one request only. Each refusal is a `Refused`, which `refusal_response` turns into HTTP.

Overload: a head over `HEAD_BYTES` gets 431. All checks take linear time.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from omnisonic.errors import InvalidInput, OmnisonicError
from omnisonic.models import Member, RoomId
from omnisonic.models.checks import checked_display_name, checked_member_id, checked_room_id, checked_status
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.recovery import Position, parse_position
from omnisonic.wire.transport import Tempo

HEAD_BYTES: Final = 16_384
"""A longer request head is refused with 431."""
QUERY_FIELDS: Final = 32
"""A query with more fields is refused."""
SUBPROTOCOL: Final = "omnisonic"
TICKET_PREFIX: Final = "ticket."
"""A ticket may be offered as a subprotocol with this prefix. Subprotocols do not show up in access logs."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_REQUEST_LINE: Final = re.compile(r"([A-Z]{1,20}) ([\x21-\x7e]{1,8192}) HTTP/(1\.[01])")
_HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\x20-\x7e\x80-\xff\t]*)")
_SINGLE_FIELDS: Final = frozenset({"roomId", "memberId", "displayName", "status", "since", "ticket"})
_SINGLE_HEADERS: Final = frozenset(
    {"host", "origin", "upgrade", "sec-websocket-key", "sec-websocket-version", "content-length"}
)


class Refused(OmnisonicError):
    """The request is answered with an HTTP error instead of the upgrade.

    Args:
        status: The HTTP status.
        code: Stable code for programs.
        message: Sentence for people.
        headers: Headers of the response, with `_` for `-`.
    """

    def __init__(self, status: HTTPStatus | int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)
        self.code = code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """A request head. Header names are in lower case. A repeated header is joined by commas, `cookie` by semicolons.

    `head` is what it was read from.
    """

    version: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    head: bytes = field(default=b"", repr=False, compare=False)

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, in its order of preference."""
        return [offer.strip() for offer in self.headers.get("sec-websocket-protocol", "").split(",") if offer.strip()]


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who wants to enter which room. `since`: what they have seen of it; `tempo`: that of the room's session.

    `is_listener`: as a listener, who changes nothing there.
    """

    room_id: RoomId
    member: Member
    since: Position | None = None
    tempo: Tempo | None = None
    is_listener: bool = False


def find_head_end(received: bytearray, new: int) -> int | None:
    """Find the end of the request head in `received`. Only the last `new` bytes are searched.

    Returns:
        The length of the head with its empty line; None when it is not whole yet.

    Raises:
        Refused: 431: it is longer than `HEAD_BYTES`.
    """
    end = received.find(b"\r\n\r\n", max(0, len(received) - new - 3))
    if (len(received) if end < 0 else end) > HEAD_BYTES:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "The request head is too long.")
    return end + 4 if end >= 0 else None


def check_early_bytes(received: bytearray) -> None:
    """Check how much a client has sent before it got the answer to its request.

    Raises:
        Refused: 431: over `HEAD_BYTES`.
    """
    if len(received) > HEAD_BYTES:
        raise Refused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "Wait for the answer before you send more."
        )


def read_request(head: bytes) -> Request:
    """Parse a request head, its empty line included (RFC 9112 2 to 5).

    Raises:
        Refused: 400: it is malformed, a header that decides something is repeated, or `Host` is missing.
    """
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
        elif name in _SINGLE_HEADERS:
            raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", f"The header {name} is given twice.")
        else:
            headers[name] += ("; " if name == "cookie" else ", ") + value  # RFC 9110 5.2, RFC 9113 8.2.3
    if "host" not in headers:
        raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "The header Host is missing.")
    path, _, query = start[2].partition("?")
    return Request(start[3], start[1], path, query, headers, head)


def check_upgrade(request: Request) -> str:
    """Check that a request asks for a WebSocket as RFC 6455 4.2.1 says.

    Returns:
        Its `Sec-WebSocket-Key`.

    Raises:
        Refused: 426 without `Upgrade: websocket` or with another version; 405 for another method; otherwise 400.
    """
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
    # Some devices send `Content-Length: 0`.
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
    """Parse a query into its fields. Of a repeated field that is not ours, the last one counts.

    Raises:
        InvalidInput: `invalid_query`: not UTF-8, more than `QUERY_FIELDS`, or one of ours is repeated.
    """
    try:
        fields = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS)
    except UnicodeDecodeError:
        raise InvalidInput("The query must be percent-encoded UTF-8.", code="invalid_query") from None
    except ValueError:
        raise InvalidInput(f"The query may have at most {QUERY_FIELDS} fields.", code="invalid_query") from None
    values: dict[str, str] = {}
    for name, value in fields:
        if name in values and name in _SINGLE_FIELDS:
            raise InvalidInput(f"{name} must be given once.", code="invalid_query")
        values[name] = value
    return values


def find_tickets(request: Request, fields: Mapping[str, str]) -> set[str]:
    """Find every ticket of a request, in its subprotocols and in the fields of its query."""
    offered = {offer.removeprefix(TICKET_PREFIX) for offer in request.subprotocols if offer.startswith(TICKET_PREFIX)}
    return {ticket for ticket in offered | {fields.get("ticket", "")} if ticket}


def read_entrance(values: Mapping[str, str]) -> Entrance:
    """Read who wants to enter which room from the fields of a query. Unknown fields are ignored.

    Raises:
        InvalidInput: A field is missing (`invalid_query`), or not allowed (`invalid_room_id`, `invalid_member_id`,
            `invalid_display_name`, `invalid_status`, `invalid_since`).
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
        parse_position(values["since"]) if values.get("since") else None,
    )


def upgrade_response(key: str, subprotocols: list[str]) -> bytes:
    """The 101 that opens the WebSocket (RFC 6455 4.2.2). It chooses the subprotocol `omnisonic` when offered."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    subprotocol = b"Sec-WebSocket-Protocol: omnisonic\r\n" if SUBPROTOCOL in subprotocols else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n"
        + subprotocol
        + b"\r\n"
    )


def http_response(status: HTTPStatus, body: object, **headers: str) -> bytes:
    """A whole HTTP response with a JSON body, for a connection that is closed after it. `headers` have `_` for `-`."""
    return text_response(status, "application/json", msgspec.json.encode(body), **headers)


def text_response(status: HTTPStatus, media_type: str, content: bytes, **headers: str) -> bytes:
    """As `http_response`, with this content."""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def refusal_response(refused: Refused) -> bytes:
    """The HTTP response to a refused request, in the shape of SPEC 3's errors."""
    return http_response(refused.status, {"error": refused.message, "code": refused.code}, **refused.headers)


def closing_response(closing: Closing) -> bytes:
    """The HTTP response for a connection that must be closed before its WebSocket is open: 500 or 503."""
    if closing.code is CloseCode.INTERNAL_ERROR:
        return refusal_response(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The connection failed here."))
    refused = Refused(
        HTTPStatus.SERVICE_UNAVAILABLE, closing.word, "This server does not let anybody in now.", Retry_After="5"
    )
    return refusal_response(refused)
