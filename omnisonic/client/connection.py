"""One connection of the client to a gateway: the request to join, the handshake, messages and frames.

It makes no decisions; `omnisonic.client.reconnector` does.

Overload: a frame that the server does not accept within `SEND_S` breaks the connection. Crash and shutdown: `aclose`
closes the socket at once. The close frame, where one is needed, is sent before by the caller.
"""

import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from omnisonic.client.backend import Backend, ConnectionBroken, Stream
from omnisonic.client.errors import EntryRefused
from omnisonic.client.reconnect_policy import Disconnect
from omnisonic.errors import InvalidInput
from omnisonic.models import Status
from omnisonic.wire.client_frames import ServerSplitter, masked_frame
from omnisonic.wire.client_handshake import (
    BODY_BYTES,
    SWITCHING,
    Address,
    HandshakeResponse,
    InvalidHandshake,
    check_response,
    generate_key,
    parse_url,
    read_refusal,
    read_response,
    upgrade_request,
)
from omnisonic.wire.frames import Frame
from omnisonic.wire.handshake import SUBPROTOCOL, TICKET_PREFIX
from omnisonic.wire.json_limits import DEPTH, nesting_depth
from omnisonic.wire.messages import MESSAGE_BYTES, TYPE_LENGTH, too_large
from omnisonic.wire.recovery import Position

TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses after which another attempt may succeed."""

Ticket: TypeAlias = str | Callable[[], Awaitable[str]]


class OutgoingMessage(msgspec.Struct, omit_defaults=True):
    """A message as the client sends it. With an `id` the room answers it by an `ack`; with `keep`, once it is kept."""

    type: str
    payload: Any = None
    to: str | None = None
    id: str | None = None
    keep: bool = False


def encode_message(message: OutgoingMessage) -> bytes:
    """The message as JSON. Raises `InvalidInput` for what no room would take."""
    if not isinstance(message.type, str) or not 0 < len(message.type) <= TYPE_LENGTH:
        raise InvalidInput(f"type must have 1 to {TYPE_LENGTH} characters.", code="invalid_message")
    if message.to is not None and not isinstance(message.to, str):
        raise InvalidInput("to must be a string, or None.", code="invalid_message")
    if not isinstance(message.keep, bool):
        raise InvalidInput("keep must be True or False.", code="invalid_message")
    try:
        data = msgspec.json.encode(message)
    except (TypeError, ValueError, RecursionError) as wrong:
        raise InvalidInput(f"The payload is not JSON: {wrong}.", code="invalid_message") from wrong
    if len(data) > MESSAGE_BYTES:
        raise too_large(len(data))
    if nesting_depth(data) > DEPTH:
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep")
    return data


class Connection:
    """An open WebSocket. A frame is sent whole, even when its sender is cancelled."""

    def __init__(self, backend: Backend, stream: Stream, early: bytes) -> None:
        self.splitter = ServerSplitter()
        self.has_received = True
        """Whether anything arrived since this was last set to False."""
        self.disconnect: Disconnect | None = None
        """How the connection ended, once it has."""
        self._stream = stream
        self._early = early
        self._lock = backend.new_lock()
        self._is_broken = False

    async def receive(self) -> tuple[list[Frame], int] | None:
        """Read once. Returns the frames and the number of bytes read; None when the connection has ended."""
        data = self._early
        if data:
            self._early = b""
        else:
            data = await self._stream.receive()
        if not data:
            return None
        self.has_received = True
        return self.splitter.feed(data), len(data)

    async def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame. Raises `ConnectionBroken`."""
        frame = masked_frame(opcode, payload)
        async with self._lock:
            if self._is_broken:
                raise ConnectionBroken
            try:
                await self._stream.send(frame)
            except ConnectionBroken:
                await self.aclose()  # so that the reader notices, too
                raise

    async def aclose(self) -> None:
        """Close the socket at once."""
        self._is_broken = True
        await self._stream.aclose()


