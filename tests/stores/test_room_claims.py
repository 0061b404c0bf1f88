"""What every room memory store promises of leases, and of claims unless held (SPEC 5.5), held on each of them."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import (
    Claim,
    Claimed,
    Held,
    Outcome,
    Renewal,
    RoomRecord,
    RoomWrite,
    Unsettled,
)
from tests.stores.conftest import DEADLINE_S
from tests.stores.room_memory_stage import SETTLE_S, Stage, open_stage

VALUES: Final = {"epoch": b"one"}
LEASE_S: Final = 60.0
"""Longer than any test."""
SHORT_S: Final = 0.05
RACES: Final = 200


@pytest.fixture
async def stage(place: str, thread: AsyncioThread, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The room memory store at this `place`, empty."""
    async with open_stage(place, thread, request) as stage:
        yield stage


async def begin(stage: Stage, *runs: str) -> None:
    """Let these runs begin."""
    for run in runs:
        assert (await stage.store.renew(run, begins=True, ttl_s=LEASE_S)).is_alive


async def outlive(stage: Stage, run: str) -> None:
    """Let the lease of `run` end by itself."""
    assert (await stage.store.renew(run, ttl_s=SHORT_S)).is_alive
    if stage.clock is not None:
        stage.clock.now_s += SHORT_S
    while await stage.store.live([run]) == [True]:
        await trio.lowlevel.checkpoint()


async def test_a_room_is_left_to_the_run_that_holds_it(stage: Stage) -> None:
    """However often others ask. It may claim again itself, for whatever reason, and gets a new number."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        first = await stage.take("ada")
        assert (first.record, first.before) == (None, 0)
        assert await stage.ask("bob") == Held("ada")
        assert await stage.ask("bob") == Held("ada")
        again = await stage.take("ada")
        assert again.before == first.fence
        assert again.fence > first.fence
        assert await stage.store.claim_unless_held([], "ada") == []


async def test_what_was_sent_before_a_claim_is_not_done_after_it(stage: Stage) -> None:
    """A release was given up because no answer came, then the room was claimed again. The release is late, and void."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        first = await stage.take("ada")
        again = await stage.take("ada")
        late = RoomWrite("jam", first.fence, 9, VALUES, is_whole=True, is_release=True)
        assert await stage.write(late) is Outcome.LOST
        assert await stage.ask("bob") == Held("ada")
        assert await stage.write(RoomWrite("jam", again.fence, 1, VALUES, is_whole=True)) is Outcome.WRITTEN


async def test_a_room_that_was_released_is_anybodys(stage: Stage) -> None:
    """Clean, with everything. Who had it before finds it held."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        first = await stage.take("ada")
        await stage.write(RoomWrite("jam", first.fence, 1, VALUES, [(1, b"!")], is_whole=True, is_release=True))
        second = await stage.take("bob")
        assert second == Claimed(second.fence, RoomRecord(VALUES, [(1, b"!")], is_clean=True), before=first.fence)
        assert second.fence > first.fence
        assert await stage.ask("ada") == Held("bob")
        assert await stage.write(RoomWrite("jam", first.fence, 2, VALUES)) is Outcome.LOST


async def test_a_room_that_was_forgotten_is_anybodys(stage: Stage) -> None:
    """Its record went with its session."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        await stage.take("ada")
        await stage.store.forget(["jam"])
        assert (await stage.take("bob")).record is None
        assert await stage.ask("ada") == Held("bob")


@pytest.mark.parametrize("ends_itself", [True, False])
async def test_what_a_run_held_is_anybodys_once_its_lease_has_ended(stage: Stage, *, ends_itself: bool) -> None:
    """It ended the lease, or did not renew it. What it wrote is there, and not clean; it writes no more."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        first = await stage.take("ada")
        await stage.write(RoomWrite("jam", first.fence, 1, VALUES, is_whole=True))
        if ends_itself:
            await stage.store.end("ada")
        else:
            await outlive(stage, "ada")
        assert await stage.store.live(["ada", "bob", "nobody"]) == [False, True, False]
        second = await stage.take("bob")
        assert second == Claimed(second.fence, RoomRecord(VALUES, []), before=first.fence)
        assert await stage.write(RoomWrite("jam", first.fence, 2, VALUES)) is Outcome.LOST


async def test_a_lease_that_is_renewed_goes_on(stage: Stage) -> None:
    """For the whole time again, from each renewal on."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        await stage.take("ada")
        assert await stage.store.renew("ada", ttl_s=DEADLINE_S) == Renewal(is_alive=True)
        assert await stage.store.renew("ada", ttl_s=60) == Renewal(is_alive=True)
        if stage.clock is not None:
            stage.clock.now_s += 59
        assert await stage.store.live(["ada"]) == [True]


