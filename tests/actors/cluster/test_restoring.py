"""What a room begins with whose owner died before it wrote anything of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from omnisonic.actors.cluster.restoring import restore_moved
from omnisonic.actors.cluster.shared_view import SharedView
from omnisonic.actors.cluster.tail import Tail
from omnisonic.actors.rooms.history import Recovery
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.stores.room_memory import Claimed
from omnisonic.wire.frames import TEXT, frame
from omnisonic.wire.recovery import Position
from tests.actors.cluster.cluster_stage import Rooms
from tests.actors.cluster.test_tail import note, tail

WELCOME = (
    b'{"type":"welcome","payload":{"serverTime":17,"transport":{"tempoBpm":90.0},'
    b'"state":{"key":{"value":"Am","version":4,"by":"ada"}}}}'
)


@asynccontextmanager
async def restored(heard: Tail | None, view: SharedView | None = None) -> AsyncIterator[RoomMemory]:
    """The memory of a room that was claimed without a record, where members have heard this."""
    async with trio.open_nursery() as nursery:
        actor = Rooms(nursery).registry.get_or_make("jam")
        restore_moved(actor, Claimed(1, None), heard, view, now_s=0, now_ms=17, grace_s=0)
        yield actor.memory
        nursery.cancel_scope.cancel()


async def test_it_goes_on_after_what_members_here_have_heard() -> None:
    """Nobody who has heard as much is told of a gap, and whoever comes later gets all of it."""
    async with restored(tail((1, 2), (3,))) as memory:
        assert memory.history.after(0) == [note(1), note(2), note(3)]
        assert memory.history.last == 3
        for offset in range(4):
            assert memory.plan_recovery(Position("e", offset), 3) == Recovery(True, offset)


async def test_what_nobody_here_has_heard_is_a_gap() -> None:
    """What came before the tail, and what a member elsewhere has heard and these have not."""
    async with restored(tail((3,), (4,))) as memory:
        assert memory.history.last == 4
        assert memory.plan_recovery(Position("e", 4), 4) == Recovery(True, 4)
        assert not memory.plan_recovery(Position("e", 1), 4).is_complete
        assert memory.disprove(Position("e", 5)) is not None


async def test_what_is_shared_goes_on() -> None:
    """The state with its versions, and the transport."""
    view = SharedView(lambda: 17)
    view.see(frame(TEXT, WELCOME))
    async with restored(tail((1,)), view) as memory:
        assert [(key, each.value, each.version) for key, each in memory.shared_state.items()] == [("key", b'"Am"', 4)]
        assert memory.shared_state.version == 4
        assert memory.transport.tempo_bpm == 90.0


async def test_without_members_here_it_is_a_new_room() -> None:
    """Nothing is known of it."""
    for heard in (None, Tail()):
        async with restored(heard) as memory:
            assert (memory.parents, memory.presumed, memory.history.last) == ((), None, 0)