@dataclass
class JoinRequest:
    """Which room to join, and as whom (SPEC 5.1). The same for all reconnections of one membership.

    Without a ticket, a missing `member_id` is generated, and a missing `name` is the `member_id`.
    """

    url: str
    room: str | None = None
    member_id: str | None = None
    name: str | None = None
    status: Status = "active"
    ticket: Ticket | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ssl_context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.ticket is None and "memberId=" not in self.url:
            self.member_id = self.member_id or secrets.token_hex(8)
        if self.ticket is None and "displayName=" not in self.url:
            self.name = self.name or self.member_id
        parse_url(self.url, {})  # so that a bad URL raises at once

    async def connect(self, backend: Backend, since: Position | None = None) -> Connection:
        """Connect and open the WebSocket. Raises `EntryRefused`, and what the ticket function raises.

        Args:
            backend: The async library.
            since: What has been received before; None on the first connection.
        """
        ticket = self.ticket if isinstance(self.ticket, str | None) else await self.ticket()
        fields = {"roomId": self.room, "memberId": self.member_id, "displayName": self.name, "status": self.status}
        fields["since"] = None if since is None else str(since)
        address = parse_url(self.url, {name: value for name, value in fields.items() if value is not None})
        offers = [SUBPROTOCOL] if ticket is None else [SUBPROTOCOL, TICKET_PREFIX + ticket]
        return await open_connection(backend, address, offers, self.headers, self.ssl_context)


async def open_connection(
    backend: Backend,
    address: Address,
    subprotocols: Sequence[str],
    headers: Mapping[str, str],
    context: ssl.SSLContext | None,
) -> Connection:
    """Connect and open the WebSocket. Raises `EntryRefused`."""
    if address.secure:
        context = context or ssl.create_default_context()
    try:
        stream = await backend.open_stream(address.host, address.port, context if address.secure else None)
    except OSError as problem:
        raise _unreachable(address, str(problem)) from problem
    key = generate_key()
    try:
        await stream.send(upgrade_request(address, key, subprotocols, headers))
        answer, rest = await _receive_answer(stream)
        await _check_upgraded(stream, answer, rest, key)
    except InvalidHandshake as problem:
        await stream.aclose()
        raise EntryRefused("no_websocket", f"No WebSocket server answers there: {problem}.") from problem
    except ConnectionBroken as problem:
        await stream.aclose()
        raise _unreachable(address, "the connection broke during the handshake") from problem
    except BaseException:
        await stream.aclose()
        raise
    return Connection(backend, stream, rest)


async def _receive_answer(stream: Stream) -> tuple[HandshakeResponse, bytes]:
    """Receive the HTTP answer to the upgrade. Returns it, and the bytes that came after its head."""
    received = bytearray()
    while (answer := read_response(received)) is None:
        data = await stream.receive()
        if not data:
            raise ConnectionBroken
        received += data
    return answer, bytes(received)


async def _check_upgraded(stream: Stream, answer: HandshakeResponse, body: bytes, key: str) -> None:
    """Check that the server opened the WebSocket. Raises `EntryRefused` with the server's code and sentence if not."""
    if answer.status == SWITCHING:
        check_response(answer, key)
        return
    length = answer.headers.get("content-length", "")
    wanted = min(int(length), BODY_BYTES) if length.isdecimal() else BODY_BYTES
    while len(body) < wanted:
        data = await stream.receive()
        if not data:
            break
        body += data
    code, message = read_refusal(answer, body)
    after = answer.headers.get("retry-after", "")
    retry_after_s = (float(after) if after.isdecimal() else 0.0) if answer.status in TEMPORARY else None
    raise EntryRefused(code, message, status=answer.status, retry_after_s=retry_after_s)


def _unreachable(address: Address, problem: str) -> EntryRefused:
    return EntryRefused("unreachable", f"{address.authority} cannot be reached: {problem}.", retry_after_s=0.0)
