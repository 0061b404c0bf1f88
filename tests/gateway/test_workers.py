"""Several workers behind one port: connections go to the worker that has their room, and nothing is lost on the way."""

import socket
import sys
from contextlib import AsyncExitStack
from typing import Final

import pytest
import trio

from omnisonic.actors.admission.admission import OpenAdmission, TicketCheck
from omnisonic.actors.workers.hand_over import WAITING
from omnisonic.actors.workers.place import owner_of
from omnisonic.stores.guard.memory import MemoryGuard
from tests.clients import TEXT, Bare, envelope, masked_frame, upgrade_request
from tests.gateway.http_answers import answered
from tests.gateway.people import SECRET, Somebody, shown
from tests.gateway.workers_stage import Workers, open_workers, open_workers_stage
from tests.rooms import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process")

ROOMS: Final = 200
TRIES: Final = 20
"""Connections to one room: some are accepted by each worker."""
EARLY: Final = 40
"""Messages that come with the request."""


async def refusal(bare: Bare) -> tuple[int, object]:
    """The status and the code of an HTTP refusal."""
    status, _, body = await answered(bare)
    return status, body["code"]


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
