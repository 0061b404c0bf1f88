"""An inspection session: one inspector's questions and their answers, in the inspection thread (docs/inspecting.md).

Questions are answered in order; each stream is a task beside them. Overload: reports wait until the inspector reads;
what a tap shows is dropped and counted when it does not fit. An inspector that does not read for `WRITE_S`, or does not
answer a ping for `PONG_S`, is disconnected. Crash: ends this session. Shutdown: cancelled.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, assert_never

import msgspec
import trio
from trio_websocket import ConnectionClosed

from omnisonic.actors.inspection.inspector import SLICE, Inspector
from omnisonic.actors.inspection.tap_stream import TapStream
from omnisonic.actors.inspection.thread_call import ANSWER_S, NotAnswered, ThreadCalls
from omnisonic.actors.inspection.watchdog import Watchdog
from omnisonic.errors import InvalidInput
from omnisonic.models import RoomId
from omnisonic.wire import inspection as protocol
from omnisonic.wire.inspection import Action, Answer, AskTap, Stream

STREAMS: Final = 8
"""One inspector may have this many streams at once."""
ANSWERS: Final = 64
"""Answers that wait for an inspector to read them."""
WRITE_S: Final = 5.0
PING_S: Final = 20.0
PONG_S: Final = 10.0

_log = logging.getLogger(__name__)


class InspectorConnection(Protocol):
    """The connection of an inspector: a `WebSocketConnection`, or what stands for one."""

    @property
    def closed(self) -> object:
        """Something when it is closed."""
        ...

    async def get_message(self) -> str | bytes: ...

    async def send_message(self, message: str | bytes) -> None: ...

    async def ping(self) -> None: ...


class InspectionSession:
    """One inspector. `thread_calls` lead to the gateway's loop, where `inspector` runs."""

    def __init__(
        self,
        websocket: InspectorConnection,
        address: str,
        inspector: Inspector,
        thread_calls: ThreadCalls,
        watchdog: Watchdog,
    ) -> None:
        self._websocket = websocket
        self._address = address
        self._inspector = inspector
        self._thread_calls = thread_calls
        self._watchdog = watchdog
        self._outgoing, self._to_write = trio.open_memory_channel[Answer](ANSWERS)
        self._streams: dict[str, trio.CancelScope] = {}

    async def run(self) -> None:
        """Answer until the inspector disconnects, or is disconnected."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            nursery.start_soon(self._ping, nursery.cancel_scope)
            while True:
                try:
                    text = await self._websocket.get_message()
                except ConnectionClosed:
                    break
                await self._receive(text, nursery)
            nursery.cancel_scope.cancel()

    async def _write(self, session: trio.CancelScope) -> None:
        async for answer in self._to_write:
            try:
                with trio.fail_after(WRITE_S):
                    await self._websocket.send_message(protocol.encode(answer))
            except (ConnectionClosed, trio.TooSlowError):
                self._drop(session, "It does not read.")
                return

    async def _ping(self, session: trio.CancelScope) -> None:
        while True:
            await trio.sleep(PING_S)
            try:
                with trio.fail_after(PONG_S):
                    await self._websocket.ping()
            except (ConnectionClosed, trio.TooSlowError):
                self._drop(session, "It does not answer a ping.")
                return

    def _drop(self, session: trio.CancelScope, problem: str) -> None:
        if self._websocket.closed is None:
            _log.warning("inspector.dropped", extra={"address": self._address, "problem": problem})
        session.cancel()

    # Questions

    async def _receive(self, text: str | bytes, nursery: trio.Nursery) -> None:
        try:
            question = protocol.read_question(text)
        except InvalidInput as wrong:
            await self._send(protocol.Failed(protocol.read_id(text), wrong.code, wrong.message))
            return
        match question:
            case protocol.AskRooms() | protocol.AskRoom() | protocol.AskTree() if question.every_s is None:
                await self._answer(question.id, partial(self._report, question))
            case protocol.AskRooms() | protocol.AskRoom() | protocol.AskTree() | protocol.AskTap():
                await self._answer(question.id, partial(self._start_stream, question, nursery))
            case protocol.AskKick() | protocol.AskClose() | protocol.AskRestart() | protocol.AskReplay():
                await self._answer(question.id, partial(self._act, question))
            case protocol.AskDeadLetters():
                await self._answer(question.id, partial(self._report_dead_letters, question))
            case protocol.AskStop():
                await self._answer(question.id, partial(self._stop_stream, question))
            case _ as never:
                assert_never(never)

    async def _answer(self, id_: str, answer: Callable[[], Awaitable[None]]) -> bool:
        """Answer by `answer`, or send why not. False when asking again would fail, too."""
        try:
            await answer()
        except InvalidInput as wrong:
            await self._send(protocol.Failed(id_, wrong.code, wrong.message))
            return False
        except NotAnswered:
            await self._send(self._make_not_answering(id_))
        except (ConnectionClosed, trio.BrokenResourceError):
            raise
        except Exception as crash:  # noqa: BLE001 - one question must not end the others
            _log.error("inspector.crashed", extra={"address": self._address}, exc_info=crash)
            await self._send(protocol.Failed(id_, "internal", "That failed here; the log says how."))
            return False
        return True

    def _make_not_answering(self, id_: str) -> protocol.NotAnswering:
        stall = self._watchdog.stall()
        if stall is None:
            return protocol.NotAnswering(id_, None, ANSWER_S, "")
        return protocol.NotAnswering(id_, stall.room, round(stall.for_s, 2), stall.at)

    async def _send(self, answer: Answer) -> None:
        await self._outgoing.send(answer)

    def _try_send(self, answer: Answer) -> bool:
        """Send an answer unless too many wait. Returns whether it is sent."""
        try:
            self._outgoing.send_nowait(answer)
        except trio.WouldBlock:
            return False
        return True

    # Reports

    async def _report(self, question: protocol.AskRooms | protocol.AskRoom | protocol.AskTree) -> None:
        match question:
            case protocol.AskRooms():
                await self._report_rooms(question.id)
            case protocol.AskRoom():
                detail = await self._thread_calls.ask(partial(self._inspector.detail, question.room))
                await self._send(protocol.RoomAnswer(question.id, detail))
            case protocol.AskTree():
                await self._send(await self._thread_calls.ask(partial(self._read_tree, question.id)))
            case _ as never:
                assert_never(never)

    async def _report_rooms(self, id_: str) -> None:
        """Report all rooms, a slice at a time; the gateway's other tasks run between the slices."""
        began_s = time.perf_counter()
        rooms = await self._thread_calls.ask(self._inspector.rooms)
        answer_ms = round((time.perf_counter() - began_s) * 1000, 2)
        for start in range(0, len(rooms), SLICE):
            lines = await self._thread_calls.ask(partial(self._inspector.lines, rooms[start : start + SLICE]))
            await self._send(protocol.Rooms(id_, lines, more=True))
        gateway, closed = await self._thread_calls.ask(lambda: (self._inspector.gateway(), self._inspector.closed()))
        gateway = msgspec.structs.replace(gateway, answer_ms=answer_ms)
        await self._send(protocol.Rooms(id_, (), more=False, gateway=gateway, closed=closed))

    def _read_tree(self, id_: str) -> protocol.Tree:
        inspector = self._inspector
        return protocol.Tree(id_, inspector.gateway(), inspector.children(), inspector.closed(), inspector.cluster())

    async def _report_dead_letters(self, question: protocol.AskDeadLetters) -> None:
        look = partial(self._inspector.dead_letters, question.room, payload=question.payload)
        letters, total = await self._thread_calls.ask(look)
        await self._send(protocol.DeadLetterAnswer(question.id, letters, total))
        if question.payload:
            self._log_act("read dead letters", room=question.room)

    # Streams

    async def _start_stream(self, question: Stream, nursery: trio.Nursery) -> None:
        if question.id in self._streams:
            raise InvalidInput("A stream of that id is running.", code="duplicate_id")
        if len(self._streams) >= STREAMS:
            raise InvalidInput(f"There are {STREAMS} streams already; stop one.", code="too_many_streams")
        scope = self._streams[question.id] = trio.CancelScope()
        nursery.start_soon(self._run_stream, question, scope)

    async def _run_stream(self, question: Stream, scope: trio.CancelScope) -> None:
        end: protocol.End | None = protocol.End(question.id, "stopped")
        with scope:
            if isinstance(question, AskTap):
                end = await self._run_tap(question)
            else:
                end = await self._repeat(question)
        del self._streams[question.id]
        if end is not None:
            await self._send(end)

    async def _repeat(self, question: protocol.AskRooms | protocol.AskRoom | protocol.AskTree) -> protocol.End | None:
        assert question.every_s is not None
        while await self._answer(question.id, partial(self._report, question)):  # noqa: ASYNC110 - a pace, no wait
            await trio.sleep(question.every_s)
        return protocol.End(question.id, "room gone")

    async def _run_tap(self, question: AskTap) -> protocol.End | None:
        stream = TapStream(question, self._outgoing, self._inspector)
        try:
            await stream.start(self._thread_calls)
        except InvalidInput as wrong:
            await self._send(protocol.Failed(question.id, wrong.code, wrong.message))
            return None
        except NotAnswered:
            await self._send(self._make_not_answering(question.id))
            return protocol.End(question.id, "not answering")
        self._log_act("tap", room=question.room, payload=question.payload)
        return await stream.run(self._thread_calls)

    async def _stop_stream(self, question: protocol.AskStop) -> None:
        scope = self._streams.get(question.stream)
        if scope is None:
            raise InvalidInput("No stream of that id is running.", code="unknown_stream")
        scope.cancel()
        await self._send(protocol.Done(question.id))

    # Actions

    async def _act(self, question: Action) -> None:
        match question:
            case protocol.AskKick():
                await self._thread_calls.ask(partial(self._inspector.kick, question.room, question.member))
                self._log_act("kick", room=question.room, member=question.member)
            case protocol.AskClose():
                await self._thread_calls.ask(partial(self._inspector.close, question.room))
                self._log_act("close", room=question.room)
            case protocol.AskRestart():
                await self._thread_calls.ask(partial(self._inspector.restart, question.room))
                self._log_act("restart", room=question.room)
            case protocol.AskReplay():
                room = await self._thread_calls.ask(partial(self._inspector.replay, question.letter))
                self._log_act("replay", room=room, letter=question.letter)
            case _ as never:
                assert_never(never)
        await self._send(protocol.Done(question.id))

    def _log_act(self, act: str, **fields: RoomId | int | None) -> None:
        _log.warning("inspector.acted", extra={"act": act, "address": self._address, **fields})
