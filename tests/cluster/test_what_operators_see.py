"""What operators see of a cluster: readiness, metrics and notes of each gateway in it (SPEC 5.4, 5.5)."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from omnisonic.actors.cluster.measures import OTHERS, PEERS, ClusterMeasures
from omnisonic.actors.gateway_cluster import NO_LEASE
from omnisonic.observability.metrics import OF_CLUSTERS, OF_PEERS
from tests.cluster.gateways import Stores, cluster_of, open_cluster
from tests.gateway.http_answers import asked
from tests.rooms import Stage, becomes, eventually


@pytest.fixture
async def stores() -> Stores:
    return Stores()


@pytest.fixture
async def stages(stores: Stores) -> AsyncIterator[list[Stage]]:
    """Two gateways over the same stores."""
    async with open_cluster("a", "b", stores=stores) as stages:
        yield stages


async def readiness(stage: Stage) -> tuple[int, dict[str, Any]]:
    """Status and body of `/readyz`."""
    request = f"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{stage.port}\r\n\r\n"
    status, _, body = await asked(stage, request.encode())
    return status, body


def measures(stage: Stage) -> ClusterMeasures:
    return ClusterMeasures(cluster_of(stage), stage.gateway.registry)


async def test_a_gateway_without_a_lease_is_not_ready(stages: list[Stage], stores: Stores) -> None:
    """It says why, and is ready again when it has its lease; the other one is ready all the time."""
    status, body = await readiness(stages[0])
    assert (status, body["checks"]["lease"]) == (200, "ok")
    assert body["cluster"] == {"lease": "valid", "links": 0, "open": 0, "silent": 0}
    stores.memories["a"].is_away = True
    await eventually(lambda: not cluster_of(stages[0]).lease.is_valid)
    await becomes(lambda: refusal(stages[0]), f"Not ready: {NO_LEASE}")
    assert (await readiness(stages[1]))[0] == 200
    stores.memories["a"].is_away = False
    await becomes(lambda: refusal(stages[0]), "")


async def refusal(stage: Stage) -> str:
    """Why the gateway is not ready; empty when it is."""
    status, body = await readiness(stage)
    assert (status == 200) is body["ok"]
    return str(body.get("error", ""))


async def test_links_are_counted_where_anybody_may_ask(stages: list[Stage]) -> None:
    """By their state, without a name."""
    async with stages[0].member("ada"), stages[1].member("bob"):
        for stage in stages:
            await becomes(partial(links, stage), {"lease": "valid", "links": 1, "open": 1, "silent": 0})


async def links(stage: Stage) -> object:
    return (await readiness(stage))[1]["cluster"]


async def test_each_gateway_measures_its_part(stages: list[Stage]) -> None:
    """Rooms that it owns, edge rooms, members elsewhere; and of each peer, by the name of the gateway."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as bob, stages[1].member("eve", "other"):
        await bob.say("note", 1)
        await ada.next("note")
        a, b = (measures(stage).measure() for stage in stages)
        assert a == {"lease": 1, "rooms_owned": 1, "edge_rooms": 0, "remote_members": 1, "rejoins": 0}
        assert b == {"lease": 1, "rooms_owned": 1, "edge_rooms": 1, "remote_members": 0, "rejoins": 0}
        assert set(a) == set(OF_CLUSTERS)
        (peer,) = measures(stages[1]).measure_peers().items()
        assert peer[0] == "a"
        assert set(peer[1]) == set(OF_PEERS)
        assert (peer[1]["link_up"], peer[1]["resets"]) == (1, 0)
        assert peer[1]["sent_messages"] == 2  # bob's join, and what he said
        assert peer[1]["sent_bytes"] > peer[1]["sent_packets"] > 0
        tree = {name: note() for name, note in stages[1].gateway.notes.items()}
        assert tree["cluster"] == "1 edge rooms, 0 members elsewhere"
        assert tree["links"] == "1 peers, 1 open, 0 silent"
        assert tree["lease"] == f"valid, as {cluster_of(stages[1]).lease.run}"


async def test_losses_are_counted(stages: list[Stage], stores: Stores) -> None:
    """Each reset of a link, and those who had to enter their room again."""
    async with stages[0].member("ada"), stages[1].member("bob") as bob:
        stores.busses["b"].is_away = True
        await bob.say("note", 1)
        await eventually(lambda: measures(stages[1]).measure()["rejoins"] == 1)
        stores.busses["b"].is_away = False
        await bob.next("welcome")
        assert measures(stages[1]).measure_peers()["a"]["resets"] >= 1


async def test_a_peer_that_is_not_heard_is_silent(stages: list[Stage], stores: Stores) -> None:
    """Its link is down for the metrics, and counted as silent."""
    async with stages[0].member("ada"), stages[1].member("bob"):
        stores.cut_off("a")
        await eventually(lambda: measures(stages[1]).measure_peers().get("a", {}).get("link_up") == 0)


async def test_metrics_of_peers_are_bounded(stages: list[Stage]) -> None:
    """Runs of one gateway are one peer, and so are all gateways beyond the bound."""
    links = cluster_of(stages[0]).links
    runs = ["b:1", "b:2", *(f"g{number}:x" for number in range(PEERS + 10))]
    for run in runs:
        links.watch(run)
    measured = measures(stages[0]).measure_peers()
    assert len(measured) == PEERS + 1
    assert {"b", "g0", OTHERS} <= set(measured)
