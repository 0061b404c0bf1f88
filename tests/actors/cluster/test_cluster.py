"""A gateway in its cluster: what its peers are told when rooms are not there, or the peers were not heard."""

from typing import ClassVar

import pytest
import trio
from trio.testing import MockClock

import omnisonic
from omnisonic.actors.cluster.cluster import HAND_OVER_S, SILENCES
from omnisonic.actors.cluster.link import BEAT_S, SILENT_S
from omnisonic.actors.cluster.links import FORGET_S
from omnisonic.actors.rooms.mailbox import Join
from omnisonic.actors.runtime.supervisor import MAX_RESTARTS
from omnisonic.actors.sync import room_writes
from omnisonic.wire.frames import TEXT
from omnisonic.wire.peer_messages import EdgeJoin, EdgeSaid, Moving, NotOwner, OwnerClose
from tests.actors.cluster.cluster_stage import open_cluster_stage
from tests.actors.cluster.silent_connection import Silent
from tests.actors.handles import member
from tests.rooms import eventually

SOON_S = 0.1
SAID = (TEXT, b'{"type":"note","payload":null}')
POISON = (TEXT, b'{"type":"poison","payload":null}')


async def test_who_entered_at_a_gateway_that_has_no_answer_to_its_claim_is_told(autojump_clock: MockClock) -> None:
    """Its owner has ended. The store took the claim and did not answer; a third gateway heard of it, and entered."""
    async with open_cluster_stage() as stage:
        edges, registry = stage.cluster.edges, stage.registry
        third = await stage.open_peer("c")
        await stage.memory.renew("a", begins=True)
        await stage.memory.claim_unless_held(["jam"], "a")
        ada = Silent("ada")
        registry.get_or_make("jam").tell(Join(ada, member("ada")))
        await eventually(lambda: edges.get("jam") is not None and registry.get("jam") is None)
        await stage.memory.end("a")
        stage.memory.is_silent = True
        edges.on_silent("a")
        stage.tell(third, EdgeJoin("jam", 1, member("eve")))
        await third.wait_for(NotOwner("jam"))
        stage.memory.is_silent = False
        await eventually(lambda: stage.cluster.claims.owns("jam"))
        await stage.enter(third, "jam", 2)


async def test_what_is_said_to_a_room_that_was_withdrawn_is_not_lost_in_silence(autojump_clock: MockClock) -> None:
    """The peer is told that the room is not here."""
    async with open_cluster_stage() as stage:
        peer = await stage.open_peer("c")
        await stage.enter(peer, "jam", 1)
        actor = stage.registry.get("jam")
        assert actor is not None
        stage.registry.withdraw(actor)
        stage.tell(peer, EdgeSaid("jam", 1, [SAID], 1))
        await peer.wait_for(NotOwner("jam"))
        assert not actor.mailbox


async def test_silences_of_a_peer_that_was_heard_between_do_not_add_up(autojump_clock: MockClock) -> None:
    """It beats, and says nothing else for days."""
    async with open_cluster_stage() as stage:
        peer = await stage.open_peer("c")
        await stage.enter(peer, "jam", 1)
        for _ in range(2 * SILENCES):
            stage.cluster.on_silent("c")
            await trio.sleep(SILENT_S)
        assert stage.numbers_of(peer, "jam") == {1}
        assert NotOwner("jam") not in peer.heard


async def test_a_peer_that_was_given_up_and_lives_is_told(autojump_clock: MockClock) -> None:
    """Its members are out of the room, and enter again. Another peer is given up in its own time."""
    async with open_cluster_stage() as stage:
        first, second = await stage.open_peer("c"), await stage.open_peer("d")
        await stage.enter(first, "jam", 1)
        await stage.enter(second, "jam", 1)
        stage.cluster.on_silent("c")
        for _ in range(SILENCES - 1):
            await trio.sleep(BEAT_S)
            stage.cluster.on_silent("c")
            stage.cluster.on_silent("d")
        await first.wait_for(NotOwner("jam"))
        assert stage.numbers_of(second, "jam") == {1}
        await trio.sleep(BEAT_S)
        stage.cluster.on_silent("d")
        await second.wait_for(NotOwner("jam"))
        await stage.enter(first, "jam", 2)


