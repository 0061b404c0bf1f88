"""Several workers behind one port are one gateway to operators: pages, metrics and inspectors see all of them."""

import json
import sys
from functools import partial

import pytest
import trio

from omnisonic.wire import inspection
from tests.clients import Bare
from tests.gateway.workers_stage import Workers, open_workers, open_workers_stage
from tests.inspectors import TOKEN, inspector
from tests.rooms import PoisonedRoom, becomes, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process")


async def get(workers: Workers, path: str) -> tuple[int, str]:
    """The status and the body of a page."""
    async with Bare(await trio.open_tcp_stream("127.0.0.1", workers.port)) as bare:
        await bare.stream.send_all(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await bare.head()
        return int(head.split()[1]), (await bare.rest()).decode()


async def test_readiness_is_that_of_all_workers() -> None:
    """One that does not answer makes the gateway not ready."""
    async with open_workers_stage(2) as stage, stage.worker(0):
        status, body = await get(stage.workers, "/readyz")
        assert (status, json.loads(body)["checks"]["workers"] == "ok") == (503, False)
        async with stage.worker(1):
            await becomes(lambda: status_of(stage.workers, "/readyz"), 200)


async def status_of(workers: Workers, path: str) -> int:
    """The status of a page."""
    return (await get(workers, path))[0]


async def test_metrics_are_those_of_all_workers() -> None:
    """By the label `worker`; one that does not answer is down."""
    text = b"# HELP rooms Rooms\n# TYPE rooms gauge\nrooms 1.0\n"
    async with open_workers_stage(2) as stage, stage.worker(0, render_metrics=lambda: text):
        alone = (await get(stage.workers, "/metrics"))[1]
        assert 'omnisonic_worker_up{worker="2"} 0.0' in alone
        async with stage.worker(1, render_metrics=lambda: text):
            both = (await get(stage.workers, "/metrics"))[1]
            for line in ('rooms{worker="1"} 1.0', 'rooms{worker="2"} 1.0', 'omnisonic_worker_up{worker="2"} 1.0'):
                assert line in both


async def test_an_inspector_sees_all_workers_as_one_gateway() -> None:
    """Rooms, one room, the tree, a tap, and actions, for rooms of any worker."""
    async with open_workers(3, admin_token=TOKEN) as workers:
        rooms = [workers.room_of(index) for index in range(3)]
        members = [await workers.enter("ada", room) for room in rooms]
        async with inspector(workers) as operator:
            await operator.ask(inspection.AskRooms("1"))
            listed = []
            while isinstance(answer := await operator.answer(), inspection.Rooms) and answer.more:
                listed += [line.room for line in answer.rooms]
            assert isinstance(answer, inspection.Rooms)
            assert answer.gateway is not None
            assert (sorted(listed), answer.problems) == (sorted(rooms), ())
            assert (answer.gateway.name, answer.gateway.rooms, answer.gateway.connections) == ("test", 3, 3)
            assert answer.gateway.inspectors == 1
            tree = await operator.asked(inspection.AskTree("2"))
            assert isinstance(tree, inspection.Tree)
            named = {child.name: child for child in tree.children}
            assert {f"worker {number}: poller" for number in (1, 2, 3)} <= set(named)
            for index, room in enumerate(rooms):
                detail = await operator.asked(inspection.AskRoom(f"room {index}", room))
                assert isinstance(detail, inspection.RoomAnswer)
                assert (detail.id, detail.room.line.room, len(detail.room.members)) == (f"room {index}", room, 1)
                await operator.ask(inspection.AskTap(f"tap {index}", room, most=1))
                await eventually(partial(_is_tapped, workers, index, room))
                await members[index].say("note", "seen")
                passed = await operator.answer()
                assert isinstance(passed, inspection.Passed)
                assert (passed.message, passed.sender) == ("note", "ada")
                end = await operator.answer()
                assert isinstance(end, inspection.End)
                assert (end.id, end.reason) == (f"tap {index}", "most")
                assert isinstance(await operator.asked(inspection.AskRestart("r", room)), inspection.Done)
                assert isinstance(await operator.asked(inspection.AskKick("k", room, "ada")), inspection.Done)
                assert (await members[index].closed())[0] == 4003
            failed = await operator.asked(inspection.AskRoom("5", "nowhere"))
            assert isinstance(failed, inspection.Failed)
            assert (failed.id, failed.code) == ("5", "unknown_room")
        for member in members:
            await member.aclose()


def _is_tapped(workers: Workers, index: int, room: str) -> bool:
    actor = workers.running[index].room(room)
    return actor is not None and bool(actor.taps)


async def test_dead_letters_of_all_workers_are_listed_and_sent_again() -> None:
    """Their numbers lead to the worker that has them."""
    async with (
        open_workers_stage(2) as stage,
        stage.worker(0, room_class=PoisonedRoom, admin_token=TOKEN) as first,
        stage.worker(1, room_class=PoisonedRoom, admin_token=TOKEN) as second,
    ):
        rooms = [stage.workers.room_of(index) for index in range(2)]
        members = [await stage.workers.enter("ada", room) for room in rooms]
        for member in members:
            await member.say("poison")
        await eventually(lambda: first.registry.dead_letters.total + second.registry.dead_letters.total == 2)
        async with inspector(stage.workers) as operator:
            letters = await operator.asked(inspection.AskDeadLetters("1"))
            assert isinstance(letters, inspection.DeadLetterAnswer)
            assert letters.total == 2
            assert sorted(line.room for line in letters.letters) == sorted(rooms)
            for line in letters.letters:
                assert isinstance(await operator.asked(inspection.AskReplay("2", line.letter)), inspection.Done)
            again = await operator.asked(inspection.AskReplay("3", letters.letters[0].letter))
            assert isinstance(again, inspection.Failed)
            assert again.code == "already_replayed"
        for member in members:
            await member.aclose()


async def test_a_worker_that_does_not_answer_is_named_to_inspectors() -> None:
    """The rooms of the others are shown all the same."""
    async with (
        open_workers_stage(2) as stage,
        stage.worker(0, admin_token=TOKEN),
        await stage.workers.enter("ada", stage.workers.room_of(0)),
        inspector(stage.workers) as operator,
    ):
        rooms = await operator.asked(inspection.AskRooms("1"))
        assert isinstance(rooms, inspection.Rooms)
        assert [line.room for line in rooms.rooms] == [stage.workers.room_of(0)]
        last = await operator.answer()
        assert isinstance(last, inspection.Rooms)
        assert last.problems == ("Worker 2 does not answer.",)
        missing = await operator.asked(inspection.AskRoom("2", stage.workers.room_of(1)))
        assert isinstance(missing, inspection.NotAnswering)
