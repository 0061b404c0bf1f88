"""Members without a connection: what REST presence does, as a room's members see it (SPEC 3, presence rows)."""

from operator import itemgetter
from typing import Any

import pytest
import trio

from omnisonic.actors.sync.event_relay import EventRelay
from omnisonic.errors import Unavailable
from omnisonic.models import Member, PresenceMember, RoomId, Status
from omnisonic.operations.gateway_stores import open_presence_and_bus
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import LeaseDropped, LeasePut, RoomSaid, encode
from omnisonic.stores.bus.memory import QUEUE_LENGTH
from omnisonic.stores.presence import Lease
from omnisonic.stores.presence.memory import MemoryPresence
from tests.clients import Client
from tests.gateway.conftest import OpenStage, both_stores
from tests.rooms import PoisonedRoom, Stage, becomes, eventually, listening, open_stage
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing
store_kind = both_stores


async def put(stage: Stage, member: str = "cy", ttl_s: float = 60.0, status: Status = "active") -> None:
    """Say over REST that a member is there: in the store first, then on the bus."""
    await stage.presence.put_lease("jam", PresenceMember(member, member.title(), status), ttl_s=ttl_s)
    await stage.bus.publish(ROOM_EVENTS, encode(LeasePut("jam", Member(member, member.title(), status), ttl_s)))


async def drop(stage: Stage, member: str = "cy") -> None:
    """Take it back over REST."""
    await stage.presence.drop_lease("jam", member)
    await stage.bus.publish(ROOM_EVENTS, encode(LeaseDropped("jam", member)))


def line(member: str = "cy", status: Status = "active") -> dict[str, Any]:
    """The payload that shows a member."""
    return {"memberId": member, "displayName": member.title(), "status": status, "connected": True}


async def quiet(member: Client) -> None:
    """Nothing has come to `member` that has not been heard."""
    await member.say("quiet?", to=member.welcome["payload"]["memberId"])
    assert (await member.hear())["type"] == "quiet?"


async def test_a_lease_joins_is_updated_and_is_taken_back(stage: Stage) -> None:
    """The room sees join, update and leave `removed`, each once; renewing without a change is silent."""
    async with stage.member("ada") as ada:
        await listening(stage)
        await put(stage)
        assert await ada.hear() == {"type": "presence.join", "payload": line()}
        await put(stage)
        await put(stage, status="away")
        assert await ada.hear() == {"type": "presence.update", "payload": line(status="away")}
        async with stage.member("bo") as bo:
            assert line(status="away") in bo.welcome["payload"]["members"]
        for type_ in ("presence.join", "presence.leave"):
            assert (await ada.hear())["type"] == type_
        await drop(stage)
        await drop(stage)
        assert await ada.hear() == {"type": "presence.leave", "payload": {"memberId": "cy", "reason": "removed"}}
        await quiet(ada)


async def test_a_lease_that_is_not_renewed_expires(stage: Stage) -> None:
    """Leave `expired`, once, and the room's mirror and the store agree."""
    async with stage.member("ada") as ada:
        await listening(stage)
        await put(stage, ttl_s=0.4)
        assert (await ada.hear())["type"] == "presence.join"
        await becomes(stage.mirrored, ["ada", "cy"], deadline_s=1.0)
        assert await ada.hear() == {"type": "presence.leave", "payload": {"memberId": "cy", "reason": "expired"}}
        await becomes(stage.mirrored, ["ada"], deadline_s=1.0)
        assert stage.roster() == ["ada"]


async def test_a_lease_holds_the_seat_of_a_connected_member(stage: Stage) -> None:
    """No second join; when the connection ends the lease still holds the seat, and its end is the one leave."""
    async with stage.member("ada") as ada:
        await listening(stage)
        async with stage.member("cy"):
            assert (await ada.hear())["type"] == "presence.join"
            await put(stage)
            await quiet(ada)
            await eventually(lambda: any(entry.lease_until_s for entry in stage.room().entries))
        await eventually(lambda: len(stage.gateway.connections) == 1)
        await quiet(ada)
        assert stage.roster() == ["ada", "cy"]
        async with stage.member("cy"):
            await drop(stage)
            await eventually(lambda: not any(entry.lease_until_s for entry in stage.room().entries))
        assert await ada.hear() == {"type": "presence.leave", "payload": {"memberId": "cy", "reason": "left"}}


async def test_a_lease_gives_nobody_a_voice(stage: Stage) -> None:
    """A member who is not connected cannot be spoken to."""
    async with stage.member("ada") as ada:
        await listening(stage)
        await put(stage)
        assert (await ada.hear())["type"] == "presence.join"
        await ada.say("note", to="cy")
        assert await ada.error() == "unknown_member"


async def test_leases_older_than_the_room_are_read_from_the_store(stage: Stage) -> None:
    """Whoever was put before anybody entered joins as soon as the room is there, once. Their order is not promised:
    the news of one may come when the room is there already.
    """
    await put(stage)
    await put(stage, "di", status="away")
    async with stage.member("ada") as ada:
        joined = [(await ada.hear())["payload"] for _ in range(2)]
        assert sorted(joined, key=itemgetter("memberId")) == [line(), line("di", "away")]
        await quiet(ada)
        assert sorted(stage.roster()) == ["ada", "cy", "di"]