async def test_a_room_that_failed_too_often_is_forgotten_with_its_remote_members(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it is kept: its peer is not watched any more."""
    async with open_cluster_stage() as stage:
        peer = await stage.open_peer("c")
        await stage.enter(peer, "jam", 1)
        actor = stage.registry.get("jam")
        assert actor is not None
        for crash in range(MAX_RESTARTS + 1):
            await eventually(lambda: actor.is_alive)
            stage.tell(peer, EdgeSaid("jam", 1, [POISON], crash + 1))
            await eventually(lambda: not actor.is_alive)
        assert stage.registry.get("jam") is None
        await peer.wait_for(OwnerClose("jam", 1, 1011, "this room failed too often"))
        await trio.sleep(FORGET_S + 1)
        assert stage.cluster.links.describe() == []


class Slow(omnisonic.Room[None]):
    """Its saves take a while; those of the room `slow` do not end before it would have been handed over."""

    stored: ClassVar[list[str]]

    async def save(self, name: str, state: None) -> None:
        await trio.sleep(2 * HAND_OVER_S if name == "slow" else HAND_OVER_S / 10)
        Slow.stored.append(name)


@pytest.fixture(autouse=True)
def slow() -> None:
    """Nothing is stored yet."""
    Slow.stored = []


async def test_a_room_that_is_slow_to_save_keeps_no_other_one(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway that stops hands over each of its rooms, and handles none of them after that."""
    async with open_cluster_stage(Slow) as stage:
        peer = await stage.open_peer("c")
        rooms = ["slow", "jam", "duo"]
        for number, room in enumerate(rooms):
            await stage.enter(peer, room, number)
        actors = list(stage.registry)

        began_s = trio.current_time()
        await stage.cluster.hand_over()
        assert trio.current_time() - began_s <= HAND_OVER_S + SOON_S
        for room in rooms:
            await peer.wait_for(Moving(room))
        assert [actor.is_withdrawn for actor in actors] == [True] * 3
        assert await stage.memory.holders(rooms) == [None] * 3
        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["room.not_saved"]
        await trio.sleep(2 * HAND_OVER_S)
        assert Slow.stored == ["jam", "duo"]


async def test_a_room_is_released_when_a_save_of_it_that_was_under_way_has_ended(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Else its next owner would load what was stored before it."""
    async with open_cluster_stage(Slow) as stage:
        peer = await stage.open_peer("c")
        await stage.enter(peer, "jam", 1)
        assert Slow.stored == []
        await stage.cluster.hand_over()
        assert Slow.stored == ["jam"]
        await peer.wait_for(Moving("jam"))
        assert caplog.messages == []


async def test_however_many_rooms_are_handed_over_all_are_released(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their peers go on with each of them: none is given up because others wait to be written, too."""
    monkeypatch.setattr(room_writes, "FORGOTTEN_ROOMS", 3)
    monkeypatch.setattr(room_writes, "FORGOTTEN_BYTES", 1)
    async with open_cluster_stage() as stage:
        peer = await stage.open_peer("c")
        rooms = [f"room {number}" for number in range(12)]
        for number, room in enumerate(rooms):
            await stage.enter(peer, room, number)
        await stage.cluster.hand_over()
        for room in rooms:
            await peer.wait_for(Moving(room))
        assert await stage.memory.holders(rooms) == [None] * len(rooms)


async def test_a_room_that_cannot_be_handed_over_in_time_is_not_handled_after_that(autojump_clock: MockClock) -> None:
    """It has not done what its members have sent. They are told that it is not here, and it is released."""
    async with open_cluster_stage() as stage:
        peer = await stage.open_peer("c")
        await stage.enter(peer, "jam", 1)
        actor = stage.registry.get_or_make("jam")
        actor.hold()
        stage.tell(peer, EdgeSaid("jam", 1, [SAID], 1))
        await eventually(lambda: bool(actor.mailbox))
        await stage.cluster.hand_over()
        await peer.wait_for(NotOwner("jam"))
        assert actor.is_withdrawn
        assert await stage.memory.holders(["jam"]) == [None]


async def test_members_of_a_room_that_could_not_be_released_are_told(autojump_clock: MockClock) -> None:
    """The store does not answer: they find out who has the room, once the lease of its owner has ended."""
    async with open_cluster_stage() as stage:
        peer = await stage.open_peer("c")
        await stage.enter(peer, "jam", 1)
        stage.memory.is_silent = True
        await stage.cluster.hand_over()
        await peer.wait_for(NotOwner("jam"))
        assert Moving("jam") not in peer.heard
