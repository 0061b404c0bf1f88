"""What rooms of `omnisonic serve` remember over restarts and crashes of its processes (SPEC 5.2, Memory)."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.clients import Bare
from tests.system.studio import Served, end, running_studio
from tests.system.visitors import Visitors

pytestmark = pytest.mark.timing

WRITTEN_S = 0.3
"""What is said is in the store by then: 50 ms, on a busy machine."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A `serve` that the tests of one gateway share, each with a room of its own."""
    with running_studio("serve", tmp_path_factory.mktemp("serve")) as studio:
        assert isinstance(studio, Served)
        yield studio


@asynccontextmanager
async def talked(visitors: Visitors, room: str) -> AsyncIterator[tuple[Bare, str]]:
    """Ada has said three notes and set a key. Bob is there, and has seen the first only; where he stopped."""
    async with visitors.bare_member("ada", room) as ada:
        async with visitors.bare_member("bob", room) as bob:
            await ada.say("note", 1)
            seen = await bob.next("note")
            epoch = bob.welcome["payload"]["epoch"]
        await ada.say("note", 2)
        await ada.say("state.set", {"key": "song", "value": "blues"})
        await ada.say("note", 3, id="last")
        await ada.next("ack")
        yield ada, f"{epoch}:{seen['offset']}"


async def come_back(visitors: Visitors, room: str, since: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What Bob gets who comes back: the welcome, and all until he hears Cy say `over`."""
    async with visitors.bare_member("bob", room, since=since) as bob:
        async with visitors.bare_member("cy", room) as cy:
            await cy.say("over")
            heard = []
            while (message := await bob.hear())["type"] != "over":
                if message["type"] in ("note", "history.gap"):
                    heard.append(message)
            assert message["offset"] > 0
        return bob.welcome["payload"], heard


async def test_a_stop_and_a_start_of_everything_leave_no_gap(tmp_path: Path) -> None:
    """SIGTERM to `serve`, also to somebody who does not answer; the next one goes on with every room, twice."""
    with running_studio("serve", tmp_path) as first:
        async with talked(first.visitors, "jam") as (_, since):
            assert await trio.to_thread.run_sync(first.stop) == [0]
    for _ in range(2):
        with running_studio("serve", tmp_path) as again:
            welcome, heard = await come_back(again.visitors, "jam", since)
            assert welcome["recovered"] is True
            assert welcome["epoch"] == since.partition(":")[0]
            assert [message["payload"] for message in heard] == [2, 3]
            assert welcome["state"]["song"]["value"] == "blues"
            assert await trio.to_thread.run_sync(again.stop) == [0]


async def test_a_message_that_is_sent_again_after_a_restart_is_said_once(studio: Served) -> None:
    """Its `ack` was lost with the connection; it names the first offset."""
    async with talked(studio.visitors, "again") as (_, since):
        assert await end(studio, "gateway", signal.SIGTERM) == 0
    async with studio.visitors.bare_member("ada", "again") as ada:
        await ada.say("note", 3, id="last")
        assert (await ada.next("ack"))["payload"]["offset"] == 3
    welcome, heard = await come_back(studio.visitors, "again", since)
    assert welcome["recovered"] is True
    assert [message["payload"] for message in heard] == [2, 3]


async def test_a_gateway_that_is_killed_says_so(studio: Served) -> None:
    """A new epoch and a `history.gap`, then what is known; what was shared is there."""
    async with talked(studio.visitors, "killed") as (_, since):
        await trio.sleep(WRITTEN_S)
        assert await end(studio, "gateway", signal.SIGKILL) == -signal.SIGKILL
    welcome, heard = await come_back(studio.visitors, "killed", since)
    assert welcome["recovered"] is False
    assert welcome["epoch"] != since.partition(":")[0]
    assert welcome["state"]["song"]["value"] == "blues"
    assert [message["type"] for message in heard] == ["history.gap", "note", "note"]
    gap = heard[0]["payload"]
    assert (gap["epoch"], gap["lost"], gap["to"]) == (since.partition(":")[0], None, None)
    assert [message["payload"] for message in heard[1:]] == [2, 3]


async def test_nothing_older_comes_back_after_everything_was_killed(tmp_path: Path) -> None:
    """The state of an earlier stop would count the same offsets a second time."""
    with running_studio("serve", tmp_path) as first:
        async with talked(first.visitors, "jam") as (_, since):
            await trio.to_thread.run_sync(first.stop)
    with running_studio("serve", tmp_path) as second:
        assert isinstance(second, Served)
        welcome, _ = await come_back(second.visitors, "jam", since)
        assert welcome["recovered"] is True
        await trio.to_thread.run_sync(second.kill)
    with running_studio("serve", tmp_path) as third:
        welcome, heard = await come_back(third.visitors, "jam", since)
        assert welcome["recovered"] is False
        assert welcome["epoch"] != since.partition(":")[0]
        assert [message["type"] for message in heard] == ["history.gap"]


async def test_a_valkey_that_is_killed_gets_everything_again(studio: Served) -> None:
    """It comes back empty. Rooms go on meanwhile, and a stop afterwards leaves no gap."""
    async with talked(studio.visitors, "valkey") as (ada, since):
        assert await end(studio, "valkey", signal.SIGKILL) == -signal.SIGKILL
        await ada.say("note", 4, id="4")
        await ada.next("ack")
        async with studio.visitors.bare_member("di", "valkey") as di:
            await di.say("note", 5, id="5")
            await di.next("ack")
        await trio.sleep(3)
        assert await end(studio, "gateway", signal.SIGTERM) == 0
    welcome, heard = await come_back(studio.visitors, "valkey", since)
    assert welcome["recovered"] is True
    assert [message["payload"] for message in heard] == [2, 3, 4, 5]
