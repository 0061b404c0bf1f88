"""Gateways in one program, or in several, that share rooms by a real Valkey (SPEC 5.5, 8)."""

from typing import Any, ClassVar

import pytest
import trio

import omnisonic
from tests.embedding.staging import hear, member
from tests.rooms import eventually
from tests.valkey_server import ValkeyServer

RECOVERS_S = 6.0


class Counting(omnisonic.Room[int]):
    """Counts what is said, wherever it is said, and keeps the count between owners."""

    saved: ClassVar[dict[str, int]] = {}

    def initial_state(self) -> int:
        return 0

    async def load(self, name: str) -> int | None:
        return self.saved.get(name)

    async def save(self, name: str, state: int) -> None:
        self.saved[name] = state

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> bool:
        self.state += 1
        self.say("count", self.state)
        return True


def opened(valkey: ValkeyServer, name: str, **options: Any) -> Any:
    """One gateway of the cluster."""
    return omnisonic.open_gateway(cluster=valkey.url, gateway_id=name, room_class=Counting, **options)


async def run_until(
    stop: trio.Event,
    valkey: ValkeyServer,
    task_status: trio.TaskStatus[omnisonic.RunningGateway] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the first gateway in a task of its own, until it is to stop."""
    async with opened(valkey, "first") as gateway:
        task_status.started(gateway)
        await stop.wait()


async def test_two_gateways_in_one_program_share_a_room(valkey: ValkeyServer) -> None:
    """One order and one object of the class; who is in the room is known where it is. The second goes on with it."""
    Counting.saved.clear()
    stop = trio.Event()
    async with opened(valkey, "second") as second, trio.open_nursery() as nursery:
        first: omnisonic.RunningGateway = await nursery.start(run_until, stop, valkey)
        async with member(first, "ada") as ada, member(second, "bob") as bob:
            await bob.say("note", 1)
            assert (await hear(ada, "count")).payload == 1
            await ada.say("note", 2)
            assert [(await hear(bob, "count")).payload for _ in range(2)] == [1, 2]
            assert [each.member_id for each in first.members("jam")] == ["ada", "bob"]
            assert (first.rooms, second.rooms) == (["jam"], [])
            assert second.room("jam") is None
            with pytest.raises(omnisonic.InvalidInput, match="room"):
                second.say("jam", "cue")
            await ada.leave()
            stop.set()
            await eventually(lambda: second.rooms == ["jam"], RECOVERS_S)
            await bob.say("note", 3)
            assert (await hear(bob, "count")).payload == 3
            assert [each.member_id for each in second.members("jam")] == ["bob"]


async def test_a_cluster_without_its_valkey_begins_all_the_same(valkey: ValkeyServer) -> None:
    """Members of one gateway hear each other, and know that nobody else can. It is over when the Valkey is there."""
    valkey.stop()
    async with opened(valkey, "alone") as gateway, member(gateway, "ada") as ada, member(gateway, "bob") as bob:
        assert ada.is_degraded
        await ada.say("note", 1)
        assert (await hear(bob, "note")).payload == 1
        valkey.start()
        await eventually(lambda: not ada.is_degraded and not bob.is_degraded, 2 * RECOVERS_S)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no URL"])
async def test_what_is_no_url_of_a_redis_is_refused(url: str) -> None:
    """Before anything has begun."""
    with pytest.raises(ValueError, match=r"redis_url|rediss"):
        async with omnisonic.open_gateway(cluster=url):
            pass


async def test_a_name_among_others_needs_others() -> None:
    """It would not be used."""
    with pytest.raises(TypeError, match="give cluster"):
        async with omnisonic.open_gateway(gateway_id="alone"):
            pass
