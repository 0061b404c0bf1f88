"""Two gateways are replaced one after another under the talk of a crowd on the package's client (SPEC 5.5)."""

from typing import Final

import pytest
import trio

from tests.bench.cluster.crowd import open_crowd
from tests.cluster.gateways import Stores, run_until
from tests.rooms import listening

pytestmark = pytest.mark.timing

MEMBERS: Final = 40
ROOMS: Final = 4
SAY_S: Final = 0.2
SETTLES_S: Final = 30.0


async def test_nobody_misses_or_doubles_a_message_while_gateways_are_replaced() -> None:
    """Whoever is at a gateway that stops reconnects to the other one, and hears all in the one order of the room."""
    stores, options = Stores(), {"grace_s": 15}
    async with trio.open_nursery() as gateways:
        stops = [trio.Event(), trio.Event()]
        stages = [
            await gateways.start(run_until, stop, name, stores, options) for name, stop in zip("ab", stops, strict=True)
        ]
        await listening(stages[0], 2)
        ports = [stage.port for stage in stages]
        async with open_crowd(ports, MEMBERS, ROOMS) as crowd:
            async with trio.open_nursery() as talking:
                talking.start_soon(crowd.talk, SAY_S)
                for number, name in enumerate("ab"):
                    before = crowd.count().said
                    stops[number].set()
                    stage = await gateways.start(run_until, trio.Event(), f"new {name}", stores, options)
                    ports[number] = stage.port
                    while crowd.count().reconnected < MEMBERS // 2 * (number + 1) or crowd.count().said == before:  # noqa: ASYNC110
                        await trio.sleep(SAY_S)
                talking.cancel_scope.cancel()
            await crowd.settle(SETTLES_S)
            outcome = crowd.count()
        gateways.cancel_scope.cancel()
    assert outcome.said > MEMBERS
    assert outcome.deliveries > outcome.said
    assert outcome.reconnected >= MEMBERS
    assert (outcome.refused, outcome.lost, outcome.doubled) == (0, 0, 0)
    assert (outcome.gaps, outcome.disordered) == (0, 0)
