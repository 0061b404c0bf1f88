"""`GATEWAY_WORKERS`: the gateway as several real processes behind one port (SPEC 2, DESIGN 8)."""

import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest
import trio

from tests.cli.running import completed, running
from tests.cli.running import eventually as blocks_until
from tests.clients import TEXT, Bare, envelope, masked_frame
from tests.gateway.http_answers import answered
from tests.inspectors import TOKEN
from tests.prepared_postgres import prepare_data_directory
from tests.processes import send_signal
from tests.rooms import becomes, eventually
from tests.system.worker_processes import DEADLINE_S, Gateway, running_workers
from tests.valkey_server import running_valkey

pytestmark = [
    pytest.mark.timing,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process"),
]

ROOMS: Final = 200
EARLY: Final = 20
"""Messages that come with the request."""
RESTART_S: Final = 30.0
"""Heartbeats are missed for 10 s, and a start takes a few on a busy machine."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Two workers on a Valkey, which the tests that break nothing for good share."""
    with running_valkey() as valkey, running_workers(2, REDIS_URL=valkey.url) as gateway:
        yield gateway


@asynccontextmanager
async def waiting_to_enter(gateway: Gateway, room: str) -> AsyncIterator[list[Bare]]:
    """Twenty clients who want to enter, and wait for the answer as long as a restart takes."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await gateway.bare(f"m{number}", room)) for number in range(20)]
        for client in clients:
            client.deadline_s = RESTART_S
        yield clients


async def test_200_rooms_under_load_lose_nothing_on_their_way_to_three_workers() -> None:
    """Members come with messages right behind their request, while others talk: each hears all, once, in order."""
    with running_workers(3) as gateway:
        heard: dict[str, list[int]] = {}

        async def play(room: str) -> None:
            async with gateway.members({"listener": room}) as members:
                early = b"".join(masked_frame(TEXT, envelope("note", number).encode()) for number in range(EARLY))
                async with await gateway.enter("player", room, early) as player:
                    player.deadline_s = DEADLINE_S
                    for number in range(EARLY, 2 * EARLY):
                        await player.say("note", number)
                    heard[room] = [(await members["listener"].next("note"))["payload"] for _ in range(2 * EARLY)]
                    await all_played.wait()

        async def count_all() -> tuple[int, int]:
            (only,) = gateway.rooms("ls")[1]["gateways"]
            return only["figures"]["rooms"], only["figures"]["members"]

        rooms = [f"room {number}" for number in range(ROOMS)]
        all_played = trio.Event()
        with trio.fail_after(2 * DEADLINE_S):
            async with trio.open_nursery() as nursery:
                for room in rooms:
                    nursery.start_soon(play, room)
                await eventually(lambda: len(heard) == ROOMS, 2 * DEADLINE_S)
                code, printed = gateway.rooms("ls")
                await becomes(count_all, (ROOMS, 2 * ROOMS), DEADLINE_S)  # members are counted once a second
                all_played.set()
        assert all(numbers == list(range(2 * EARLY)) for numbers in heard.values())
        assert code == 0
        assert sorted(row["room"] for row in printed["rooms"]) == sorted(rooms)
        _, tree = gateway.rooms("tree")
        shares = [
            int(match[1])
            for child in tree["gateways"][0]["children"]
            if (match := re.search(r"pid \d+, (\d+) rooms", child["note"]))
        ]
        assert sum(shares) >= ROOMS
        assert min(shares) > ROOMS / 3 * 0.6


async def test_a_worker_that_is_killed_costs_its_own_rooms_a_moment(gateway: Gateway) -> None:
    """The other rooms notice nothing. Who comes back waits for the new process, and has missed nothing."""
    alive, dead = gateway.room_of(0), gateway.room_of(1)
    async with gateway.members({"ada": alive, "bob": alive, "cy": dead, "dan": dead}) as members:
        await members["cy"].say("note", 1, id="kept")
        await members["cy"].next("ack")
        seen = await members["dan"].next("note")
        since = f"{members['dan'].welcome['payload']['epoch']}:{seen['offset']}"
        await members["cy"].say("note", 2, id="also")
        await members["cy"].next("ack")
        await trio.sleep(0.3)  # the room memory is written at most 50 ms later
        before = gateway.pids()
        assert send_signal(before[1], signal.SIGKILL)
        async with (
            await gateway.bare("dan", dead, since=since) as again,
            waiting_to_enter(gateway, dead) as others,
        ):
            again.deadline_s = RESTART_S
            for number in range(50):
                await members["ada"].say("note", number)
                assert (await members["bob"].next("note"))["payload"] == number
            assert (await again.head()).startswith(b"HTTP/1.1 101")
            await again.next("welcome")
            assert (await again.next("note"))["payload"] == 2
            for other in others:
                assert (await other.head()).startswith(b"HTTP/1.1 101")
        gateway.command.printed(r"`gateway-2` was killed by SIGKILL\. Starting it again\.")
        after = gateway.pids()
        assert (after[0], len(after)) == (before[0], 2)
        assert after[1] != before[1]


async def test_a_frozen_worker_delays_its_own_rooms_only_until_it_is_restarted(gateway: Gateway) -> None:
    """Others' rooms open and go on. Who wants to enter its rooms waits, or is told to try again, and then gets in."""
    alive, frozen = gateway.room_of(0, "frozen"), gateway.room_of(1, "frozen")
    before = gateway.pids()
    assert send_signal(before[1], signal.SIGSTOP)
    began_s = time.monotonic()
    async with await gateway.bare("ada", frozen) as waiting:
        waiting.deadline_s = RESTART_S
        for number in range(20):
            async with gateway.members({f"m{number}": alive}):
                pass
        code, printed = gateway.rooms("ls")
        assert code == 1
        assert "Worker 2 does not answer." in printed["gateways"][0]["problem"]
        status, headers, body = await answered(waiting)
        assert (status, body["code"], headers["retry-after"]) == (503, "worker_starting", "2")
        assert time.monotonic() - began_s < 12
    gateway.command.printed(r"`gateway-2` did not respond for 10 s\. Starting it again\.", within_s=RESTART_S)
    with trio.fail_after(RESTART_S):
        while True:
            async with await gateway.bare("ada", frozen) as again:
                again.deadline_s = RESTART_S
                head = await again.head()
            if head.startswith(b"HTTP/1.1 101"):
                break
            assert b"\r\nRetry-After: 2\r\n" in head + b"\r\n"
            await trio.sleep(2)  # as the answer says
    after = gateway.pids()
    assert (after[0], after[1] == before[1]) == (before[0], False)


