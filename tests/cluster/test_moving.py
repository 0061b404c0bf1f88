"""A room goes on in another gateway: its owner stops, dies, or is cut off (SPEC 5.5)."""

from contextlib import AsyncExitStack
from typing import Any

import trio

from tests.cluster.gateways import Stores, cluster_of, open_cluster, open_member_of_cluster, owners, run_until
from tests.rooms import Stage, eventually, listening

RECOVERS_S = 6.0


async def test_a_room_moves_without_a_gap_when_its_owner_stops() -> None:
    """Members at another gateway stay connected, and what they say meanwhile is said once."""
    stores = Stores()
    stop = trio.Event()
    async with trio.open_nursery() as gateways, AsyncExitStack() as stack:
        a: Stage = await gateways.start(run_until, stop, "a", stores, {"grace_s": 5})
        b = await stack.enter_async_context(open_member_of_cluster("b", stores, grace_s=5))
        await listening(a, 2)
        ada = await a.bare_member("ada")
        bob = await stack.enter_async_context(b.member("bob"))
        eve = await stack.enter_async_context(b.member("eve"))
        await ada.say("state.set", {"key": "tuning", "value": 440})
        await ada.say("note", 0)
        await eve.next("note")
        assert owners([a, b]) == [0]
        said = 0

        async def talk() -> None:
            nonlocal said
            while said < 300:
                said += 1
                await bob.say("note", said, id=said)
                await trio.sleep(0.005)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            await trio.sleep(0.3)
            stop.set()
        heard: list[int] = []
        welcomes: list[dict[str, Any]] = []
        while not heard or heard[-1] != 300:
            message = await eve.hear()
            if message["type"] == "note":
                heard.append(message["payload"])
            elif message["type"] in ("welcome", "history.gap", "room.degraded", "presence.leave"):
                welcomes.append(message)
        assert heard == list(range(1, 301))
        assert [(each["type"], each["payload"]["recovered"]) for each in welcomes] == [("welcome", True)]
        welcome = welcomes[0]["payload"]
        assert welcome["epoch"] == eve.welcome["payload"]["epoch"]
        assert welcome["state"]["tuning"]["value"] == 440
        assert sorted(each["memberId"] for each in welcome["members"]) == ["ada", "bob", "eve"]
        acks = [message["payload"]["id"] for message in [await bob.next("ack") for _ in range(300)]]
        assert acks == list(range(1, 301))
        assert owners([b]) == [0]
        await ada.aclose()


async def test_a_room_goes_on_when_its_owner_dies() -> None:
    """A gateway with members there takes it over; they stay connected, and miss nothing that they could have heard."""
    stores = Stores()
    async with (
        open_cluster("a", "b", "c", stores=stores, grace_s=5) as (a, b, c),
        a.member("ada") as ada,
        b.member("bob") as bob,
        c.member("eve") as eve,
    ):
        await ada.say("state.set", {"key": "tuning", "value": 440})
        for number in range(5):
            await ada.say("note", number)
        assert [(await eve.next("note"))["payload"] for _ in range(5)] == list(range(5))
        await eventually(lambda: a.gateway.memory_lag_s() == 0)
        stores.cut_off("a")
        await bob.say("note", "lost or late")
        with trio.fail_after(RECOVERS_S):
            welcomes = [await each.next("welcome") for each in (bob, eve)]
        assert len(owners([b, c])) == 1
        for welcome in welcomes:
            assert welcome["payload"]["recovered"] is True
            assert welcome["payload"]["state"]["tuning"]["value"] == 440
            assert {each["memberId"] for each in welcome["payload"]["members"]} == {"ada", "bob", "eve"}
        await eve.say("note", "on")
        assert {message["type"] for message in await bob.until("note")} <= {"presence.update", "presence.join"}
        assert len(owners([a, b, c])) == 1
        stores.cut_off("a", is_away=False)
        with trio.fail_after(RECOVERS_S):
            while (await ada.next("welcome"))["payload"]["epoch"] != welcomes[0]["payload"]["epoch"]:
                pass
        await ada.say("note", "back")
        assert (await bob.next("note"))["payload"] == "back"


async def test_members_of_an_owner_that_is_cut_off_hear_each_other() -> None:
    """They are told, and get no acknowledgements; when the store is back, so are these, if nobody else began."""
    stores = Stores()
    async with open_cluster("a", "b", stores=stores) as (a, _), a.member("ada") as ada, a.member("bob") as bob:
        await ada.say("note", 1, id=1)
        await ada.next("ack")
        stores.cut_off("a")
        with trio.fail_after(RECOVERS_S):
            await ada.next("room.degraded")
        await ada.say("note", 2, id=2)
        assert [(await bob.next("note"))["payload"] for _ in range(2)] == [1, 2]
        stores.cut_off("a", is_away=False)
        before_ack = [message["type"] for message in await ada.until("ack")]
        assert "room.restored" in before_ack
        assert "error" not in before_ack
        assert owners([a]) == [0]
        assert cluster_of(a).lease.is_valid


async def test_a_link_that_is_reset_loses_nobody() -> None:
    """The bus is away for a moment: members stay, and hear what they missed."""
    stores = Stores()
    async with (
        open_cluster("a", "b", stores=stores) as (a, b),
        a.member("ada") as ada,
        b.member("bob") as bob,
    ):
        stores.busses["a"].is_away = True
        await ada.say("note", 1)
        await ada.say("note", 2)
        await trio.sleep(0.3)
        stores.busses["a"].is_away = False
        with trio.fail_after(RECOVERS_S):
            heard = [(await bob.next("note"))["payload"] for _ in range(2)]
        assert heard == [1, 2]
        await bob.say("note", 3)
        assert (await ada.next("note"))["payload"] == 3
        assert owners([a, b]) == [0]


async def test_rooms_survive_a_store_that_is_emptied() -> None:
    """Their owners claim them again, and nobody is told of anything but a moment's doubt."""
    stores = Stores()
    async with (
        open_cluster("a", "b", stores=stores) as (a, b),
        a.member("ada") as ada,
        b.member("bob") as bob,
    ):
        await ada.say("note", 1)
        await bob.next("note")
        stores.memory.lose_everything()  # type: ignore[attr-defined]
        with trio.fail_after(RECOVERS_S):
            await ada.next("room.restored")
            assert (await bob.next("welcome"))["payload"]["recovered"] is True
        await bob.say("note", 2, id="x")
        await bob.next("ack")
        assert (await ada.next("note"))["payload"] == 2
        assert owners([a, b]) == [0]


async def test_members_stay_when_their_gateway_takes_another_name() -> None:
    """Its lease has ended, and the owner of their room has heard it all the time: they are not taken for others."""
    stores = Stores()
    async with (
        open_cluster("a", "b", stores=stores) as (a, b),
        a.member("ada") as ada,
        b.member("bob") as bob,
    ):
        await ada.next("presence.join")
        await stores.memory.end(cluster_of(b).lease.run)
        with trio.fail_after(RECOVERS_S):
            assert (await bob.next("welcome"))["payload"]["recovered"] is True
        await bob.say("note", 1)
        assert {message["type"] for message in await ada.until("note")} <= {"presence.update"}
        await ada.say("note", 2)
        assert (await bob.next("note"))["payload"] == 2
        assert owners([a, b]) == [0]
