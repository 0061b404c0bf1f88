"""A cluster session: answers an inspector also about rooms that another gateway owns, in the inspection thread.

A question about a room goes to the gateway that owns it, unless it says `here`. All others are about this gateway. The
owner logs what an inspector does there. Owner not answering: `owner_silent`, and a stream goes on asking. Overload,
crash and shutdown: as `omnisonic.actors.inspection.session`.
"""

from functools import partial
from typing import Final

import msgspec
import trio

from omnisonic.actors.inspection.inspector import Inspector
from omnisonic.actors.inspection.peer_questions import OWNER_S, SILENT, PeerQuestions
from omnisonic.actors.inspection.session import InspectionSession, InspectorConnection
from omnisonic.actors.inspection.thread_call import NotAnswered, ThreadCalls, call_soon
from omnisonic.actors.inspection.watchdog import Watchdog
from omnisonic.errors import InvalidInput
from omnisonic.wire import inspection as protocol
from omnisonic.wire.inspection import Action, Answer, AskTap, RoomQuestion

SPARE_S: Final = 1.5
"""For the way from thread to thread, and to find the owner."""


class ClusterSession(InspectionSession):
    """One inspector of a gateway in a cluster."""

    def __init__(
        self,
        questions: PeerQuestions,
        websocket: InspectorConnection,
        address: str,
        inspector: Inspector,
        thread_calls: ThreadCalls,
        watchdog: Watchdog,
    ) -> None:
        super().__init__(websocket, address, inspector, thread_calls, watchdog)
        self._questions = questions

    async def _report(self, question: protocol.AskRooms | protocol.AskRoom | protocol.AskTree) -> None:
        if not isinstance(question, protocol.AskRoom):
            await super()._report(question)
            return
        try:
            is_answered = await self._ask_owner(protocol.AskRoom(question.id, question.room, here=question.here))
        except InvalidInput as wrong:
            if question.every_s is None or wrong.code != SILENT:
                raise
            await self._send(protocol.Failed(question.id, wrong.code, wrong.message))
            return
        if not is_answered:
            await super()._report(question)

    async def _act(self, question: Action) -> None:
        if isinstance(question, protocol.AskReplay) or not await self._ask_owner(question):
            await super()._act(question)

    async def _ask_owner(self, question: RoomQuestion) -> bool:
        """Ask another gateway, and pass its answer on. False when this one is to answer. Errors: `InvalidInput`."""
        if question.here:
            return False
        answers: list[tuple[Answer, str]] = []

        def take(answer: Answer, owner: str) -> None:
            answers.append((answer, owner))

        ask = partial(self._questions.ask, question, self._address, take)
        if not await self._thread_calls.run(ask, self._questions.start, OWNER_S + SPARE_S):
            return False
        for answer, owner in answers:
            match answer:
                case protocol.Failed():
                    raise InvalidInput(answer.message, code=answer.code)
                case protocol.NotAnswering():
                    raise InvalidInput(f"{owner}, which owns the room, did not answer.", code=SILENT)
                case protocol.RoomAnswer():
                    await self._send(msgspec.structs.replace(answer, owner=owner))
                case _:
                    await self._send(answer)
        return True

    async def _run_tap(self, question: AskTap) -> protocol.End | None:
        if question.here:
            return await super()._run_tap(question)
        session = trio.lowlevel.current_trio_token()
        dropped, ends = 0, list[protocol.End | protocol.Failed]()

        def show(answer: Answer) -> None:
            nonlocal dropped
            if isinstance(answer, protocol.End | protocol.Failed):
                ends.append(answer)
            elif not self._try_send(answer):
                dropped += 1

        def take(answer: Answer, _owner: str) -> None:
            call_soon(session, show, answer)

        try:
            ask = partial(self._questions.ask, question, self._address, take)
            within_s = question.for_s + OWNER_S + SPARE_S
            if not await self._thread_calls.run(ask, self._questions.start, within_s):
                return await super()._run_tap(question)
        except InvalidInput as wrong:
            await self._send(protocol.Failed(question.id, wrong.code, wrong.message))
            return None
        except NotAnswered:
            await self._send(self._make_not_answering(question.id))
            return protocol.End(question.id, "not answering")
        (end,) = ends
        if isinstance(end, protocol.Failed):
            await self._send(end)
            return None
        return msgspec.structs.replace(end, missed=end.missed + dropped)