async def test_a_worker_that_goes_on_takes_those_who_waited(gateway: Gateway) -> None:
    """Frozen for a second: nobody is refused, and nobody has to come again."""
    frozen = gateway.room_of(1, "short")
    (_, pid) = gateway.pids()
    assert send_signal(pid, signal.SIGSTOP)
    try:
        async with waiting_to_enter(gateway, frozen) as members:
            await trio.sleep(1)
            assert send_signal(pid, signal.SIGCONT)
            for member in members:
                assert (await member.head()).startswith(b"HTTP/1.1 101")
                await member.next("welcome")
    finally:
        send_signal(pid, signal.SIGCONT)


async def test_one_worker_is_restarted_by_hand(gateway: Gateway) -> None:
    """SIGTERM to it: its members are told when to come again, and the others are not."""
    alive, gone = gateway.room_of(0, "term"), gateway.room_of(1, "term")
    async with gateway.members({"ada": alive, "bob": alive, "cy": gone}) as members:
        before = gateway.pids()
        assert send_signal(before[1], signal.SIGTERM)
        code, reason = await members["cy"].closed()
        assert code == 1001
        assert 500 <= json.loads(reason)["reconnectMs"] <= 5000
        async with await gateway.bare("cy", gone) as again:
            again.deadline_s = RESTART_S
            assert (await again.head()).startswith(b"HTTP/1.1 101")
        await members["ada"].say("note", "on")
        assert (await members["bob"].next("note"))["payload"] == "on"
        assert gateway.pids()[0] == before[0]


