"""A gateway and its room memory store: what is written when it stops, and what is removed (SPEC 5.2, Memory)."""

import trio

from omnisonic.operations.gateway_stores import open_room_memory
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import RoomClosed, encode
from tests.rooms import eventually, listening, open_stage
from tests.valkey_server import ValkeyServer

DEADLINE_S = 20.0


async def test_a_stop_releases_rooms_before_silent_members_are_gone(valkey: ValkeyServer) -> None:
    """Nobody answers the close; the next gateway goes on all the same, with what was said last."""
    with trio.fail_after(DEADLINE_S):
        async with open_room_memory(valkey.url, 60) as memory, open_stage(memory=memory) as stage:
            ada = await stage.bare_member("ada")
            for number in range(100):
                await ada.say("note", number)
            await eventually(lambda: stage.room().offset == 100)
        await ada.aclose()
        async with open_room_memory(valkey.url, 60) as memory, open_stage(memory=memory) as stage:
            bob = await stage.bare_member("bob", since=f"{ada.welcome['payload']['epoch']}:0")
            assert bob.welcome["payload"]["recovered"] is True
            assert [(await bob.hear())["payload"] for _ in range(100)] == list(range(100))
            await bob.aclose()


async def test_a_session_that_is_deleted_leaves_no_record(valkey: ValkeyServer) -> None:
    """Whether somebody is in its room or not."""

    def remembered() -> set[str]:
        return {key.rpartition(":")[2] for key in valkey.lives_ms() if ":record:" in key}

    with trio.fail_after(DEADLINE_S):
        async with open_room_memory(valkey.url, 60) as memory, open_stage(memory=memory, empty_room_s=0.1) as stage:
            await listening(stage)
            async with stage.member("ada", "left") as ada:
                await ada.say("note")
            async with stage.member("ada", "here") as ada, stage.member("bob", "other") as bob:
                await ada.say("note")
                await bob.say("note")
                await eventually(lambda: remembered() == {"left", "here", "other"})
                await eventually(lambda: stage.gateway.room("left") is None)
                await eventually(lambda: stage.gateway.memory_lag_s() == 0)
                for room in ("left", "here"):
                    await stage.bus.publish(ROOM_EVENTS, encode(RoomClosed(room)))
                assert (await ada.closed())[0] == 4004
                await eventually(lambda: remembered() == {"other"})
        assert remembered() == {"other"}
