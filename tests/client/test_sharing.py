"""What the members of a room share, as a client sees and changes it: state and transport (SPEC 5.2, 8)."""

from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

import omnisonic
from tests.client.libraries import Client
from tests.client.serving import Peer, scripted
from tests.embedding.staging import band, hear, until
from tests.rooms import eventually
from tests.tcp_proxy import open_tcp_proxy


async def test_a_key_that_is_set_is_there_at_once_and_for_all(client: Client) -> None:
    """With its version, and who did it; null deletes it. Whoever comes later finds it."""
    async with client.band("ada", "bo") as (gateway, [ada, bo]):
        assert dict(ada.state) == {}
        assert (ada.state.version("solo"), ada.state.by("solo")) == (0, None)
        version = await ada.set_state("solo", {"who": ["ada"]})
        assert ada.state["solo"] == {"who": ["ada"]}
        assert (ada.state.version("solo"), ada.state.by("solo")) == (version, "ada")
        changed = await hear(bo, "state.changed")
        assert changed.payload == {"key": "solo", "value": {"who": ["ada"]}, "version": version, "by": "ada"}
        assert bo.state == ada.state
        async with client.member(gateway, "cy") as cy:
            assert (dict(cy.state), cy.state.by("solo")) == (dict(ada.state), "ada")
        assert await bo.set_state("solo", None) > version
        assert "solo" not in bo.state
        with pytest.raises(KeyError):
            bo.state["solo"]
        with pytest.raises(TypeError):
            ada.state["solo"] = 1  # type: ignore[index]


async def test_of_two_who_change_a_key_at_the_same_time_one_is_told_the_version(client: Client) -> None:
    """The loser can go on from there."""
    async with client.band("ada", "bo") as (_, [ada, bo]):
        version = await ada.set_state("take", 1, if_version=0)
        with pytest.raises(omnisonic.NotTaken) as conflict:
            await bo.set_state("take", 1, if_version=0)
        assert (conflict.value.code, conflict.value.version) == ("state_conflict", version)
        assert await bo.set_state("take", 2, if_version=version) == bo.state.version("take")
        with pytest.raises(omnisonic.NotTaken) as refused:
            await bo.set_state("", 1)
        assert (refused.value.code, refused.value.version) == ("invalid_state_key", None)


async def test_the_version_is_that_of_ones_own_change(client: Client) -> None:
    """Also when somebody else changes the key in the same moment, so that nobody sees one's own."""
    async with client.band("ada", "bo") as (_, [ada, bo]):
        for _ in range(20):
            await bo.say("state.set", {"key": "k", "value": "bo"})
            version = await ada.set_state("k", "ada")
            await bo.set_state("k", "bo")
            with pytest.raises(omnisonic.NotTaken, match=r"version") as conflict:
                await ada.set_state("k", "again", if_version=version)
            assert conflict.value.version is not None
            assert conflict.value.version > version


async def test_an_ephemeral_key_goes_with_the_member(client: Client) -> None:
    """Those who stay are told."""
    async with client.band("ada") as (gateway, [ada]):
        async with client.member(gateway, "bo") as bo:
            await bo.set_state("cursor.bo", 17, ephemeral=True)
            await bo.set_state("note.bo", 1)
        await hear(ada, "presence.leave")
        await eventually(lambda: dict(ada.state) == {"note.bo": 1})


async def test_a_change_that_was_not_answered_is_made_once(client: Client) -> None:
    """It is sent again after the cut, and is no conflict with itself; state and transport are as the room has them."""
    async with (
        client.band("bo") as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        client.hasty(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        for number in range(10):
            version = ada.state.version("n")
            await ada.say("bye")
            proxy.cut()
            version = await ada.set_state("n", number, if_version=version)
            assert ada.state.version("n") == version
        proxy.refusing = True
        proxy.cut()
        await ada.wait_for("reconnecting")
        await bo.set_state("n", None)
        await bo.set_state("m", 1)
        await bo.play(at_beat=8)
        proxy.refusing = False
        await ada.wait_for("connected")
        assert dict(ada.state) == {"m": 1}
        assert ada.transport == bo.transport
        await ada.say("done")
        received = await until(bo, "done")
        changes = [each.payload["value"] for each in received if each.type == "state.changed"]
        assert changes == [*range(10), None, 1]


async def test_members_agree_where_it_plays(client: Client) -> None:
    """By the server's clock, whatever their own says; before the start it stands."""
    async with client.band("ada", "bo") as (_, [ada, bo]):
        await eventually(lambda: None not in (ada.clock_offset_s, bo.clock_offset_s))
        await ada.set_transport(tempo_bpm=60, beats_per_bar=3)
        await bo.play(at_beat=4)
        assert bo.transport.playing
        await hear(ada, "transport.state")
        await hear(ada, "transport.state")
        assert ada.transport == bo.transport
        assert (ada.transport.tempo_bpm, ada.transport.beats_per_bar, ada.transport.by) == (60, 3, "bo")
        for room in (ada, bo):
            assert room.clock_offset_s is not None
            begins_s = room.transport.anchor_time / 1000 - room.clock_offset_s
            assert room.position(begins_s - 1) == 4
            assert room.position(begins_s + 10) == pytest.approx(14)
        await ada.set_transport(loop=omnisonic.Loop(4, 8))
        assert ada.transport.loop == omnisonic.Loop(4, 8)
        assert ada.position(begins_s + 6) == pytest.approx(6, abs=0.5)
        await ada.set_transport(loop=None, at_beat=100)
        assert ada.transport.loop is None
        await ada.stop()
        assert not ada.transport.playing
        assert ada.position() == ada.position(0) >= 100


@pytest.mark.parametrize(
    "wanted", [{}, {"tempo_bpm": 1}, {"beats_per_bar": 99}, {"at_beat": -1}, {"loop": omnisonic.Loop(4, 4)}]
)
async def test_a_transport_that_cannot_be_is_refused(wanted: dict[str, Any]) -> None:
    """And stays as it was."""
    async with band("ada") as (_, [ada]):
        before = ada.transport
        with pytest.raises(omnisonic.NotTaken) as refused:
            await ada.set_transport(**wanted)
        assert refused.value.code == "invalid_transport"
        assert ada.transport == before


async def test_before_the_first_heartbeat_the_welcome_says_what_time_it_is(client: Client) -> None:
    """The clocks are decades apart here, and the server never answers a heartbeat."""

    async def ahead(peer: Peer) -> None:
        transport = b'{"playing":true,"tempoBpm":60,"anchorBeat":0,"anchorTime":5000000}'
        await peer.welcome(now_ms=5_060_000, transport=transport)
        await peer.rest()

    async with scripted(ahead) as url, client.connect(url, room="jam") as room:
        await wait_all_tasks_blocked()
        assert room.clock_offset_s is None
        assert room.position() == pytest.approx(60, abs=4)


class Strict(omnisonic.Room[None]):
    """A room that keeps back what is to be shared."""

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> bool:
        return message.type != "state.set"


async def test_a_change_that_a_room_keeps_back_has_no_version(client: Client) -> None:
    """It was accepted, and nothing happened."""
    async with client.band("ada", room_class=Strict) as (_, [ada]):
        assert await ada.set_state("k", 1) == 0
        assert dict(ada.state) == {}
