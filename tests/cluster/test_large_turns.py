"""What a room has for a peer in one turn may be more than fits into one packet of a link (SPEC 5.5)."""

from contextlib import AsyncExitStack
from typing import Final

import trio

from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.actors.rooms.history import HistoryLimits
from tests.cluster.gateways import cluster_of, open_cluster
from tests.rooms import Stage, eventually

LONG: Final = "x" * 65_000
MEBIBYTE: Final = 1_048_576
MESSAGE_BYTES: Final = 65_536
DEADLINE_S: Final = 30.0
UNLIMITED: Final = RateLimit.of(0, 1)


def resets(stages: list[Stage]) -> int:
    """How many links of these gateways were reset."""
    return sum(stats.resets for stage in stages for stats in cluster_of(stage).links.peers.values())


async def test_a_turn_of_many_large_messages_reaches_other_gateways() -> None:
    """All that fits into the mailbox of a room is said in one turn: 16 MiB."""
    longest, count = "x" * 65_490, 16 * MEBIBYTE // MESSAGE_BYTES
    async with (
        open_cluster("a", "b", rate=UNLIMITED, queue_bytes=0) as stages,
        stages[0].member("ada" * 20) as ada,
        stages[1].member("bob") as bob,
    ):
        await ada.say("note", "small")
        await bob.next("note")
        actor = stages[0].room()
        actor.hold()
        for _ in range(count):
            await ada.say("note", longest)
        await eventually(lambda: actor.mailbox.frames == count, DEADLINE_S)
        turns = actor.stats.turns
        actor.resume()
        with trio.fail_after(DEADLINE_S):
            heard = [(await bob.next("note"))["offset"] for _ in range(count)]
        assert heard == list(range(2, count + 2))
        assert actor.stats.turns == turns + 1
        assert resets(stages) == 0


async def test_members_elsewhere_get_a_long_history() -> None:
    """What each has missed is more than a link usually holds; several come at once, and none is kept waiting."""
    count, names = 20 * MEBIBYTE // len(LONG) - 2, [f"m{number}" for number in range(4)]
    history = HistoryLimits(messages=10_000, total_bytes=20 * MEBIBYTE)
    async with (
        open_cluster("a", "b", rate=UNLIMITED, queue_bytes=0, history=history) as stages,
        stages[0].member("ada") as ada,
        AsyncExitStack() as stack,
    ):
        since = f"{ada.welcome['payload']['epoch']}:0"
        for _ in range(count):
            await ada.say("note", LONG)
        await eventually(lambda: stages[0].room().offset == count, DEADLINE_S)
        heard: dict[str, list[int]] = {}

        async def come(name: str) -> None:
            member = await stack.enter_async_context(await stages[1].bare_member(name, since=since))
            member.deadline_s = DEADLINE_S
            heard[name] = [(await member.next("note"))["offset"] for _ in range(count)]

        with trio.fail_after(2 * DEADLINE_S):
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(come, name)
        assert heard == {name: list(range(1, count + 1)) for name in names}
        assert resets(stages) == 0