async def test_the_caps_are_for_all_workers() -> None:
    """Twelve connections, whichever worker they are with; a place is free for any of them."""
    with running_workers(2, MAX_CONNECTIONS="12") as gateway:
        names = {f"m{number}": f"room {number}" for number in range(12)}
        async with gateway.members(names) as members:
            for index in range(2):  # the workers know of each other after 50 ms
                await becomes(lambda: status_of_entering(gateway, gateway.room_of(index)), 503)  # noqa: B023
            await members["m0"].aclose()
            for index in range(2):
                await becomes(lambda: status_of_entering(gateway, gateway.room_of(index)), 101)  # noqa: B023


async def status_of_entering(gateway: Gateway, room: str) -> int:
    """The status that somebody gets who wants to enter."""
    async with await gateway.bare("late", room) as bare:
        return int((await bare.head()).split()[1])


async def test_the_inspector_acts_in_any_worker(gateway: Gateway) -> None:
    """The command kicks, restarts and closes, whichever worker it is connected to."""
    rooms = [gateway.room_of(index, "inspected") for index in range(2)]
    names = {f"{name} {index}": room for index, room in enumerate(rooms) for name in ("ada", "bob")}
    async with gateway.members(names) as members:
        for index, room in enumerate(rooms):
            assert gateway.rooms("show", room)[0] == 0
            assert act(gateway, "restart", room) == 0
            assert act(gateway, "kick", room, f"ada {index}") == 0
            assert (await members[f"ada {index}"].closed())[0] == 4003
            assert act(gateway, "close", room) == 0
            assert (await members[f"bob {index}"].closed())[0] == 4004


def act(gateway: Gateway, *words: str) -> int:
    """The exit code of an action of `omnisonic rooms`."""
    address = f"ws://127.0.0.1:{gateway.port}"
    return completed("rooms", *words, "--gateway", address, ADMIN_TOKEN=TOKEN).returncode


async def test_a_room_of_ones_own_that_blocks_its_worker_is_named() -> None:
    """And the rooms of the other worker go on meanwhile."""
    with running_workers(2, GATEWAY_ROOMS="tests.system.blocking_room:Blocking") as gateway:
        alive, stuck = gateway.room_of(0), gateway.room_of(1)
        async with gateway.members({"ada": alive, "bob": alive, "cy": stuck}) as members:
            await members["cy"].say("block", 9)
            await becomes(lambda: trio.to_thread.run_sync(lambda: gateway.rooms("ls")[0]), 1)
            for number in range(20):
                await members["ada"].say("note", number)
                assert (await members["bob"].next("note"))["payload"] == number
            _, printed = gateway.rooms("ls")
            assert f"the room {stuck} keeps it busy" in printed["gateways"][0]["problem"]
            assert {row["room"]: row["state"] for row in printed["rooms"]}[stuck] == "stuck"


async def test_all_workers_drain_at_once() -> None:
    """Everybody is told when to come again, and the command ends as soon as one gateway would."""
    with running_workers(3) as gateway:
        async with gateway.members({f"m{number}": f"room {number}" for number in range(30)}) as members:
            began_s = time.monotonic()
            codes: list[int] = []

            async def hear_close(member: Bare) -> None:
                codes.append((await member.closed())[0])

            async with trio.open_nursery() as nursery:
                for member in members.values():
                    nursery.start_soon(hear_close, member)
                exit_code = await trio.to_thread.run_sync(gateway.command.stop)
            assert codes == [1001] * 30
            assert exit_code == 0
            assert time.monotonic() - began_s < 9


def test_the_studio_runs_its_gateway_as_workers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each is kept up by itself; the page of readiness is of both."""
    data = str(prepare_data_directory(tmp_path_factory.mktemp("workers")))
    with running("serve", OMNISONIC_DATA_DIR=data, GATEWAY_WORKERS="2") as studio:
        studio.printed("is running")
        done = completed("rooms", "ls", "--json", OMNISONIC_DATA_DIR=data)
        assert (done.returncode, done.stderr) == (0, "")
        assert send_signal(studio.part("gateway"), signal.SIGKILL)
        studio.printed(r"`gateway-\d` was killed by SIGKILL\. Starting it again\.")
        blocks_until(lambda: completed("rooms", "ls", OMNISONIC_DATA_DIR=data).returncode == 0, what="both are back")
        assert studio.stop() == 0
