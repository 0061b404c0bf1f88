"""One room, two gateways: members of either hear and see each other as in one (SPEC 5.5)."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from omnisonic.stores.bus import ROOM_EVENTS, Delivery
from omnisonic.stores.bus.events import RoomClosed, RoomSaid, encode
from omnisonic.wire.closing import CloseCode, Closing
from tests.cluster.gateways import Stores, cluster_of, open_cluster, owners
from tests.rooms import Stage, becomes, eventually, upgrade_request

GRACE_S: Final = 0.2


@pytest.fixture
async def stages() -> AsyncIterator[list[Stage]]:
    """Two gateways over the same stores."""
    async with open_cluster("a", "b") as stages:
        yield stages


async def test_members_of_two_gateways_are_in_one_room(stages: list[Stage]) -> None:
    """They see each other, hear each other in one order, and get their acknowledgements."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as bob:
        assert owners(stages) == [0]
        assert [each["memberId"] for each in bob.welcome["payload"]["members"]] == ["ada", "bob"]
        assert (await ada.next("presence.join"))["payload"]["memberId"] == "bob"
        assert ada.welcome["payload"]["epoch"] == bob.welcome["payload"]["epoch"]
        await ada.say("note", 1)
        heard = await bob.next("note")
        assert (heard["payload"], heard["from"], heard["offset"]) == (1, "ada", 1)
        await bob.say("note", 2, id="x")
        heard = await ada.next("note")
        assert (heard["payload"], heard["from"], heard["offset"]) == (2, "bob", 2)
        assert (await bob.next("ack"))["payload"] == {"id": "x", "offset": 2}
        await bob.say("note", 2, id="x")
        assert (await bob.next("ack"))["payload"] == {"id": "x", "offset": 2}
        assert stages[0].roster() == ["ada", "bob"]
        assert stages[1].gateway.room("jam") is None
        await becomes(stages[1].mirrored, ["ada", "bob"])


async def test_all_kinds_of_messages_pass_between_gateways(stages: list[Stage]) -> None:
    """To one member, in either direction; binary; the presence of a member; the shared state and the transport."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as bob, stages[1].member("eve") as eve:
        await ada.say("signal.offer", 1, to="eve")
        assert (await eve.next("signal.offer"))["from"] == "ada"
        await eve.say("signal.answer", 2, to="bob")
        assert (await bob.next("signal.answer"))["payload"] == 2
        await bob.say("signal.answer", 3, to="nobody")
        assert (await bob.next("error"))["payload"]["code"] == "unknown_member"
        await bob.send(b"\x01\x02")
        for other in (ada, eve):
            assert (await other.next(None))["bytes"] == b"\x03bob\x01\x02"
        await eve.say("presence.set", {"displayName": "Eva"})
        assert (await ada.next("presence.update"))["payload"]["displayName"] == "Eva"
        await eve.say("state.set", {"key": "tuning", "value": 440})
        for each in (ada, bob, eve):
            assert (await each.next("state.changed"))["payload"]["by"] == "eve"
        await bob.say("transport.set", {"playing": True})
        for each in (ada, bob, eve):
            assert (await each.next("transport.state"))["payload"]["playing"] is True
        async with stages[1].member("joe") as joe:
            assert joe.welcome["payload"]["state"]["tuning"]["value"] == 440
            assert joe.welcome["payload"]["transport"]["playing"] is True
        assert (await ada.next("presence.leave"))["payload"] == {"memberId": "joe", "reason": "left"}


async def test_a_join_that_was_given_up_ends_no_newer_connection() -> None:
    """It waited while the owner was not heard, and its client has come elsewhere. Then it arrives, and is too late."""
    stores = Stores()
    async with (
        open_cluster("a", "b", stores=stores) as stages,
        stages[0].member("ada") as ada,
        stages[1].member("bob") as bob,
    ):
        stores.busses["b"].is_away = True
        async with await stages[1].bare() as given_up:
            await given_up.stream.send_all(upgrade_request(stages[1].target("eve"), stages[1].port))
            assert (await given_up.head()).startswith(b"HTTP/1.1 101")
            await eventually(lambda: len(stages[1].gateway.connections) == 2)
        await eventually(lambda: len(stages[1].gateway.connections) == 1)
        async with stages[0].member("eve") as eve:
            stores.busses["b"].is_away = False
            await bob.say("note", "heard again")
            await eve.until("note")
            await eve.say("note", "here still", id=1)
            await eve.next("ack")
            await bob.until("note")
            assert stages[0].roster() == ["ada", "bob", "eve"]
            assert [each["type"] for each in await ada.until("note") if "leave" in each["type"]] == []


async def test_the_newest_connection_of_a_member_wins_wherever_it_is(stages: list[Stage]) -> None:
    """The older one gets 4001; nobody is told that the member has gone."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as old, stages[0].member("bob") as new:
        assert (await old.closed())[0] == 4001
        await new.say("note", 1)
        assert {message["type"] for message in await ada.until("note")} <= {"presence.join"}
        async with stages[1].member("bob") as newest:
            assert (await new.closed())[0] == 4001
            await newest.say("note", 2)
            assert (await ada.hear())["payload"] == 2


