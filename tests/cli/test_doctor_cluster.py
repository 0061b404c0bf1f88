"""What `omnisonic doctor` says of several gateways: their leases, clocks, versions and names, and links."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import pytest

from omnisonic.cli.check_failed import CheckFailed, CheckWarning
from omnisonic.cli.doctor_cluster import CLOCK_ELSEWHERE_S, check_cluster, find_missing_links
from omnisonic.settings.settings import Settings
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from omnisonic.wire.gateway_info import GatewayInfo, encode_info
from omnisonic.wire.inspection_lines import ClusterLine, PeerLine, PeerLinkState
from tests.valkey_server import ValkeyServer

LEASE_S: Final = 60.0


@pytest.fixture
def settings(valkey: ValkeyServer, tmp_path: Path) -> dict[str, Any]:
    """Of a machine where a gateway of a cluster should run, and does not."""
    port = {"gateway_port": 1, "gateway_id": "g0", "data_dir": tmp_path}
    return port | {"redis_url": valkey.url, "gateway_cluster": "on"}


def check(settings: dict[str, Any], *gateways: tuple[str, bytes]) -> str:
    """What is found when these runs have leases, and tell this of themselves."""

    async def run() -> str:
        memory = ValkeyRoomMemory(settings["redis_url"])
        try:
            for run, info in gateways:
                assert (await memory.renew(run, info, begins=True, ttl_s=LEASE_S)).is_alive
        finally:
            await memory.aclose()
        return await check_cluster(Settings(**settings))

    return asyncio.run(run())


def told(name: str, *, version: str = "1.0", ahead_s: float = 0.0) -> bytes:
    """What a gateway tells of itself."""
    return encode_info(GatewayInfo(name, version, round((time.time() + ahead_s) * 1000)))


def test_gateways_that_have_leases_are_named(settings: dict[str, Any]) -> None:
    """Nobody's links are known where no gateway runs, or there is no token."""
    found = check(settings, ("g0:1:x", told("g0:1")), ("g1:1:y", told("g1:1")), ("g2:1:z", b"\xff of another version"))
    assert found == "3 gateways have leases: g0:1, g1:1, g2:1. The links of g0:1 are not known without its ADMIN_TOKEN."


def test_no_gateway_is_no_mistake(settings: dict[str, Any]) -> None:
    """Doctor may run before the first start."""
    assert check(settings).startswith("On, and no gateway has a lease now. ")


def test_a_gateway_beside_others_without_their_setting_is_told(settings: dict[str, Any]) -> None:
    """Its members would not hear those of the others."""
    alone = settings | {"gateway_cluster": "off"}
    assert check(alone) == "One gateway has all rooms (GATEWAY_CLUSTER=off)."
    with pytest.raises(CheckWarning, match=r"is off here, and gateways at this Redis share their rooms: g1:1\.") as off:
        check(alone, ("g1:1:x", told("g1:1")))
    assert "GATEWAY_CLUSTER=on" in off.value.mend


def test_a_cluster_without_a_redis_is_wrong(tmp_path: Path) -> None:
    """Gateways find each other there."""
    with pytest.raises(CheckFailed, match="REDIS_URL is not set") as wrong:
        asyncio.run(check_cluster(Settings(gateway_cluster="on", data_dir=tmp_path)))
    assert not wrong.value.is_warning


@pytest.mark.parametrize(("ahead_s", "words"), [(60, "ahead of"), (-60, "behind")])
def test_a_clock_that_is_wrong_is_told(settings: dict[str, Any], ahead_s: float, words: str) -> None:
    """By the gateway whose it is; a second or two may pass between a renewal and this."""
    check(settings, ("g0:1:x", told("g0:1", ahead_s=-CLOCK_ELSEWHERE_S / 2)))
    with pytest.raises(CheckWarning, match=rf"^The clock of g1:1 is \d\d\.\d s {words} that of Redis\.$") as wrong:
        check(settings, ("g1:1:y", told("g1:1", ahead_s=ahead_s)))
    assert "NTP" in wrong.value.mend


def test_versions_that_differ_are_told(settings: dict[str, Any]) -> None:
    """They understand each other only when they are neighbours."""
    with pytest.raises(CheckWarning, match=r"of the versions 1\.0 and 1\.1\.$"):
        check(settings, ("g0:1:x", told("g0:1")), ("g1:1:y", told("g1:1", version="1.1")))


def test_two_gateways_of_one_name_are_told(settings: dict[str, Any]) -> None:
    """In the presence store each would remove what the other has."""
    with pytest.raises(CheckWarning, match=r"^2 gateways are called g0:1, ") as twice:
        check(settings, ("g0:1:x", told("g0:1")), ("g0:1:y", told("g0:1")))
    assert "GATEWAY_ID" in twice.value.mend


def test_links_that_are_needed_and_not_open_are_told() -> None:
    """And no others."""

    def link(peer: str, state: PeerLinkState) -> PeerLine:
        return PeerLine(peer, f"{peer}:x", state, 0.0, 0.0, 0, 0, 0, 0, 0)

    peers = link("g1", "open"), link("g2", "silent"), link("g3", "idle"), link("g4", "opening")
    (problem,) = find_missing_links([ClusterLine("g0", "g0:x", True, 0, 0, 0, 0, peers)])
    assert problem.sentence == "g0 needs a link with g2 (silent), g4 (opening), and does not hear it."
    assert list(find_missing_links([ClusterLine("g0", "g0:x", True, 0, 0, 0, 0, peers[:1])])) == []
