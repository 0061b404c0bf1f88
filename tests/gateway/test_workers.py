"""Several workers behind one port: connections go to the worker that has their room, and nothing is lost on the way."""

import json
import socket
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import pytest
import trio

from omnisonic.actors.admission.admission import OpenAdmission, TicketCheck
from omnisonic.actors.workers.hand_over import WAITING
from omnisonic.actors.workers.place import owner_of
from omnisonic.stores.guard.memory import MemoryGuard
from omnisonic.wire import inspection
from tests.clients import TEXT, Bare, envelope, masked_frame, upgrade_request
from tests.gateway.http_answers import answered
from tests.gateway.people import SECRET, Somebody, shown
from tests.gateway.workers_stage import Workers, open_workers, open_workers_stage
from tests.inspectors import TOKEN, inspector
from tests.rooms import PoisonedRoom, becomes, eventually

ROOMS: Final = 200
TRIES: Final = 20
"""Connections to one room: some are accepted by each worker."""
EARLY: Final = 40
"""Messages that come with the request."""


async def refusal(bare: Bare) -> tuple[int, object]:
    """The status and the code of an HTTP refusal."""
    status, _, body = await answered(bare)
    return status, body["code"]


async def get(workers: Workers, path: str) -> tuple[int, str]:
    """The status and the body of a page."""
    async with Bare(await trio.open_tcp_stream("127.0.0.1", workers.port)) as bare:
        await bare.stream.send_all(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await bare.head()
        return int(head.split()[1]), (await bare.rest()).decode()


@pytest.mark.parametrize("count", [2, 3])
async def test_200_rooms_are_spread_and_nothing_is_lost_on_the_way(count: int) -> None:
    """Two members in each, who come at once, with messages right behind their request: all arrive, once, in order."""
    async with open_workers(count) as workers, trio.open_nursery() as nursery:
        rooms = [f"room {number}" for number in range(ROOMS)]
        heard: dict[str, list[int]] = {}

        async def play(room: str) -> None:
            async with await workers.enter("listener", room) as listener:
                early = b"".join(masked_frame(TEXT, envelope("note", number).encode()) for number in range(EARLY))
                async with await workers.enter("player", room, early) as player:
                    for number in range(EARLY, 2 * EARLY):
                        await player.say("note", number)
                    heard[room] = [(await listener.next("note"))["payload"] for _ in range(2 * EARLY)]

        for room in rooms:
            nursery.start_soon(play, room)
        await eventually(lambda: len(heard) == ROOMS, deadline_s=30)
        assert all(numbers == list(range(2 * EARLY)) for numbers in heard.values())
        notes = [gateway.notes["hand_overs"]().split() for gateway in workers.running.values()]
        given, taken = sum(int(note[0]) for note in notes), sum(int(note[2]) for note in notes)
        assert given == taken > ROOMS // 2
        for index, gateway in workers.running.items():
            assert {actor.room_id for actor in gateway.registry} == {r for r in rooms if owner_of(r, count) == index}


async def test_a_request_that_comes_piece_by_piece_is_handed_over_too() -> None:
    """And so is one whose client ends the head together with half a frame."""
    async with open_workers(2) as workers:
        frame = masked_frame(TEXT, envelope("note", "whole").encode())
        for number in range(TRIES):
            index = number % 2
            room = workers.room_of(index)
            bare = Bare(await trio.open_tcp_stream("127.0.0.1", workers.port))
            async with await workers.enter("listener", room) as listener, bare:
                request = workers.request("player", room)
                for start in range(0, len(request) - 7, 41):
                    await bare.stream.send_all(request[start : min(start + 41, len(request) - 7)])
                    await trio.lowlevel.checkpoint()
                await bare.stream.send_all(request[-7:] + frame[:5])
                assert (await bare.head()).startswith(b"HTTP/1.1 101")
                await bare.stream.send_all(frame[5:])
                assert (await listener.next("note"))["payload"] == "whole"


async def test_as_many_early_bytes_as_are_read_at_once_are_handed_over() -> None:
    """A whole receive buffer of them."""
    early = b"".join(masked_frame(TEXT, envelope("note", number).encode()) for number in range(1600))
    assert len(early) > 60_000
    async with open_workers(2) as workers:
        for number in range(TRIES):
            room = workers.room_of(number % 2, f"early{number}")
            async with await workers.enter("listener", room) as listener, await workers.enter("player", room, early):
                assert [(await listener.next("note"))["payload"] for _ in range(1600)] == list(range(1600))


async def test_a_room_whose_worker_is_starting_is_waited_for() -> None:
    """Meanwhile rooms of the others open; then everybody who waited is in, with what they have sent."""
    async with open_workers_stage(2) as stage, stage.worker(0), trio.open_nursery() as nursery:
        workers = stage.workers
        here, there = workers.room_of(0), workers.room_of(1)
        note = masked_frame(TEXT, envelope("note", "early").encode())
        waiting = [await workers.bare(f"m{number}", there, note) for number in range(TRIES)]
        async with await workers.enter("ada", here):
            pass
        gateway = workers.running[0]
        await eventually(lambda: gateway.notes["hand_overs"]() == f"{TRIES} given, 0 taken, {TRIES} wait")

        async with stage.worker(1) as other:
            for bare in waiting:
                assert (await bare.head()).startswith(b"HTTP/1.1 101")
            await eventually(lambda: gateway.notes["hand_overs"]() == f"{TRIES} given, 0 taken, 0 wait")
            actor = other.room(there)
            assert actor is not None
            assert len(actor.entries) == TRIES
            for bare in waiting:
                await bare.aclose()
        nursery.cancel_scope.cancel()


async def test_who_waits_too_long_is_answered_and_not_taken_later() -> None:
    """503, which says when to try again; the worker that finds the connection after that drops it."""
    async with open_workers_stage(2) as stage, stage.worker(0, wait_s=0.2):
        there = stage.workers.room_of(1)
        async with await stage.workers.bare("ada", there) as bare:
            assert await refusal(bare) == (503, "worker_starting")
        async with stage.worker(1) as other:
            await eventually(lambda: _is_read(stage.workers, 1))
            assert other.room(there) is None
            assert other.notes["hand_overs"]() == "0 given, 0 taken, 0 wait"


def _is_read(workers: Workers, index: int) -> bool:
    """Whether a worker has read all that was sent to it."""
    try:
        workers.channels.place(index).channels[index].receiving.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


async def test_only_so_many_wait_for_one_worker() -> None:
    """The next one gets 503 at once, and rooms of other workers still open."""
    async with open_workers_stage(2) as stage, stage.worker(0, wait_s=60.0):
        there = stage.workers.room_of(1)
        waiting = [await stage.workers.bare(f"m{number}", there) for number in range(WAITING)]
        await eventually(lambda: stage.workers.running[0].notes["hand_overs"]().endswith(f"{WAITING} wait"))
        async with await stage.workers.enter("ada", stage.workers.room_of(0)):
            pass
        async with await stage.workers.bare("ada", there) as bare:
            assert await refusal(bare) == (503, "worker_starting")
        for bare in waiting:
            await bare.aclose()


async def test_what_a_worker_has_handed_over_outlives_it() -> None:
    """It stops before the other one has started: that one takes the connection all the same."""
    async with open_workers_stage(2) as stage:
        there = stage.workers.room_of(1)
        async with stage.worker(0):
            bare = await stage.workers.bare("ada", there)
            await eventually(lambda: stage.workers.running[0].notes["hand_overs"]().endswith("1 wait"))
        async with stage.worker(1), bare:
            assert (await bare.head()).startswith(b"HTTP/1.1 101")
            await bare.next("welcome")


async def test_a_worker_that_stops_answers_those_whom_it_could_not_hand_over() -> None:
    """They do not wait for what nobody will do; the others are taken by the next process."""
    async with open_workers_stage(2) as stage, AsyncExitStack() as stack:
        there = stage.workers.room_of(1)
        async with stage.worker(0, wait_s=60.0):
            clients = [
                await stack.enter_async_context(await stage.workers.bare(f"m{number}", there))
                for number in range(WAITING)
            ]
            await eventually(lambda: stage.workers.running[0].notes["hand_overs"]().endswith(f"{WAITING} wait"))
        async with stage.worker(1):
            statuses = [int((await client.head()).split()[1]) for client in clients]
        assert set(statuses) == {101, 503}


async def test_a_ticket_leads_to_its_room_and_is_used_once() -> None:
    """The query need not name the room. Whichever worker accepts, the one that has the room knows that it was used."""
    guards = iter([MemoryGuard(), MemoryGuard()])
    async with open_workers_stage(2) as stage:
        admissions = [OpenAdmission(TicketCheck(SECRET, next(guards))) for _ in range(2)]
        async with stage.worker(0, admission=admissions[0]), stage.worker(1, admission=admissions[1]):
            somebody = Somebody("ada", "person", "login")
            for number in range(TRIES):
                room = stage.workers.room_of(number % 2)
                ticket = somebody.ticket(room)
                async with await enter_by(stage.workers, ticket) as bare:
                    assert (await bare.head()).startswith(b"HTTP/1.1 101")
                    await bare.next("welcome")
                async with await enter_by(stage.workers, ticket) as bare:
                    assert await refusal(bare) == (403, "invalid_ticket")
            async with await enter_by(stage.workers, somebody.ticket("jam")[:-4]) as bare:
                assert await refusal(bare) == (403, "invalid_ticket")


async def enter_by(workers: Workers, ticket: str) -> Bare:
    """A client who shows a ticket, and says nothing else."""
    bare = Bare(await trio.open_tcp_stream("127.0.0.1", workers.port))
    await bare.stream.send_all(upgrade_request("/", workers.port, Sec_WebSocket_Protocol=shown(ticket)))
    return bare


async def test_caps_hold_over_all_workers() -> None:
    """Whole and for each address; a place is free again wherever its holder was."""
    async with open_workers(3, max_connections_per_address=6) as workers:
        members = [await workers.enter(f"m{n}", workers.room_of(n % 3)) for n in range(6)]
        await eventually(lambda: all(g.connections.elsewhere == 4 for g in workers.running.values()))
        for index in range(3):
            async with await workers.bare("late", workers.room_of(index)) as bare:
                assert await refusal(bare) == (503, "too_many_connections")
        await members[0].aclose()
        await eventually(lambda: workers.running[1].connections.elsewhere == 3)
        async with await workers.enter("late", workers.room_of(1)):
            pass
        for member in members[1:]:
            await member.aclose()


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
