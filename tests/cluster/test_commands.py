"""What commands show of a cluster of real gateways on a real Valkey: `omnisonic rooms`, `omnisonic doctor`, metrics."""

import json
import sys
from functools import partial
from typing import Any, Final

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from omnisonic.observability.metrics import OF_CLUSTERS, OF_PEERS
from tests.cli.running import Command, completed, eventually, running
from tests.cluster.test_faults import SETTINGS, gateways, members
from tests.inspectors import TOKEN
from tests.valkey_server import ValkeyServer

OPEN: Final = {"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "none", "ADMIN_TOKEN": TOKEN}


def port_of(command: Command) -> int:
    """The port of a gateway."""
    return int(command.printed(r"^ws://127\.0\.0\.1:(\d+)$")[1])


def name_of(command: Command) -> str:
    """The address by which `omnisonic rooms` names a gateway."""
    return f"127.0.0.1:{port_of(command)}"


async def rooms(*arguments: str, at: list[Command]) -> Any:
    """What `omnisonic rooms` prints of these gateways, as JSON; it must be well."""
    places = [word for command in at for word in ("--gateway", f"ws://{name_of(command)}")]
    ask = partial(completed, "rooms", *arguments, *places, "--json", ADMIN_TOKEN=TOKEN)
    done = await trio.to_thread.run_sync(ask)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


async def test_commands_reach_any_room_from_any_gateway(valkey: ValkeyServer) -> None:
    """A room is shown as its owner knows it. Over all gateways it is listed once."""
    with gateways(valkey, 2, **OPEN) as commands:
        owner, edge = commands
        async with members(commands, "ada", "bob"):
            shown = (await rooms("show", "jam", at=[edge]))["rooms"]
            assert [member["member"] for room in shown for member in room["members"]] == ["ada", "bob"]
            assert [room["owner"] for room in shown] == [f"g0:{port_of(owner)}"]
            (line,) = (await rooms("ls", at=[edge]))["rooms"]
            assert (line["state"], line["members"], line["owner"]) == ("edge", 1, shown[0]["owner"])
            both = await rooms("ls", at=commands)
            assert [(each["gateway"], each["state"], each["members"]) for each in both["rooms"]] == [
                (name_of(owner), "live", 2)
            ]
            assert len(both["gateways"]) == 2
            both = await rooms("show", "jam", at=[owner])
            assert [room["owner"] for room in both["rooms"]] == [None]
            (node,) = (await rooms("tree", at=[edge]))["gateways"]
            (cluster,) = node["cluster"]
            assert (cluster["hasLease"], cluster["edgeRooms"]) == (True, 1)
            assert [(peer["peer"], peer["state"]) for peer in cluster["peers"]] == [(shown[0]["owner"], "open")]
            plain = partial(completed, "rooms", "tree", "--gateway", f"ws://{name_of(edge)}", ADMIN_TOKEN=TOKEN)
            printed = (await trio.to_thread.run_sync(plain)).stdout
            assert "with a lease, 0 rooms owned, 1 edge room, 0 members elsewhere" in printed
            assert f"{shown[0]['owner']}  open heard " in printed
            assert (await rooms("kick", "jam", "ada", at=[edge]))["done"]
            await eventually_gone(edge)


async def eventually_gone(edge: Command) -> None:
    """Wait until `bob` alone is in the room."""
    with trio.fail_after(30):
        while True:
            (room,) = (await rooms("show", "jam", at=[edge]))["rooms"]
            if [member["member"] for member in room["members"]] == ["bob"]:
                return


async def test_a_scrape_has_the_lease_and_each_peer(valkey: ValkeyServer) -> None:
    """By the name of the gateway, whatever its run is."""
    with gateways(valkey, 2, **OPEN) as commands:
        ports = [port_of(command) for command in commands]
        async with members(commands, "ada", "bob"):
            scraped: list[dict[tuple[str, str | None], float]] = []
            for port in ports:
                page = partial(httpx.get, f"http://127.0.0.1:{port}/metrics", timeout=10)
                scraped.append(read_samples((await trio.to_thread.run_sync(page)).text))
    for number, found in enumerate(scraped):
        peer = f"g{1 - number}:{ports[1 - number]}"
        assert {(metric.prometheus_name, None) for metric in OF_CLUSTERS.values()} <= set(found)
        assert {(metric.prometheus_name, peer) for metric in OF_PEERS.values()} <= set(found)
        assert found["omnisonic_cluster_lease", None] == found["omnisonic_peer_link_up", peer] == 1
        assert found["omnisonic_cluster_rooms_owned", None] == 1 - number
        assert found["omnisonic_cluster_edge_rooms", None] == number
        assert found["omnisonic_cluster_remote_members", None] == 1 - number
        assert found["omnisonic_peer_sent_messages_total", peer] > 0


def read_samples(text: str) -> dict[tuple[str, str | None], float]:
    """The samples of a scrape, by name and peer."""
    return {
        (sample.name, sample.labels.get("peer")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.timing
async def test_doctor_knows_the_cluster(valkey: ValkeyServer) -> None:
    """Who has a lease, and the links of the gateway here, until one of them is gone."""
    settings = {"REDIS_URL": valkey.url, "GATEWAY_CLUSTER": "on", "ADMIN_TOKEN": TOKEN, "GATEWAY_ID": "g0"}

    def look(**other: str) -> dict[str, Any]:
        done = completed("doctor", "--json", **(settings | {"GATEWAY_PORT": str(ports[0])} | other))
        (found,) = (check for check in json.loads(done.stdout)["checks"] if check["name"] == "cluster")
        return dict(found)

    def is_alone() -> bool:
        return str(look()["detail"]).startswith(f"1 gateway has a lease: {names[0]}. ")

    with gateways(valkey, 2, **OPEN) as commands:
        ports = [port_of(command) for command in commands]
        names = [f"g{number}:{port}" for number, port in enumerate(ports)]
        async with members(commands, "ada", "bob"):
            found = await trio.to_thread.run_sync(look)
            assert (found["ok"], found["warning"]) == (True, False), found
            leases = ", ".join(sorted(names))
            assert found["detail"] == f"2 gateways have leases: {leases}. {names[0]} has 1 open link."
            off = await trio.to_thread.run_sync(partial(look, GATEWAY_CLUSTER="off"))
            assert (off["ok"], off["warning"]) == (True, True)
            assert leases in off["detail"]
            commands[1].kill()
            await trio.to_thread.run_sync(partial(eventually, is_alone, what="the lease of the other has ended"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process")
async def test_a_gateway_of_several_workers_asks_owners_too(valkey: ValkeyServer) -> None:
    """A room of another gateway is shown, and each of its workers is in the cluster."""
    several = {"REDIS_URL": valkey.url, "GATEWAY_ID": "several", "GATEWAY_WORKERS": "2"}
    with gateways(valkey, 1, **OPEN) as (owner,), running("gateway", **(SETTINGS | OPEN | several)) as workers:
        async with members([owner, workers], "ada", "bob"):
            shown = (await rooms("show", "jam", at=[workers]))["rooms"]
            assert [member["member"] for room in shown for member in room["members"]] == ["ada", "bob"]
            assert [room["owner"] for room in shown] == [f"g0:{port_of(owner)}"]
            (line,) = (await rooms("ls", at=[workers]))["rooms"]
            assert (line["state"], line["members"]) == ("edge", 1)
            (node,) = (await rooms("tree", at=[workers]))["gateways"]
            names = [f"several:{port_of(workers)}/{number}" for number in (1, 2)]
            assert sorted(cluster["gateway"] for cluster in node["cluster"]) == names
        async with members([workers, owner], "eve", "joe"):
            (shown_elsewhere,) = (await rooms("show", "jam", at=[owner]))["rooms"]
            assert shown_elsewhere["line"]["room"] == "jam"
            everywhere = await rooms("ls", at=[owner, workers])
            assert len(everywhere["rooms"]) == 1
