"""What a room has of its own goes with it: hooks and state of a program's room, kept messages, roles, presence."""

from collections.abc import Sequence
from typing import ClassVar

import trio

from omnisonic import Member, Message, Room
from omnisonic.actors.hosting.hosted_room import Hosting
from omnisonic.errors import InvalidInput
from omnisonic.studio.messages import Kept, MessageToKeep, Outcome
from tests.cluster.gateways import Stores, open_cluster, open_member_of_cluster, owners, run_until
from tests.rooms import Stage, eventually, listening

SESSION = "0b2c7d9e-4f5a-4c1b-8a6d-1e2f3a4b5c6d"


class Counting(Room[dict[str, int]]):
    """Counts what is said, in one place for all members, and keeps the count between owners."""

    saved: ClassVar[dict[str, int]] = {}

    def initial_state(self) -> dict[str, int]:
        return {"said": 0}

    async def load(self, name: str) -> dict[str, int] | None:
        return dict(self.saved) or None

    async def save(self, name: str, state: dict[str, int]) -> None:
        type(self).saved = dict(state)

    def on_message(self, member: Member, message: Message) -> Message | bool | None:
        self.state["said"] += 1
        self.say("count", self.state["said"])
        return True


class KeepingAll:
    """Kept messages in this process."""

    def __init__(self) -> None:
        self.kept: list[MessageToKeep] = []

    async def keep(self, messages: Sequence[MessageToKeep]) -> list[Outcome | InvalidInput]:
        self.kept += messages
        return [Kept(message.epoch, message.offset) for message in messages]


async def test_a_programs_room_runs_in_one_gateway_and_moves_with_its_state() -> None:
    """Its hooks see the messages of all members; the next owner loads what the one before has saved."""
    Counting.saved = {}
    stores, stop = Stores(), trio.Event()
    async with trio.open_nursery() as gateways:
        a: Stage = await gateways.start(run_until, stop, "a", stores, {"hosting": Hosting(Counting), "grace_s": 5})
        async with open_member_of_cluster("b", stores, hosting=Hosting(Counting), grace_s=5) as b:
            await listening(a, 2)
            async with b.member("eve") as eve:
                ada = await a.bare_member("ada")
                assert len(owners([a, b])) == 1
                await ada.say("note")
                assert (await eve.next("count"))["payload"] == 1
                await eve.say("note")
                assert (await eve.next("count"))["payload"] == 2
                stop.set()
                await ada.closed()
                await eve.say("note")
                assert (await eve.next("count"))["payload"] == 3
                await ada.aclose()
                assert owners([b]) == [0]


async def test_a_listener_elsewhere_changes_nothing() -> None:
    """The owner knows who may change what is shared, and when that changes."""
    async with open_cluster("a", "b") as (a, b), a.member("ada") as ada, b.member("bob") as bob:
        connection = next(iter(b.gateway.connections))
        connection.change_role(is_listener=True)
        await bob.say("state.set", {"key": "tuning", "value": 1})
        assert (await bob.next("error"))["payload"]["code"] == "listeners_change_nothing"
        connection.change_role(is_listener=False)
        await bob.say("state.set", {"key": "tuning", "value": 2})
        assert (await ada.next("state.changed"))["payload"]["value"] == 2


async def test_what_was_provisional_is_dropped_for_what_the_owner_has() -> None:
    """Members who came while the store was away enter the owner's room as soon as it is known."""
    stores = Stores()
    async with open_cluster("a", "b", stores=stores) as (a, b), a.member("ada") as ada:
        await ada.say("state.set", {"key": "tuning", "value": 440})
        stores.memories["b"].is_away = True
        async with b.member("bob") as bob:
            assert (await bob.hear())["type"] == "room.degraded"
            await bob.say("note", "alone", id=1)
            stores.memories["b"].is_away = False
            welcome = await bob.next("welcome")
            assert welcome["payload"]["epoch"] == ada.welcome["payload"]["epoch"]
            assert welcome["payload"]["state"]["tuning"]["value"] == 440
            await bob.say("note", "together", id=1)
            assert (await ada.next("note"))["payload"] == "together"
            assert (await bob.next("ack"))["payload"]["id"] == 1
            await eventually(lambda: owners([a, b]) == [0])


async def test_a_kept_message_from_elsewhere_is_acknowledged_when_it_is_written() -> None:
    """The owner has it written down, and its sender is told, wherever they are."""
    messages = KeepingAll()
    async with (
        open_cluster("a", "b", messages=messages) as (a, b),
        a.member("ada", SESSION) as ada,
        b.member("bob", SESSION) as bob,
    ):
        await bob.say("note", 1, id="x", keep=True)
        assert (await bob.next("ack"))["payload"] == {"id": "x", "offset": 1, "kept": True}
        assert (await ada.next("note"))["offset"] == 1
        assert [each.member_id for each in messages.kept] == ["bob"]


async def test_members_who_are_cut_off_keep_what_they_share() -> None:
    """A gateway that can reach nobody goes on with the state and the transport that its members know."""
    stores = Stores()
    async with open_cluster("a", "b", stores=stores) as (a, b), a.member("ada") as ada, b.member("bob") as bob:
        await ada.say("state.set", {"key": "tuning", "value": 440})
        await ada.say("state.set", {"key": "gone", "value": 1})
        await ada.say("state.set", {"key": "gone", "value": None})
        await ada.say("transport.set", {"tempoBpm": 90})
        await bob.next("transport.state")
        stores.cut_off("b")
        welcome = (await bob.next("welcome"))["payload"]
        assert {key: each["value"] for key, each in welcome["state"].items()} == {"tuning": 440}
        assert welcome["transport"]["tempoBpm"] == 90
        assert [each["memberId"] for each in welcome["members"]] == ["bob"]
        assert welcome["recovered"] is True
        assert (await bob.hear())["type"] == "room.degraded"
        stores.cut_off("b", is_away=False)
        welcome = (await bob.next("welcome"))["payload"]
        assert [each["memberId"] for each in welcome["members"]] == ["ada", "bob"]
        assert welcome["epoch"] == ada.welcome["payload"]["epoch"]
