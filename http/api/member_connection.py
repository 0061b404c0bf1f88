"""The web's own connection to the gateway, as one member of one room: a WebSocket behind each event stream (SPEC 5.1).

Pings are answered here. Nothing is buffered but one read and one incomplete message: who does not ask for more makes
the gateway wait, whose queue for each member is bounded. Overload: what the gateway does not take within
`UNSENT_BYTES` ends the connection. Gateway down or slow: `Unavailable`, within `OPEN_S`. Crash and shutdown: `abort`
drops the connection, which the room takes as a broken one.
"""

import asyncio
import re
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from omnisonic.errors import Unavailable
from omnisonic.http.api.gateway import host_header, local_url
from omnisonic.http.core.errors import Refusal
from omnisonic.settings.settings import Settings
from omnisonic.wire.client_frames import ServerSplitter, masked_frame
from omnisonic.wire.client_handshake import (
    BODY_BYTES,
    SWITCHING,
    HandshakeResponse,
    InvalidHandshake,
    check_response,
    generate_key,
    parse_url,
    read_refusal,
    read_response,
    upgrade_request,
)
from omnisonic.wire.frames import PING, PONG, Frame
from omnisonic.wire.handshake import SUBPROTOCOL, TICKET_PREFIX

RETRY_S: Final = 2.0
"""When to try again while the gateway does not answer."""
OPEN_S: Final = 4.0
"""How long connecting and the handshake may take. The gateway lets nobody wait for longer than 2 s."""
READ_BYTES: Final = 65_536
UNSENT_BYTES: Final = 1_048_576
"""What may wait to be sent to the gateway, which always reads."""
REFUSALS: Final = frozenset({400, 401, 403})
"""Statuses by which the gateway says that this member may not enter. All others are for operators."""
_TICKET: Final = re.compile(r"[A-Za-z0-9_.-]{1,8192}")


class MemberConnection:
    """An open WebSocket to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._splitter = ServerSplitter()
        self._early = b""

    async def upgrade(self, request: bytes, key: str) -> None:
        """Send the request for a WebSocket, and wait until it is open.

        Raises `Refusal`, `Unavailable`, `OSError`, `InvalidHandshake`.
        """
        self._writer.write(request)
        received = bytearray()
        while (answer := read_response(received)) is None:
            received += await self._read()
        if answer.status != SWITCHING:
            raise await self._refusal(answer, received)
        check_response(answer, key)
        self._early = bytes(received)

    async def _refusal(self, answer: HandshakeResponse, body: bytearray) -> Refusal | Unavailable:
        length = answer.headers.get("content-length", "")
        wanted = min(int(length), BODY_BYTES) if length.isdecimal() else 0
        while len(body) < wanted:
            body += await self._read()
        code, sentence = read_refusal(answer, bytes(body))
        if answer.status in REFUSALS:
            return Refusal(answer.status, code, sentence)
        return _unavailable()

    async def _read(self) -> bytes:
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise ConnectionResetError
        return data

    async def receive(self) -> list[Frame]:
        """Wait for messages, or the close. Nothing when the connection has ended. Being cancelled loses nothing."""
        while True:
            data, self._early = self._early, b""
            try:
                data = data or await self._reader.read(READ_BYTES)
            except OSError:
                data = b""
            if not data:
                return []
            frames = self._splitter.feed(data)
            if self._splitter.violation is not None:
                self.abort()
            self.send((PONG, payload) for opcode, payload in frames if opcode == PING)
            if frames := [frame for frame in frames if frame[0] not in (PING, PONG)]:
                return frames

    def send(self, frames: Iterable[Frame]) -> None:
        """Send these frames. What is sent on a connection that has ended is lost."""
        if self._writer.transport.is_closing():
            return
        self._writer.writelines([masked_frame(opcode, payload) for opcode, payload in frames])
        if self._writer.transport.get_write_buffer_size() > UNSENT_BYTES:
            self.abort()

    def abort(self) -> None:
        """Drop the connection. Whoever receives gets nothing more."""
        with suppress(RuntimeError):  # the loop is closed
            self._writer.transport.abort()


@dataclass(frozen=True, slots=True)
class GatewayEntrance:
    """Where the web itself reaches the gateway. `headers` are those of each request for a WebSocket."""

    url: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, gateway_port: int) -> Self:
        """As for readiness (`omnisonic.http.api.gateway`): the gateway's own address, or else its public one."""
        is_named = bool({"gateway_host", "gateway_port"} & settings.model_fields_set)
        if settings.gateway_public_url is not None and not is_named:
            return cls(settings.gateway_public_url, {})
        url = local_url(settings.gateway_host, gateway_port)
        return cls(f"ws{url.removeprefix('http')}", host_header(settings))

    async def enter(self, query: Mapping[str, str], ticket: str | None) -> MemberConnection:
        """Connect as the member in `query`.

        Raises:
            Refusal: The gateway does not let them in: its status, code and sentence.
            Unavailable: It does not answer, or lets nobody in now.
        """
        if ticket is not None and _TICKET.fullmatch(ticket) is None:
            raise Refusal(403, "invalid_ticket", "This ticket is not one of this studio's.")
        address, key = parse_url(self.url, query), generate_key()
        offers = [SUBPROTOCOL] if ticket is None else [SUBPROTOCOL, TICKET_PREFIX + ticket]
        request = upgrade_request(address, key, offers, self.headers)
        tls = ssl.create_default_context() if address.secure else None
        try:
            async with asyncio.timeout(OPEN_S):
                streams = await asyncio.open_connection(address.host, address.port, ssl=tls, limit=READ_BYTES)
                connection = MemberConnection(*streams)
                try:
                    await connection.upgrade(request, key)
                except BaseException:
                    connection.abort()
                    raise
        except (OSError, InvalidHandshake):  # and what has timed out
            raise _unavailable() from None
        return connection


def _unavailable() -> Unavailable:
    return Unavailable("The rooms cannot be reached now. Try again in a moment.", retry_after_s=RETRY_S)
