"""A merged session: answers an inspector for all workers of a gateway, in the inspection thread (docs/inspecting.md).

Questions about one room go to the worker that has it. Questions about all rooms go to all workers at once, and their
answers become one. The worker that acts or shows payloads logs it, with the inspector's address.

Worker not answering: the others' rooms are shown, and a sentence says which worker is missing; about one of its rooms
the answer is `notAnswering`. Overload, crash and shutdown: as `omnisonic.actors.inspection.session`.
"""

import trio

from omnisonic.actors.inspection.inspector import SLICE, Inspector
from omnisonic.actors.inspection.session import InspectionSession, InspectorConnection
from omnisonic.actors.inspection.thread_call import NotAnswered, ThreadCalls
from omnisonic.actors.inspection.watchdog import Watchdog
from omnisonic.actors.workers import merging
from omnisonic.actors.workers.merging import WorkerReport
from omnisonic.actors.workers.peer_inspection import PEER_S, InspectionPeers
from omnisonic.errors import InvalidInput
from omnisonic.wire import inspection as protocol
from omnisonic.wire.inspection import Action, AskTap
from omnisonic.wire.inspection_lines import LetterLine


class MergedSession(InspectionSession):
    """One inspector of all workers."""

    def __init__(
        self,
        peers: InspectionPeers,
        websocket: InspectorConnection,
        address: str,
        inspector: Inspector,
        thread_calls: ThreadCalls,
        watchdog: Watchdog,
    ) -> None:
        super().__init__(websocket, address, inspector, thread_calls, watchdog)
        self._peers = peers

    # Reports

    async def _report(self, question: protocol.AskRooms | protocol.AskRoom | protocol.AskTree) -> None:
        match question:
            case protocol.AskRoom():
                once = protocol.AskRoom(question.id, question.room, here=question.here)
                await self._forward(once, self._peers.owner_of(question.room))
            case protocol.AskRooms():
                await self._send_rooms(question.id, await self._gather(protocol.AskRooms(question.id)))
            case protocol.AskTree():
                await self._send_tree(question.id, await self._gather(protocol.AskTree(question.id)))

    async def _send_rooms(self, id_: str, reports: list[WorkerReport]) -> None:
        rooms = merging.merge_rooms(reports)
        for start in range(0, len(rooms), SLICE):
            await self._send(protocol.Rooms(id_, tuple(rooms[start : start + SLICE]), more=True))
        last = protocol.Rooms(
            id_,
            (),
            more=False,
            gateway=merging.merge_gateways([line for report in reports if (line := report.gateway)]),
            closed=merging.merge_closed(reports),
            problems=tuple(problem for report in reports if (problem := report.problem())),
        )
        await self._send(last)

    async def _send_tree(self, id_: str, reports: list[WorkerReport]) -> None:
        gateway = merging.merge_gateways([line for report in reports if (line := report.gateway)])
        cluster = tuple(line for report in reports for line in report.cluster)
        tree = protocol.Tree(
            id_, gateway, merging.merge_children(reports), merging.merge_closed(reports), cluster=cluster
        )
        await self._send(tree)

    async def _gather(self, question: protocol.AskRooms | protocol.AskTree) -> list[WorkerReport]:
        """What all workers say. Errors: `NotAnswered` when none of them answers."""
        reports = [WorkerReport(index + 1) for index in range(self._peers.place.count)]
        async with trio.open_nursery() as nursery:
            for report in reports:
                nursery.start_soon(self._ask_report, question, report)
        if not any(report.gateway for report in reports):
            raise NotAnswered
        return reports

    async def _ask_report(self, question: protocol.AskRooms | protocol.AskTree, report: WorkerReport) -> None:
        try:
            async with self._peers.ask(report.worker - 1, question, self._address) as answers:
                while not report.add(await answers.next()):
                    pass
        except NotAnswered:
            report.gateway = None

    async def _report_dead_letters(self, question: protocol.AskDeadLetters) -> None:
        count = self._peers.place.count
        indices = range(count) if question.room is None else (self._peers.owner_of(question.room),)
        letters: dict[int, tuple[LetterLine, ...]] = {}
        totals: list[int] = []

        async def ask(index: int) -> None:
            try:
                async with self._peers.ask(index, question, self._address) as answers:
                    answer = await answers.next()
            except NotAnswered:
                return
            if isinstance(answer, protocol.DeadLetterAnswer):
                letters[index] = answer.letters
                totals.append(answer.total)

        async with trio.open_nursery() as nursery:
            for index in indices:
                nursery.start_soon(ask, index)
        if not letters:
            raise NotAnswered
        await self._send(protocol.DeadLetterAnswer(question.id, merging.merge_letters(letters, count), sum(totals)))

    # Streams

    async def _run_tap(self, question: AskTap) -> protocol.End | None:
        dropped = 0
        try:
            async with self._peers.ask(self._peers.owner_of(question.room), question, self._address) as answers:
                while True:
                    answer = await answers.next(question.for_s + PEER_S)
                    match answer:
                        case protocol.Passed():
                            dropped += not self._try_send(answer)
                        case protocol.End():
                            return protocol.End(question.id, answer.reason, answer.passed, answer.missed + dropped)
                        case protocol.Failed():
                            await self._send(answer)
                            return None
                        case _:
                            await self._send(answer)
        except NotAnswered:
            await self._send(self._make_not_answering(question.id))
            return protocol.End(question.id, "not answering")

    # Actions

    async def _act(self, question: Action) -> None:
        match question:
            case protocol.AskReplay():
                index, letter = merging.split_letter(question.letter, self._peers.place.count)
                await self._forward(protocol.AskReplay(question.id, letter), index)
            case _:
                await self._forward(question, self._peers.owner_of(question.room))

    async def _forward(self, question: Action | protocol.AskRoom, index: int) -> None:
        """Ask one worker, and pass its answer on. Errors: `InvalidInput`, `NotAnswered`."""
        async with self._peers.ask(index, question, self._address) as answers:
            answer = await answers.next()
        if isinstance(answer, protocol.Failed):
            raise InvalidInput(answer.message, code=answer.code)
        await self._send(answer)


class MergedInspection(InspectionPeers):
    """The workers of one gateway, and sessions that inspect all of them."""

    def open_session(
        self,
        websocket: InspectorConnection,
        address: str,
        inspector: Inspector,
        thread_calls: ThreadCalls,
        watchdog: Watchdog,
    ) -> InspectionSession:
        """The session of an inspector who is connected to this worker."""
        return MergedSession(self, websocket, address, inspector, thread_calls, watchdog)
