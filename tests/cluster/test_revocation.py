"""Members at any gateway of a cluster lose their right to be in a room, and are closed there (SPEC 5.1, 5.5)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest
import trio
from pydantic import SecretStr

from omnisonic.operations.gateway_process import open_admission
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import LoginEnded, RoleChanged, RoleLost, RoomEvent, encode
from tests.clients import Bare, upgrade_request
from tests.cluster.gateways import Stores, cluster_of, open_member_of_cluster, owners
from tests.gateway.http_answers import asked
from tests.gateway.people import SECRET, People, Somebody, enter, open_people, shown
from tests.rooms import Stage, eventually, listening

pytestmark = pytest.mark.timing

KICKED: Final = (4003, "kicked")
SOON_S: Final = 1.0


@pytest.fixture
async def people(database_url: str) -> AsyncIterator[People]:
    """The accounts and sessions in a database of their own."""
    async with open_people(database_url) as people:
        yield people


@asynccontextmanager
async def two_gateways(database_url: str, stores: Stores, **options: Any) -> AsyncIterator[list[Stage]]:
    """Two gateways that let people in by ticket, each with its own look into the database."""
    settings = Settings(room_access="ticket", database_url=database_url, nextauth_secret=SecretStr(SECRET))
    async with AsyncExitStack() as stack:
        stages = []
        for name in ("a", "b"):
            admission, access = await stack.enter_async_context(open_admission(settings))
            gateway = open_member_of_cluster(name, stores, admission=admission, access=access, **options)
            stages.append(await stack.enter_async_context(gateway))
        await listening(stages[0], 2)
        yield stages


async def publish(stores: Stores, event: RoomEvent) -> None:
    """Say it as the web does."""
    await stores.bus.publish(ROOM_EVENTS, encode(event))


async def closed_soon(bare: Bare) -> tuple[int, str]:
    """With what the server closes, which it must within a second."""
    with trio.fail_after(SOON_S):
        return await bare.closed()


async def band(stages: list[Stage], people: People) -> tuple[str, Somebody, Somebody]:
    """A session of ada, whose room the first gateway will own, and which bo may enter."""
    ada, bo = await people.sign_up("ada"), await people.sign_up("bo")
    return await people.session(ada, bo), ada, bo


async def test_a_sign_out_closes_connections_at_every_gateway(database_url: str, people: People) -> None:
    """All that was entered by it; the others hear it from the owner, and nobody is waited for."""
    stores = Stores()
    async with two_gateways(database_url, stores) as stages:
        jam, ada, bo = await band(stages, people)
        elsewhere = await people.sign_in_again(bo)
        async with (
            await enter(stages[0], ada, jam) as listener,
            await enter(stages[1], bo, jam) as at_edge,
            await enter(stages[0], bo, jam, member_id="desk") as at_owner,
            await enter(stages[1], elsewhere, jam, member_id="phone") as phone,
        ):
            assert owners(stages, jam) == [0]
            await people.accounts.end_login(bo.login)
            await publish(stores, LoginEnded(bo.login))
            assert [await closed_soon(each) for each in (at_edge, at_owner)] == [KICKED] * 2
            left = [(await listener.next("presence.leave"))["payload"] for _ in range(2)]
            assert {(each["memberId"], each["reason"]) for each in left} == {("bo", "kicked"), ("desk", "kicked")}
            assert stages[0].roster(jam) == ["ada", "phone"]
            await phone.say("note", "still here")
            assert (await listener.next("note"))["from"] == "phone"


async def test_who_is_removed_from_a_session_is_closed_at_the_edge(database_url: str, people: People) -> None:
    """In that room; elsewhere they stay. A fresh ticket does not let them in again, at either gateway."""
    stores = Stores()
    async with two_gateways(database_url, stores) as stages:
        jam, ada, bo = await band(stages, people)
        duo = await people.session(ada, bo)
        async with (
            await enter(stages[0], ada, jam),
            await enter(stages[1], bo, jam) as here,
            await enter(stages[1], bo, duo) as there,
        ):
            await people.sessions.remove(ada.login, jam, bo.person)
            await publish(stores, RoleLost(jam, bo.person))
            assert await closed_soon(here) == KICKED
            await eventually(lambda: stages[0].roster(jam) == ["ada"])
            await there.say("note", id=1)
            assert (await there.next("ack"))["payload"]["id"] == 1
        for stage in stages:
            request = upgrade_request("/", stage.port, Sec_WebSocket_Protocol=shown(bo.ticket(jam)))
            status, _, body = await asked(stage, request)
            assert (status, body["code"]) == (403, "no_access")


async def test_a_role_that_changes_is_followed_by_the_owner(database_url: str, people: People) -> None:
    """The member is at the edge, which hears of it; the owner decides what they may do."""
    stores = Stores()
    async with two_gateways(database_url, stores) as stages:
        jam, ada, bo = await band(stages, people)
        async with await enter(stages[0], ada, jam), await enter(stages[1], bo, jam) as bob:
            await bob.say("state.set", {"key": "take", "value": 1}, id=1)
            await bob.next("ack")
            await people.sessions.change_role(ada.login, jam, bo.person, "listener")
            await publish(stores, RoleChanged(jam, bo.person, "listener"))
            await eventually(lambda: any(each.is_listener for each in stages[0].room(jam).entries))
            await bob.say("state.set", {"key": "take", "value": 2}, id=2)
            assert (await bob.next("error"))["payload"]["code"] == "listeners_change_nothing"


async def test_an_edge_that_missed_the_event_finds_out_by_itself(database_url: str, people: People) -> None:
    """The bus was away from it: it asks the database again and again, whoever owns the room."""
    stores = Stores()
    async with two_gateways(database_url, stores, recheck_s=0.1) as stages:
        jam, ada, bo = await band(stages, people)
        async with await enter(stages[0], ada, jam) as listener, await enter(stages[1], bo, jam) as at_edge:
            stores.busses["b"].is_away = True
            await people.accounts.end_login(bo.login)
            await publish(stores, LoginEnded(bo.login))
            assert await closed_soon(at_edge) == KICKED
            stores.busses["b"].is_away = False
            assert (await listener.next("presence.leave"))["payload"]["memberId"] == "bo"
            await eventually(lambda: len(cluster_of(stages[1]).edges) == 0)
            assert stages[0].roster(jam) == ["ada"]
