"""The client of `/inspect`: asks a gateway questions, and reads its answers (docs/inspecting.md).

On trio, with one connection for each gateway. Connections and answers have timeouts.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream

from omnisonic.errors import OmnisonicError
from omnisonic.wire.inspection import Answer, Done, End, Failed, Question, Rooms, encode, read_answer

CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
"""A blocked gateway says so within a second; the rest is for the network."""
CLOSE_S: Final = 0.5
ANSWER_BYTES: Final = 16 * 1024 * 1024

T = TypeVar("T")

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]
"""A connection to a gateway."""


class NotInspected(OmnisonicError):
    """A gateway could not be asked, or did not do what it was asked for."""

    code = "not_inspected"


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where a gateway is, and the operator's token for it."""

    url: str
    token: str = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the gateway in the output."""
        return urlsplit(self.url).netloc


class Talk:
    """A connection to one gateway."""

    def __init__(self, websocket: WebSocketConnection, place: GatewayAddress) -> None:
        self._websocket = websocket
        self.place = place

    async def once(self, question: Question) -> list[Answer]:
        """Ask one question. Returns all answers. Raises `NotInspected`, also when the gateway refuses."""
        answers: list[Answer] = []
        async for answer in self.stream(question):
            if isinstance(answer, Failed):
                raise NotInspected(answer.message)
            answers.append(answer)
            if not (isinstance(answer, Rooms) and answer.more):
                break
        return answers

    async def stream(self, question: Question, *, wait_s: float = ANSWER_S) -> AsyncIterator[Answer]:
        """The answers as they come, up to `End`. Raises `NotInspected`, also after `wait_s` without one."""
        try:
            await self._websocket.send_message(encode(question))
            while True:
                with trio.fail_after(wait_s):
                    answer = read_answer(await self._websocket.get_message())
                if isinstance(answer, Done) and answer.id != question.id:
                    continue
                yield answer
                if isinstance(answer, End):
                    return
        except trio.TooSlowError:
            raise NotInspected(f"The gateway at {self.place.name} does not answer any more.") from None
        except ConnectionClosed:
            raise NotInspected(f"The gateway at {self.place.name} has closed the connection.") from None
        except msgspec.DecodeError:
            raise NotInspected(f"The gateway at {self.place.name} is of another version than this command.") from None


async def inspect(place: GatewayAddress, talk: Callable[[Talk], Awaitable[T]]) -> T:
    """Connect to a gateway, and return the result of `talk`. Raises `NotInspected`, and what `talk` raises."""
    results: list[T] = []
    problem: Exception | None = None
    stream = await _open_stream(place)
    try:
        async with stream, trio.open_nursery() as nursery:
            try:
                websocket = await _open_websocket(nursery, stream, place)
                results.append(await talk(Talk(websocket, place)))
                with trio.move_on_after(CLOSE_S):
                    await websocket.aclose()
            except Exception as error:  # noqa: BLE001 - raised below, outside the nursery, which would wrap it
                problem = error
            nursery.cancel_scope.cancel()
    except ExceptionGroup as group:  # trio-websocket's reader says in this way that the handshake was refused
        rejected = group.subgroup(ConnectionRejected)
        if rejected is None:
            raise
        problem = NotInspected(_refusal(place, rejected))
    if problem is not None:
        raise problem
    return results[0]


async def _open_stream(place: GatewayAddress) -> Stream:
    """Connect to the gateway. Raises `NotInspected`."""
    parts = urlsplit(place.url)
    is_secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if is_secure else 80)
    try:
        with trio.fail_after(CONNECT_S):
            if is_secure:
                return await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True)
            return await trio.open_tcp_stream(host, port)
    except (OSError, ValueError, trio.TooSlowError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem) or "no connection in time"
        raise NotInspected(
            f"Nothing answers at {place.url} ({reason.rstrip('.')}): start `omnisonic serve`, or give the gateway's"
            " URL with --gateway."
        ) from None


async def _open_websocket(nursery: trio.Nursery, stream: Stream, place: GatewayAddress) -> WebSocketConnection:
    """Open the WebSocket. Raises `NotInspected`."""
    headers = [(b"Authorization", f"Bearer {place.token}".encode())]
    path = f"{urlsplit(place.url).path}/inspect"
    try:
        with trio.fail_after(CONNECT_S):
            return await wrap_client_stream(
                nursery, stream, place.name, path, extra_headers=headers, max_message_size=ANSWER_BYTES
            )
    except trio.TooSlowError:
        raise NotInspected(
            f"The gateway at {place.name} does not answer: it is too busy, and its log says why (room.stalls)."
        ) from None
    except (HandshakeError, OSError, trio.BrokenResourceError):
        raise NotInspected(f"What answers at {place.name} is no gateway of this version.") from None


class _Refusal(msgspec.Struct):
    error: str = ""


def _refusal(place: GatewayAddress, rejected: BaseException) -> str:
    while isinstance(rejected, BaseExceptionGroup):
        rejected = rejected.exceptions[0]
    assert isinstance(rejected, ConnectionRejected)
    try:
        sentence = msgspec.json.decode(rejected.body or b"{}", type=_Refusal).error
    except (msgspec.DecodeError, UnicodeError):
        sentence = ""
    reason = "".join(letter for letter in sentence if letter.isprintable())
    return f"The gateway at {place.name} refused ({rejected.status_code}): {reason or 'it does not say why.'}"