async def test_a_run_whose_lease_has_ended_never_lives_again(stage: Stage) -> None:
    """It slept. Under its name it renews nothing and claims nothing; under another one it begins anew."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        fence = (await stage.take("ada")).fence
        await outlive(stage, "ada")
        assert not (await stage.store.renew("ada")).is_alive
        assert not (await stage.store.renew("ada")).is_alive
        with pytest.raises(Unavailable, match="ended"):
            await stage.ask("ada", "another room")
        assert await stage.store.live(["ada"]) == [False]
        await begin(stage, "ada again")
        again = await stage.take("ada again")
        assert again.before == fence  # nobody else had it
        assert await stage.ask("bob") == Held("ada again")


async def test_a_claim_of_a_run_that_never_began_does_not_count(stage: Stage) -> None:
    """Nor does it keep others away."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada")
        with pytest.raises(Unavailable, match="ended"):
            await stage.ask("nobody")
        assert not (await stage.store.renew("nobody")).is_alive
        await stage.take("ada")


async def test_no_two_runs_have_one_name(stage: Stage) -> None:
    """The second one does not begin, and the first one goes on."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada")
        assert not (await stage.store.renew("ada", begins=True)).is_alive
        assert (await stage.store.renew("ada", ttl_s=LEASE_S)).is_alive


async def test_the_runs_that_live_are_listed_with_what_they_tell(stage: Stage) -> None:
    """Any name and any bytes; as renewed last; without those that have ended."""
    odd = "a:b {1}\n%é"
    with trio.fail_after(DEADLINE_S):
        assert await stage.store.gateways() == {}
        await begin(stage, "ada", "bob")
        info = b"\x00\xff 1 2\r\n"
        await stage.store.renew(odd, b"first", begins=True, ttl_s=LEASE_S)
        await stage.store.renew(odd, info, ttl_s=LEASE_S)
        assert await stage.store.gateways() == {"ada": b"", "bob": b"", odd: info}
        assert await stage.store.live([odd]) == [True]
        await stage.store.end("ada")
        await stage.store.end("ada")
        await stage.store.end("nobody")
        await outlive(stage, "bob")
        assert await stage.store.gateways() == {odd: info}


async def test_many_rooms_are_claimed_in_one_call(stage: Stage) -> None:
    """Each with an answer of its own, in their order: free, held, left by the dead, one's own already."""
    rooms = [f"room {number}" for number in range(40)]
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob", "cy", "dee")
        await stage.store.claim_unless_held(rooms[0:10], "ada")
        await stage.store.claim_unless_held(rooms[10:20], "bob")
        await stage.store.claim_unless_held(rooms[20:30], "cy")
        await stage.store.end("bob")
        answers = await stage.store.claim_unless_held(rooms, "cy")
        assert answers[:10] == [Held("ada")] * 10
        assert all(isinstance(answer, Claimed) for answer in answers[10:])
        assert await stage.store.claim_unless_held(rooms, "dee") == [*answers[:10], *[Held("cy")] * 30]


async def test_of_two_who_ask_at_once_one_gets_the_room(stage: Stage) -> None:
    """A free room, or one whose owner is dead; time and again. The other is told who has it."""
    with trio.fail_after(3 * DEADLINE_S):
        await begin(stage, "ada", "bob")
        for number in range(RACES):
            if number % 2:
                await begin(stage, f"dead {number}")
                await stage.take(f"dead {number}", f"room {number}")
                await stage.store.end(f"dead {number}")
            answers: dict[str, Claim] = {}

            async def ask(run: str, room: str, answers: dict[str, Claim]) -> None:
                answers[run] = await stage.ask(run, room)

            async with trio.open_nursery() as nursery:
                for run in ("ada", "bob"):
                    nursery.start_soon(ask, run, f"room {number}", answers)
            kinds = Counter(type(answer) for answer in answers.values())
            assert kinds == {Claimed: 1, Held: 1}
            [winner] = [run for run, answer in answers.items() if isinstance(answer, Claimed)]
            assert Held(winner) in answers.values()


