"""The operator's end of `/inspect`: asks gateways, and reads their answers (docs/inspecting.md).

On trio, a connection for each gateway. Nothing waits for ever: neither for a connection nor for an answer.
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
"""The gateway says within a second that it does not answer; this is for the way."""
CLOSE_S: Final = 0.5
ANSWER_BYTES: Final = 16 * 1024 * 1024

T = TypeVar("T")

Way: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]
"""What leads to a gateway."""


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
        """What to call the gateway in what is printed."""
        return urlsplit(self.url).netloc


class Talk:
    """A connection to one gateway."""

    def __init__(self, websocket: WebSocketConnection, place: GatewayAddress) -> None:
        self._websocket = websocket
        self.place = place

    async def once(self, question: Question) -> list[Answer]:
        """All that the gateway answers to it. Errors: `NotInspected`, also when it refuses."""
        answers: list[Answer] = []
        async for answer in self.stream(question):
            if isinstance(answer, Failed):
                raise NotInspected(answer.message)
            answers.append(answer)
            if not (isinstance(answer, Rooms) and answer.more):
                break
        return answers

    async def stream(self, question: Question, *, wait_s: float = ANSWER_S) -> AsyncIterator[Answer]:
        """The answers as they come, one each `wait_s` at least, up to its `end`. Errors: `NotInspected`."""
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
    """What comes of talking to the gateway there. Errors: `NotInspected`, and what `talk` raises."""
    results: list[T] = []
    problem: Exception | None = None
    stream = await _reached(place)
    try:
        async with stream, trio.open_nursery() as nursery:
            try:
                websocket = await _let_in(nursery, stream, place)
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


async def _reached(place: GatewayAddress) -> Way:
    """A stream to the gateway. Errors: `NotInspected`."""
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
            f"Nothing answers at {place.url} ({reason.rstrip('.')}): start `omnisonic serve`, or say by --gateway where"
            " it is."
        ) from None


async def _let_in(nursery: trio.Nursery, stream: Way, place: GatewayAddress) -> WebSocketConnection:
    """The gateway's WebSocket. Errors: `NotInspected`."""
    headers = [(b"Authorization", f"Bearer {place.token}".encode())]
    path = f"{urlsplit(place.url).path}/inspect"
    try:
        with trio.fail_after(CONNECT_S):
            return await wrap_client_stream(
                nursery, stream, place.name, path, extra_headers=headers, max_message_size=ANSWER_BYTES
            )
    except trio.TooSlowError:
        raise NotInspected(
            f"The gateway at {place.name} does not answer: it is too busy for it, and its log says why (room.stalls)."
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
    told = "".join(letter for letter in sentence if letter.isprintable())
    return f"The gateway at {place.name} refused ({rejected.status_code}): {told or 'it does not say why.'}"
