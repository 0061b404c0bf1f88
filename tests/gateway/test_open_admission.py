"""Open access with tickets: anybody may enter, but who shows a ticket is who it says (SPEC 5.1)."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from pydantic import SecretStr

from omnisonic.errors import BadSettings
from omnisonic.operations.gateway_process import open_admission
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import LoginEnded, encode
from tests.clients import upgrade_request
from tests.gateway.http_answers import asked
from tests.gateway.people import SECRET, Somebody, enter, shown
from tests.rooms import Stage, listening, open_stage

ADA: Final = Somebody("ada", "4c3c1c5e-0000-4000-8000-000000000001", "token one")
BO: Final = Somebody("bo", "4c3c1c5e-0000-4000-8000-000000000002", "token two")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """An open gateway that knows the secret, without a database."""
    settings = Settings(room_access="open", nextauth_secret=SecretStr(SECRET))
    async with open_admission(settings) as (admission, access), open_stage(admission=admission, access=access) as stage:
        await listening(stage)
        yield stage


async def by_ticket(stage: Stage, ticket: str, target: str = "/") -> tuple[int, object]:
    """What becomes of somebody who shows this ticket."""
    request = upgrade_request(target, stage.port, Sec_WebSocket_Protocol=shown(ticket))
    status, _, body = await asked(stage, request)
    return status, body.get("code")


async def test_without_a_ticket_anybody_enters_any_room(stage: Stage) -> None:
    """As ever; a cookie says nothing here."""
    async with stage.member("ada"):
        assert stage.roster() == ["ada"]


async def test_a_ticket_is_checked_where_the_secret_is_known(stage: Stage) -> None:
    """Forged, expired, used, or for another room than the query says: 403, though anybody could enter without it."""
    used = ADA.ticket("jam")
    assert await by_ticket(stage, used) == (101, None)
    for ticket, target in (
        (used, "/"),
        (ADA.ticket("jam", secret="x" * 40), "/"),
        (ADA.ticket("jam", expires_ms=1), "/"),
        (ADA.ticket("jam"), "/?roomId=duo"),
        (ADA.ticket("jam"), stage.target("eve")),
    ):
        assert await by_ticket(stage, ticket, target) == (403, "invalid_ticket")


async def test_a_ticket_binds_the_seat_to_its_person(stage: Stage) -> None:
    """Nobody else gets it, known or not; they themselves do."""
    async with await enter(stage, ADA, "jam", member_id="guitar") as first:
        request = upgrade_request("/", stage.port, Sec_WebSocket_Protocol=shown(BO.ticket("jam", member_id="guitar")))
        for asking in (request, upgrade_request(stage.target("guitar"), stage.port)):
            async with await stage.bare() as thief:
                await thief.stream.send_all(asking)
                await thief.head()
                assert await thief.closed() == (1008, "member_taken")
        async with await enter(stage, ADA, "jam", member_id="guitar"):
            assert await first.closed() == (4001, "replaced")


async def test_a_sign_out_closes_what_was_entered_by_ticket(stage: Stage) -> None:
    """Who walked in stays."""
    async with stage.member("eve") as eve, await enter(stage, ADA, "jam") as ada:
        await stage.bus.publish(ROOM_EVENTS, encode(LoginEnded(ADA.login)))
        assert await ada.closed() == (4003, "kicked")
        assert (await eve.next("presence.leave"))["payload"]["reason"] == "kicked"


async def test_a_gap_sends_nobody_out_of_an_open_gateway(stage: Stage) -> None:
    """There is no database to ask."""
    async with await enter(stage, ADA, "jam") as ada:
        stage.gateway.revocation.recheck_soon()
        await ada.say("note", id=1)
        assert (await ada.next("ack"))["payload"]["id"] == 1


async def test_a_gateway_without_the_secret_does_not_know_tickets() -> None:
    """And makes no secret of its own for it: whatever stands there is ignored, as it always was."""
    async with (
        open_admission(Settings(room_access="open")) as (admission, _),
        open_stage(admission=admission) as stage,
        stage.member("ada", ticket="anything"),
    ):
        assert stage.roster() == ["ada"]


async def test_tickets_without_a_database_are_refused_at_the_start() -> None:
    """A sentence names the variable."""
    with pytest.raises(BadSettings, match=r"^DATABASE_URL is not set, .*\.$"):
        async with open_admission(Settings(room_access="ticket", nextauth_secret=SecretStr(SECRET))):
            pass


async def test_production_needs_a_secret_for_tickets(database_url: str) -> None:
    """Nothing is made up where several machines must agree on it."""
    settings = Settings(room_access="ticket", database_url=database_url, omnisonic_env="production")
    with pytest.raises(BadSettings, match="NEXTAUTH_SECRET"):
        async with open_admission(settings):
            pass