async def test_a_store_that_lost_everything_gives_no_room_to_anybody_new(stage: Stage) -> None:
    """Somebody may hold it who has not found out. Who asks is told when to ask again, and then gets it."""
    with trio.fail_after(DEADLINE_S):
        stage.empty()
        begun = await stage.unsettled.renew("ada", begins=True, ttl_s=LEASE_S)
        assert begun.is_alive
        assert 0 < begun.settled_in_s <= SETTLE_S
        renewed = await stage.unsettled.renew("ada", ttl_s=LEASE_S)
        assert renewed.is_alive
        assert 0 < renewed.settled_in_s <= begun.settled_in_s
        [answer] = await stage.unsettled.claim_unless_held(["jam"], "ada")
        assert isinstance(answer, Unsettled)
        assert 0 < answer.settled_in_s <= SETTLE_S
        if stage.clock is not None:
            stage.clock.now_s += SETTLE_S
        await begin(stage, "bob")
        await stage.take("bob")


async def test_who_held_a_room_may_have_it_before_the_store_has_settled(stage: Stage) -> None:
    """It shows its number, and the number of nobody before it will do."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        earlier = (await stage.take("ada")).fence
        await stage.store.end("ada")
        fence = (await stage.take("bob")).fence
        stage.empty()
        assert await stage.store.live(["bob"]) == [False]
        assert not (await stage.store.renew("bob")).is_alive
        store = stage.unsettled
        for run in ("ada again", "bob again"):
            assert (await store.renew(run, begins=True, ttl_s=LEASE_S)).is_alive
        answers = await store.claim_unless_held(["jam", "new"], "bob again", fences={"jam": fence})
        assert [type(answer) for answer in answers] == [Claimed, Unsettled]
        assert isinstance(answers[0], Claimed)
        assert answers[0].fence > fence
        assert await store.claim_unless_held(["jam"], "ada again", fences={"jam": earlier}) == [Held("bob again")]
        write = RoomWrite("jam", answers[0].fence, 1, VALUES, is_whole=True, is_release=True)
        assert await store.write([write]) == [Outcome.WRITTEN]
        [answer] = await store.claim_unless_held(["jam"], "ada again", fences={"jam": earlier})
        assert isinstance(answer, Unsettled)


async def test_what_was_written_after_the_loss_is_no_claim(stage: Stage) -> None:
    """A slow run writes everything again, and did not hear yet that it is dead. Who held the room last gets it."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "slow", "bob")
        slow = (await stage.take("slow")).fence
        await stage.store.end("slow")
        fence = (await stage.take("bob")).fence
        stage.empty()
        write = RoomWrite("jam", slow, 9, VALUES, is_whole=True)
        assert await stage.store.write([write]) == [Outcome.WRITTEN]
        assert (await stage.unsettled.renew("bob again", begins=True, ttl_s=LEASE_S)).is_alive
        [answer] = await stage.unsettled.claim_unless_held(["jam"], "bob again", fences={"jam": fence})
        assert isinstance(answer, Claimed)
        assert await stage.store.write([write]) == [Outcome.LOST]


async def test_who_holds_a_room_is_told(stage: Stage) -> None:
    """Nobody before it is claimed, after it was released, and when the lease has ended."""
    with trio.fail_after(DEADLINE_S):
        await begin(stage, "ada", "bob")
        assert await stage.store.holders([]) == []
        claimed = await stage.take("ada")
        await stage.take("bob", "other {room}")
        assert await stage.store.holders(["jam", "nowhere", "other {room}", "jam"]) == ["ada", None, "bob", "ada"]
        release = RoomWrite("jam", claimed.fence, 1, VALUES, is_whole=True, is_release=True)
        assert await stage.write(release) is Outcome.WRITTEN
        await outlive(stage, "bob")
        assert await stage.store.holders(["jam", "other {room}"]) == [None, None]
