"""What the members of a room share, as `@omnisonic/client` sees and changes it: state and transport (SPEC 5.2, 8)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import omnisonic
from tests.client.serving import Peer, scripted
from tests.client_js.programs import DEADLINE_S, JsRoom, Thrown, jam, needs_node
from tests.embedding.staging import band, hear, until
from tests.tcp_proxy import open_tcp_proxy

pytestmark = needs_node


async def test_a_key_that_is_set_is_there_at_once_and_for_all() -> None:
    """With its version, and who did it; null deletes it. Whoever comes later finds it."""
    async with band("bo") as (gateway, [bo]), jam(gateway.url) as ada:
        version = await ada.call("setState", "solo", {"who": ["ada"]})
        assert (await ada.view())["state"] == {"solo": [{"who": ["ada"]}, version, "ada"]}
        changed = await hear(bo, "state.changed")
        assert changed.payload == {"key": "solo", "value": {"who": ["ada"]}, "version": version, "by": "ada"}
        await bo.set_state("__proto__", 1)
        await ada.hear("state.changed")
        async with jam(gateway.url, "cy") as cy:
            assert (await cy.view())["state"] == (await ada.view())["state"]
        assert await ada.call("setState", "solo", None) > version
        assert dict(bo.state) == {"__proto__": 1}


async def test_of_two_who_change_a_key_at_the_same_time_one_is_told_the_version() -> None:
    """The loser can go on from there."""
    async with band("bo") as (gateway, [bo]), jam(gateway.url) as ada:
        version = await bo.set_state("take", 1, if_version=0)
        with pytest.raises(Thrown) as conflict:
            await ada.call("setState", "take", 1, {"ifVersion": 0})
        assert (conflict.value.name, conflict.value.code) == ("NotTaken", "state_conflict")
        assert conflict.value.fields["version"] == version
        assert await ada.call("setState", "take", 2, {"ifVersion": version}) == version + 1
        with pytest.raises(Thrown) as refused:
            await ada.call("setState", "", 1)
        assert (refused.value.code, refused.value.fields["version"]) == ("invalid_state_key", None)


async def test_an_ephemeral_key_goes_with_the_member() -> None:
    """Those who stay are told."""
    async with jam_with_bo() as (ada, bo):
        await ada.call("setState", "cursor.ada", 17, {"ephemeral": True})
        await ada.call("setState", "note.ada", 1)
        await ada.call("leave")
        await hear(bo, "presence.leave")
        assert dict(bo.state) == {"note.ada": 1}


async def test_a_change_that_was_not_answered_is_made_once() -> None:
    """It is sent again after the cut, and is no conflict with itself; state and transport are as the room has them."""
    async with (
        band("bo") as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        jam(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        version = 0
        for number in range(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ada.call, "say", "bye")
                proxy.cut()
            version = await ada.call("setState", "n", number, {"ifVersion": version})
        proxy.refusing = True
        proxy.cut()
        await ada.call("waitFor", "reconnecting")
        await bo.set_state("n", None)
        await bo.set_state("m", 1)
        await bo.play(at_beat=8)
        proxy.refusing = False
        await ada.call("waitFor", "connected")
        view = await ada.view()
        assert {key: value for key, (value, _, _) in view["state"].items()} == {"m": 1}
        assert (view["transport"]["playing"], view["transport"]["anchorBeat"], view["transport"]["by"]) == (
            True,
            8,
            "bo",
        )
        await ada.call("ask", "done")
        received = await until(bo, "done")
        changes = [each.payload["value"] for each in received if each.type == "state.changed"]
        assert changes == [*range(10), None, 1]


async def test_members_agree_where_it_plays() -> None:
    """By the server's clock, whatever their own says; before the start it stands, and a loop is gone through."""
    async with jam_with_bo() as (ada, bo):
        await ada.call("setTransport", {"tempoBpm": 60, "beatsPerBar": 3})
        await ada.call("play", 4)
        transport = (await ada.view())["transport"]
        wanted = {"playing": True, "tempoBpm": 60, "beatsPerBar": 3, "anchorBeat": 4, "loop": None, "by": "ada"}
        assert {key: transport[key] for key in wanted} == wanted
        await hear(bo, "transport.state")
        begins_ms = transport["anchorTime"] - await ada.call("serverTime", 0)
        assert await ada.call("position", begins_ms - 1_000) == 4
        assert await ada.call("position", begins_ms + 10_000) == pytest.approx(14, abs=0.1)
        await bo.set_transport(loop=None, at_beat=100)
        await bo.stop()
        while (await ada.view())["transport"]["playing"]:
            await ada.hear("transport.state")
        assert await ada.call("position") >= 100
        await ada.call("setTransport", {"atBeat": 6, "loop": {"startBeat": 4, "endBeat": 8}})
        await ada.call("play")
        transport = (await ada.view())["transport"]
        begins_ms = transport["anchorTime"] - await ada.call("serverTime", 0)
        assert await ada.call("position", begins_ms + 7_000) == pytest.approx(5, abs=0.1)
        await ada.call("setTransport", {"loop": None})
        await ada.call("stop")
        transport = (await ada.view())["transport"]
        assert (transport["playing"], transport["loop"]) == (False, None)


@pytest.mark.parametrize(
    "wanted", [{}, {"tempoBpm": 1}, {"beatsPerBar": 99}, {"atBeat": -1}, {"loop": {"startBeat": 4, "endBeat": 4}}]
)
async def test_a_transport_that_cannot_be_is_refused(wanted: dict[str, Any]) -> None:
    """And stays as it was."""
    async with band() as (gateway, _), jam(gateway.url) as ada:
        before = (await ada.view())["transport"]
        with pytest.raises(Thrown) as refused:
            await ada.call("setTransport", wanted)
        assert refused.value.code == "invalid_transport"
        assert (await ada.view())["transport"] == before


async def test_before_the_first_heartbeat_the_welcome_says_what_time_it_is() -> None:
    """The clocks are decades apart here, and the server never answers a heartbeat."""

    async def ahead(peer: Peer) -> None:
        transport = b'{"playing":true,"tempoBpm":60,"anchorBeat":0,"anchorTime":5000000}'
        await peer.welcome(now_ms=5_060_000, transport=transport)
        await peer.rest()

    async with scripted(ahead) as url, jam(url) as ada:
        assert (await ada.view())["clockOffsetMs"] is None
        assert await ada.call("position") == pytest.approx(60, abs=DEADLINE_S)


@asynccontextmanager
async def jam_with_bo() -> AsyncIterator[tuple[JsRoom, omnisonic.ClientRoom]]:
    """A program as `ada`, and the Python client as `bo`."""
    async with band("bo") as (gateway, [bo]), jam(gateway.url) as ada:
        yield ada, bo