async def test_a_crash_of_the_room_keeps_leases(stage_over: OpenStage) -> None:
    """They are part of the roster that the restarted room is given."""
    async with stage_over(room_class=PoisonedRoom) as stage, stage.member("ada") as ada:
        await listening(stage)
        await put(stage)
        assert (await ada.hear())["type"] == "presence.join"
        await ada.say("poison")
        assert await ada.error() == "room_crashed"
        await quiet(ada)
        assert stage.roster() == ["ada", "cy"]
        await drop(stage)
        assert (await ada.hear())["payload"] == {"memberId": "cy", "reason": "removed"}


async def caught_up(stage: Stage, ada: Client) -> None:
    """Wait until the gateway hears the bus, and has read what it had missed before."""
    await listening(stage)
    await stage.bus.publish(ROOM_EVENTS, encode(RoomSaid("jam", "over the bus")))
    assert (await ada.hear())["type"] == "over the bus"
    (relay,) = (each for each in stage.gateway.registry.watchers if isinstance(each, EventRelay))
    await eventually(lambda: not relay.is_behind)


async def missed(stage: Stage, ada: Client) -> None:
    """The store changes, and nobody hears of it."""
    await caught_up(stage, ada)
    await put(stage)
    assert (await ada.hear())["payload"] == line()
    await stage.presence.put_lease("jam", PresenceMember("di", "Di"), ttl_s=60)
    await stage.presence.drop_lease("jam", "cy")
    await quiet(ada)


async def made_up_for(ada: Client) -> None:
    """What was missed comes, each of it once."""
    received = [await ada.hear() for _ in range(2)]
    assert {message["type"]: message["payload"]["memberId"] for message in received} == {
        "presence.leave": "cy",
        "presence.join": "di",
    }
    await quiet(ada)


async def test_a_bus_that_overflowed_is_made_up_for() -> None:
    """It dropped what nobody took in time, and says so: the store is read again."""
    async with open_stage() as stage, stage.member("ada") as ada:
        await missed(stage, ada)
        for _ in range(QUEUE_LENGTH + 1):
            await stage.bus.publish(ROOM_EVENTS, b"{}")
        await made_up_for(ada)


async def test_a_bus_whose_connection_broke_is_made_up_for(valkey: ValkeyServer) -> None:
    """The subscription is cut off by the server: once it is back, the store is read again."""
    async with (
        open_presence_and_bus(valkey.url) as (presence, bus),
        open_stage(presence=presence, bus=bus) as stage,
        stage.member("ada") as ada,
    ):
        await missed(stage, ada)
        with valkey.client as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await made_up_for(ada)


class HeldBack(MemoryPresence):
    """A store whose answer about leases is what it was when it was asked, and comes when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = trio.Event(), trio.Event()

    async def leases(self, room: RoomId) -> list[Lease]:
        leases = await super().leases(room)
        self.asked.set()
        await self.go_on.wait()
        return leases


async def test_what_the_store_said_before_an_event_does_not_undo_it() -> None:
    """A lease is put while the store's answer is on its way, another is taken back: the answer is too old by then."""
    store = HeldBack()
    await store.put_lease("jam", PresenceMember("di", "Di"), ttl_s=60)
    async with open_stage(presence=store) as stage, stage.member("ada") as ada:
        await listening(stage)
        await store.asked.wait()
        await put(stage)
        assert await ada.hear() == {"type": "presence.join", "payload": line()}
        await drop(stage, "di")
        await put(stage, status="away")
        assert await ada.hear() == {"type": "presence.update", "payload": line(status="away")}
        store.go_on.set()
        (relay,) = (each for each in stage.gateway.registry.watchers if isinstance(each, EventRelay))
        await eventually(lambda: not relay.is_behind)
        await quiet(ada)
        assert stage.roster() == ["ada", "cy"]


class FailsTwice(MemoryPresence):
    """A store that does not answer the first two times that it is asked for leases."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 2

    async def leases(self, room: RoomId) -> list[Lease]:
        if self.failures:
            self.failures -= 1
            raise Unavailable("The store is away.")
        return await super().leases(room)


async def test_leases_that_could_not_be_read_are_read_again() -> None:
    """Whoever was there before the room is not forgotten because the store was away just then."""
    store = FailsTwice()
    await store.put_lease("jam", PresenceMember("cy", "Cy"), ttl_s=60)
    async with open_stage(presence=store) as stage, stage.member("ada") as ada:
        assert await ada.hear() == {"type": "presence.join", "payload": line()}
        assert store.failures == 0


async def test_what_is_no_event_is_passed_over(stage: Stage) -> None:
    """Something else on the channel, or a newer version's event, hurts nobody."""
    async with stage.member("ada") as ada:
        await listening(stage)
        for data in (b"", b"nonsense", b'{"type":"lease.put"}', b'{"type":"later","room":"jam"}'):
            await stage.bus.publish(ROOM_EVENTS, data)
        await stage.bus.publish(ROOM_EVENTS, encode(LeaseDropped("elsewhere", "cy")))
        await put(stage)
        assert await ada.hear() == {"type": "presence.join", "payload": line()}
        assert stage.gateway.room("elsewhere") is None