async def test_kicks_and_closes_reach_any_gateway(stages: list[Stage]) -> None:
    """An operator at the owner kicks a member who is elsewhere; the end of a session ends everybody."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as bob, stages[1].member("eve") as eve:
        seat = next(entry for entry in stages[0].room().entries if entry.member.member_id == "bob")
        assert seat.connection is not None
        seat.connection.close(Closing(CloseCode.KICKED))
        assert (await bob.closed())[0] == 4003
        assert (await ada.next("presence.leave"))["payload"] == {"memberId": "bob", "reason": "kicked"}
        await stages[0].bus.publish(ROOM_EVENTS, encode(RoomClosed("jam")))
        assert (await ada.closed())[0] == (await eve.closed())[0] == 4004
    await eventually(lambda: len(cluster_of(stages[1]).edges) == 0)


async def test_a_member_comes_back_at_another_gateway(stages: list[Stage]) -> None:
    """What was said meanwhile comes, each message once."""
    async with stages[0].member("ada") as ada:
        async with stages[1].member("bob") as bob:
            await ada.say("note", 1)
            since = f"{bob.welcome['payload']['epoch']}:{(await bob.next('note'))['offset']}"
        await ada.say("note", 2)
        await ada.say("note", 3, id="x")
        await ada.next("ack")
        async with stages[1].member("bob", since=since) as bob:
            assert bob.welcome["payload"]["recovered"] is True
            assert [(await bob.hear())["payload"] for _ in range(2)] == [2, 3]
            await ada.say("note", 4)
            assert (await bob.hear())["payload"] == 4


async def test_a_message_from_the_web_is_said_once(stages: list[Stage]) -> None:
    """Every gateway hears of it, and the owner alone says it and answers."""
    async with (
        stages[0].member("ada") as ada,
        stages[1].member("bob") as bob,
        stages[0].bus.subscribe("replies") as replies,
    ):
        await stages[0].bus.publish(ROOM_EVENTS, encode(RoomSaid("jam", "session.updated", reply_to="replies")))
        await stages[0].bus.publish(ROOM_EVENTS, encode(RoomSaid("jam", "last", reply_to="replies")))
        for each in (ada, bob):
            assert [message["type"] for message in await each.until("last") if message["type"] != "presence.join"] == [
                "session.updated"
            ]
        answers = [await anext(replies) for _ in range(2)]
        assert [each.data for each in answers if isinstance(each, Delivery)] == [b'{"offset":1}', b'{"offset":2}']


async def test_limits_of_a_room_are_its_owners() -> None:
    """A room that is full is full for everybody, and a name that is taken is taken."""
    async with (
        open_cluster("a", "b", max_members_per_room=2) as stages,
        stages[0].member("ada"),
        stages[1].member("bob"),
    ):
        bare = await stages[1].bare()
        async with bare:
            await bare.stream.send_all(upgrade_request(stages[1].target("eve"), stages[1].port))
            await bare.head()
            assert (await bare.hear())["payload"]["code"] == "room_full"
            assert (await bare.closed())[0] == 1008
        assert stages[0].roster() == ["ada", "bob"]


async def test_a_member_who_does_not_read_is_closed_where_they_are(stages: list[Stage]) -> None:
    """Their own gateway closes them (4008), and the others at it go on."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as bob:
        slow = await stages[1].bare_member("eve", receive_buffer_bytes=4_096)
        async with slow:
            for number in range(100):
                await ada.say("note", "x" * 60_000 + str(number))
                await bob.next("note")
            assert (await ada.next("presence.leave"))["payload"] == {"memberId": "eve", "reason": "too_slow"}
        assert stages[1].gateway.counters.closes == {4008: 1}


async def test_a_broken_connection_is_waited_for_by_the_owner() -> None:
    """The member comes back in time, or is gone, as with one gateway."""
    async with open_cluster("a", "b", grace_s=GRACE_S) as stages, stages[0].member("ada") as ada:
        bare = await stages[1].bare_member("bob")
        await bare.aclose()
        assert (await ada.next("presence.leave"))["payload"] == {"memberId": "bob", "reason": "lost"}


async def test_a_full_mailbox_refuses_what_comes_from_elsewhere(stages: list[Stage]) -> None:
    """The sender is told, wherever they are."""
    async with stages[0].member("ada"), stages[1].member("bob") as bob:
        actor = stages[0].room()
        actor.hold()
        actor.mailbox.size = 1 << 30
        await bob.say("note", 1)
        assert (await bob.next("error"))["payload"]["code"] == "room_busy"
        actor.mailbox.size = 0
        actor.resume()


async def test_a_room_that_is_empty_at_an_edge_costs_nothing_there(stages: list[Stage]) -> None:
    """The edge room is forgotten, and so is the group of its members at the owner."""
    async with stages[0].member("ada"):
        async with stages[1].member("bob"):
            assert len(cluster_of(stages[1]).edges) == 1
            assert len(cluster_of(stages[0]).owned) == 1
        await eventually(lambda: len(cluster_of(stages[1]).edges) == 0)
        await eventually(lambda: stages[0].room().remotes is None)
        await eventually(lambda: len(cluster_of(stages[0]).owned) == 0)
