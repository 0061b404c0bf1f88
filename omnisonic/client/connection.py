"""A link: one connection to a gateway, from its first byte to its last. It judges nothing; the keeper does.

Overload: a frame that the server does not take within `SEND_S` breaks the link. Crash, shutdown: `aclose` lets go of
the socket at once; a close frame, if one is wanted, has been sent before.
"""

import ssl
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import trio

from omnisonic.client.errors import EntryRefused
from omnisonic.client.reconnect_policy import Ending
from omnisonic.wire.client_frames import ServerSplitter, masked_frame
from omnisonic.wire.client_handshake import (
    BODY_BYTES,
    SWITCHING,
    Address,
    HandshakeResponse,
    InvalidHandshake,
    check_response,
    generate_key,
    read_refusal,
    read_response,
    upgrade_request,
)
from omnisonic.wire.frames import Frame

READ_BYTES: Final = 262_144
SEND_S: Final = 10.0
TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
"""HTTP answers that may be others a little later."""

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class ConnectionBroken(Exception):
    """The connection is gone, or does not take anything: what was being sent did not arrive whole."""


class Connection:
    """An open WebSocket. Frames go out whole, whoever is cancelled meanwhile."""

    def __init__(self, stream: Stream, early: bytes) -> None:
        self.splitter = ServerSplitter()
        self.has_heard = True
        """Whether anything came since this was last set to False."""
        self.ending: Ending | None = None
        """How the server has ended it, once it has."""
        self._stream = stream
        self._early = early
        self._lock = trio.Lock()
        self._is_broken = False

    async def receive(self) -> tuple[list[Frame], int] | None:
        """What one read brought, and how many bytes it was; None when the connection has ended."""
        data = self._early
        if data:
            self._early = b""
        else:
            try:
                data = bytes(await self._stream.receive_some(READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
        if not data:
            return None
        self.has_heard = True
        return self.splitter.feed(data), len(data)

    async def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame. Errors: `LinkBroken`."""
        frame = masked_frame(opcode, payload)
        await trio.lowlevel.checkpoint_if_cancelled()
        async with self._lock:
            if self._is_broken:
                raise ConnectionBroken
            # A frame that is cut off would break the connection for everybody.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + SEND_S):
                try:
                    await self._stream.send_all(frame)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                else:
                    return
            await self.aclose()  # so that whoever reads sees it, too
            raise ConnectionBroken

    async def aclose(self) -> None:
        """Let go of the socket."""
        self._is_broken = True
        await trio.aclose_forcefully(self._stream)


async def open_connection(
    address: Address, subprotocols: Sequence[str], headers: Mapping[str, str], context: ssl.SSLContext | None
) -> Connection:
    """Connect and open the WebSocket. Errors: `EntryRefused`."""
    try:
        stream = await _connect(address, context)
    except (OSError, ssl.SSLError) as problem:
        raise _unreachable(address, str(problem)) from problem
    key = generate_key()
    try:
        await stream.send_all(upgrade_request(address, key, subprotocols, headers))
        answer, rest = await _answer(stream)
        await _check(stream, answer, rest, key)
    except InvalidHandshake as problem:
        await trio.aclose_forcefully(stream)
        raise EntryRefused("no_websocket", f"No WebSocket server answers there: {problem}.") from problem
    except (trio.BrokenResourceError, ssl.SSLError) as problem:
        await trio.aclose_forcefully(stream)
        raise _unreachable(address, "the connection broke during the handshake") from problem
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return Connection(stream, rest)


async def _connect(address: Address, context: ssl.SSLContext | None) -> Stream:
    if not address.secure:
        return await trio.open_tcp_stream(address.host, address.port)
    stream = await trio.open_ssl_over_tcp_stream(
        address.host, address.port, https_compatible=True, ssl_context=context or ssl.create_default_context()
    )
    try:
        await stream.do_handshake()
    except BaseException as problem:
        await trio.aclose_forcefully(stream)
        if isinstance(problem, trio.BrokenResourceError):
            raise ssl.SSLError(str(problem.__cause__ or problem)) from problem
        raise
    return stream


async def _answer(stream: Stream) -> tuple[HandshakeResponse, bytes]:
    received = bytearray()
    while (answer := read_response(received)) is None:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            raise trio.BrokenResourceError
        received += data
    return answer, bytes(received)


async def _check(stream: Stream, answer: HandshakeResponse, body: bytes, key: str) -> None:
    """See that the answer opens the WebSocket. Errors: `EntryRefused` with what a server says that does not."""
    if answer.status == SWITCHING:
        check_response(answer, key)
        return
    length = answer.headers.get("content-length", "")
    wanted = min(int(length), BODY_BYTES) if length.isdecimal() else BODY_BYTES
    while len(body) < wanted:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            break
        body += data
    code, message = read_refusal(answer, body)
    after = answer.headers.get("retry-after", "")
    retry_after_s = (float(after) if after.isdecimal() else 0.0) if answer.status in TEMPORARY else None
    raise EntryRefused(code, message, status=answer.status, retry_after_s=retry_after_s)


def _unreachable(address: Address, problem: str) -> EntryRefused:
    return EntryRefused("unreachable", f"{address.authority} cannot be reached: {problem}.", retry_after_s=0.0)
