"""The metrics of a gateway, which are read on another thread than its own."""

import trio

from omnisonic.errors import Unavailable
from omnisonic.stores.presence.memory import MemoryPresence
from tests.rooms import becomes, open_stage


class AbsentPresence(MemoryPresence):
    """A presence store that takes nothing."""

    async def write_rosters(self, owner: object, rosters: object, *, ttl_s: float) -> None:
        raise Unavailable("It is away.")


async def test_metrics_can_be_read_while_something_is_behind() -> None:
    """When they matter most: what waits is counted in seconds, and every other number is there, too."""
    async with open_stage(presence=AbsentPresence()) as stage, await stage.bare_member("ada") as ada:
        await ada.say("note", id="n")
        await ada.next("ack")

        async def is_behind() -> bool:
            numbers = await trio.to_thread.run_sync(stage.gateway.measure)
            assert numbers["members"] == 1
            return numbers["mirror_lag_s"] > 0

        await becomes(is_behind, wanted=True)
