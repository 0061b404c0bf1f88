"""Admission by a program's own rules (SPEC 5.1, 8)."""

import logging
from typing import Any

import pytest
import trio

import omnisonic
from omnisonic.actors.admission.pending import CHECK_TIMEOUT_S
from tests.clients import DEADLINE_S
from tests.embedding.staging import member

PEOPLE = {"green": ("ada", "Ada Lovelace"), "blue": ("bo", "Bo Diddley")}


def by_ticket(request: omnisonic.Request) -> omnisonic.Admitted:
    """Who has one of the tickets is who it says."""
    person = PEOPLE.get(request.ticket or "")
    if person is None:
        raise omnisonic.Refused(403, "not_invited", "Ask for a ticket.")
    return request.admitted(member_id=person[0], name=person[1], person=person[0])


async def by_ticket_later(request: omnisonic.Request) -> omnisonic.Admitted:
    """The same, after asking somebody."""
    await trio.lowlevel.checkpoint()
    return by_ticket(request)


async def refused(gateway: omnisonic.RunningGateway, **reported: Any) -> omnisonic.EntryRefused:
    """How somebody is refused who comes with this."""
    with pytest.raises(omnisonic.EntryRefused) as refusal:
        async with omnisonic.connect(gateway.url, **reported):
            pass
    return refusal.value


@pytest.mark.parametrize("admit", [by_ticket, by_ticket_later])
async def test_a_hook_says_who_somebody_is_or_keeps_them_out(admit: Any) -> None:
    """Whether it waits or not; a seat with a `person` is nobody else's."""
    async with (
        omnisonic.open_gateway(admit=admit) as gateway,
        omnisonic.connect(gateway.url, room="jam", ticket="green", name="Mallory") as ada,
    ):
        assert [(each.member_id, each.display_name) for each in ada.members] == [("ada", "Ada Lovelace")]
        assert (ada.name, ada.member_id) == ("jam", "ada")
        stranger = await refused(gateway, room="jam", name="Eve", ticket="red")
        assert (stranger.status, stranger.code, stranger.message) == (403, "not_invited", "Ask for a ticket.")
        nobody = await refused(gateway, room="jam", name="Eve")
        assert nobody.code == "not_invited"


@pytest.mark.parametrize("admit", [by_ticket, by_ticket_later])
async def test_what_is_missing_in_the_query_is_told_after_the_upgrade(admit: Any) -> None:
    """So that a browser can read it."""
    async with omnisonic.open_gateway(admit=admit) as gateway:
        wrong = await refused(gateway, ticket="green")
        assert (wrong.status, wrong.code) == (None, "invalid_query")


async def test_a_seat_is_its_persons() -> None:
    """Another person who claims the same memberId is told so."""

    def admit(request: omnisonic.Request) -> omnisonic.Admitted:
        return request.admitted(person=request.headers.get("x-person"))

    async with (
        omnisonic.open_gateway(admit=admit) as gateway,
        member(gateway, "ada", headers={"X-Person": "ada"}) as ada,
    ):
        thief = await refused(gateway, room="jam", member_id="ada", headers={"X-Person": "eve"})
        assert thief.code == "member_taken"
        async with member(gateway, "ada", headers={"X-Person": "ada"}):
            with trio.fail_after(DEADLINE_S), pytest.raises(omnisonic.Closed) as closed:
                async for _ in ada:
                    pass
            assert (closed.value.code, closed.value.close_code) == ("replaced", 4001)


async def test_a_hook_sees_what_was_asked() -> None:
    """Room, member, name, path, query and headers; and may answer another room."""
    seen: list[omnisonic.Request] = []

    def admit(request: omnisonic.Request) -> omnisonic.Admitted:
        seen.append(request)
        return request.admitted(room="lobby", status="away")

    async with omnisonic.open_gateway(admit=admit) as gateway:
        url = gateway.url + "/here?colour=red"
        async with omnisonic.connect(url, room="jam", name="Ada", member_id="ada", headers={"X-Y": "z"}) as ada:
            assert (ada.name, ada.members[0].status) == ("lobby", "away")
    (request,) = seen
    assert (request.room, request.member_id, request.name, request.ticket) == ("jam", "ada", "Ada", None)
    assert (request.path, request.query["colour"], request.headers["x-y"]) == ("/here", "red", "z")


async def waits(request: omnisonic.Request) -> omnisonic.Admitted:
    raise LookupError("no database")


def forgets(request: omnisonic.Request) -> Any:
    return None


def fails(request: omnisonic.Request) -> omnisonic.Admitted:
    raise LookupError("no database")


@pytest.mark.parametrize("admit", [waits, forgets, fails])
async def test_a_hook_that_raises_costs_its_newcomer_alone(admit: Any, caplog: pytest.LogCaptureFixture) -> None:
    """500 for them, and the traceback for the author."""
    async with omnisonic.open_gateway(admit=admit) as gateway:
        assert (await refused(gateway, room="jam", name="Ada")).status == 500
    texts = [logging.Formatter().formatException(each.exc_info) for each in caplog.records if each.exc_info]
    assert any("no database" in text or "admit must return" in text for text in texts)


async def test_a_hook_that_cannot_say_now_or_does_not_answer_has_newcomers_wait() -> None:
    """503, which is no refusal for good."""

    async def admit(request: omnisonic.Request) -> omnisonic.Admitted:
        if request.room == "slow":
            await trio.sleep_forever()
        raise omnisonic.Unavailable("The database is down.")

    async with omnisonic.open_gateway(admit=admit) as gateway:
        down = await refused(gateway, room="jam", name="Ada")
        assert (down.status, down.code, down.retry_after_s) == (503, "unavailable", 1.0)
        with trio.fail_after(CHECK_TIMEOUT_S + DEADLINE_S):
            assert (await refused(gateway, room="slow", name="Ada")).status == 503


async def test_two_tickets_are_none() -> None:
    """One in the query and another one in the subprotocols."""
    async with omnisonic.open_gateway(admit=by_ticket) as gateway:
        url = gateway.url + "/?ticket=blue"
        with pytest.raises(omnisonic.EntryRefused) as wrong:
            async with omnisonic.connect(url, room="jam", ticket="green"):
                pass
        assert wrong.value.code == "invalid_ticket"
