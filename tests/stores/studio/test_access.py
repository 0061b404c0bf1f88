"""What the access store promises (`omnisonic.access`), on a real Postgres and as a trio program uses it."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
import trio

from omnisonic.access import AccessStore, Pass
from omnisonic.access.postgres import PostgresAccess
from omnisonic.access.threaded import ThreadedAccess
from omnisonic.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.logins import IDLE_S, TOUCH_S, login_id, new_token
from omnisonic.models import LoginId, Person, SessionId
from tests.stores.conftest import DEADLINE_S
from tests.stores.studio.databases import DEAD_URL, Base, base_at
from tests.stores.studio.people import PostgresPeople


@dataclass
class Band:
    """Ada's session, which Bo shares and Cy does not."""

    people: PostgresPeople
    access: AccessStore
    session: SessionId
    logins: dict[str, LoginId]
    persons: dict[str, Person]

    def seat(self, name: str) -> Pass:
        return Pass(self.logins[name], self.session)

    async def unused_for(self, name: str, idle_s: float) -> None:
        """As if the sign-in had not been used for that long."""
        idle = timedelta(seconds=idle_s)
        await self.people.base.sql(
            "UPDATE logins SET seen_at = now() - $2::interval WHERE id = $1", self.logins[name], idle
        )

    async def noted_just_now(self, name: str) -> bool:
        statement = "SELECT count(*) FROM logins WHERE id = $1 AND seen_at > now() - interval '1 minute'"
        return await self.people.base.number(statement, self.logins[name]) == 1


@pytest.fixture
async def band(base: Base) -> Band:
    """Three people, one session."""
    people = PostgresPeople(base)
    arrived = {name: await people.arrives(name) for name in ("ada", "bo", "cy")}
    logins = {name: login for name, (login, _) in arrived.items()}
    session = await people.store.create(logins["ada"], "Night jam")
    await people.store.invite(logins["ada"], session.id, "digest")
    await people.store.accept(logins["bo"], "digest")
    access = ThreadedAccess(base.thread, PostgresAccess(base.database))
    return Band(people, access, session.id, logins, {name: person for name, (_, person) in arrived.items()})


async def test_who_has_a_role_is_let_in_as_themselves(band: Band) -> None:
    """The owner and the collaborator; nobody else, and nobody by another room or sign-in."""
    assert await band.access.admit(band.seat("ada")) == band.persons["ada"].id
    assert await band.access.admit(band.seat("bo")) == band.persons["bo"].id
    assert await band.access.admit(band.seat("cy")) is None
    assert await band.access.admit(Pass(login_id(new_token()), band.session)) is None
    for room in ("jam", "", band.session.upper(), "{" + band.session + "}", band.logins["ada"], "\0", "'--"):
        assert await band.access.admit(Pass(band.logins["ada"], room)) is None


async def test_a_lost_role_lets_nobody_in(band: Band) -> None:
    """Removed, signed out, fallen idle, or the session deleted."""
    await band.people.store.remove(band.logins["ada"], band.session, band.persons["bo"].id)
    assert await band.access.admit(band.seat("bo")) is None
    await band.people.falls_idle(band.logins["ada"])
    assert await band.access.admit(band.seat("ada")) is None
    await band.unused_for("ada", 0)
    assert await band.access.admit(band.seat("ada")) is not None
    await band.people.store.delete(band.logins["ada"], band.session)
    assert await band.access.admit(band.seat("ada")) is None


async def test_lapsed_passes_are_told_from_those_that_hold(band: Band) -> None:
    """In the order of the question, doubled ones twice; strange rooms and sign-ins have lapsed."""
    strange = [
        Pass(band.logins["ada"], "jam"),
        Pass(login_id(new_token()), band.session),
        band.seat("cy"),
        Pass("'; --", "'; --"),
        band.seat("cy"),
    ]
    asked = [strange[0], band.seat("ada"), *strange[1:3], band.seat("bo"), band.seat("ada"), *strange[3:]]
    assert await band.access.lapsed(asked) == strange
    assert await band.access.lapsed([band.seat("ada"), band.seat("bo")]) == []
    assert await band.access.lapsed([]) == []
    await band.people.signs_out(band.logins["bo"])
    assert await band.access.lapsed([band.seat("ada"), band.seat("bo")]) == [band.seat("bo")]
    await band.people.store.delete(band.logins["ada"], band.session)
    assert await band.access.lapsed([band.seat("ada"), band.seat("bo")]) == [band.seat("ada"), band.seat("bo")]


async def test_whoever_is_in_a_room_uses_their_sign_in(band: Band) -> None:
    """Those that hold count as used just now; those without a role, and those that have ended, do not."""
    for name in ("ada", "cy"):
        await band.unused_for(name, IDLE_S - 60)
    await band.unused_for("bo", IDLE_S)
    assert await band.access.lapsed([band.seat(name) for name in ("ada", "bo", "cy")]) == [
        band.seat("bo"),
        band.seat("cy"),
    ]
    assert [await band.noted_just_now(name) for name in ("ada", "bo", "cy")] == [True, False, False]


async def test_a_use_noted_lately_is_not_written_again(band: Band) -> None:
    """A room's members are asked about every minute, and written about every five."""
    await band.unused_for("ada", TOUCH_S - 30)
    await band.unused_for("bo", TOUCH_S + 1)
    assert await band.access.lapsed([band.seat("ada"), band.seat("bo")]) == []
    assert [await band.noted_just_now(name) for name in ("ada", "bo")] == [False, True]


async def test_gateways_that_ask_at_once_do_not_wait_for_each_other(band: Band) -> None:
    """The same passes in opposite orders, twenty times: no ring of locks, and everybody holds."""
    passes = [band.seat("ada"), band.seat("bo")]

    async def ask(asked: list[Pass]) -> None:
        assert await band.access.lapsed(asked) == []

    for _ in range(5):
        for name in ("ada", "bo"):
            await band.unused_for(name, TOUCH_S + 1)
        async with trio.open_nursery() as nursery:
            for asked in (passes, passes[::-1]) * 2:
                nursery.start_soon(ask, asked)


async def test_a_sign_in_that_somebody_is_changing_holds_nobody_up(band: Band) -> None:
    """Its row is locked for as long as it likes: the question is answered, and the others are noted."""
    for name in ("ada", "bo"):
        await band.unused_for(name, TOUCH_S + 1)
    async with band.people.base.holding("SELECT FROM logins WHERE id = $1 FOR UPDATE", band.logins["ada"]):
        assert await band.access.lapsed([band.seat("ada"), band.seat("bo"), band.seat("cy")]) == [band.seat("cy")]
    assert [await band.noted_just_now(name) for name in ("ada", "bo")] == [False, True]


async def test_thousands_of_passes_are_one_short_question(band: Band, base: Base) -> None:
    """A gateway full of people asks within the deadline of a single call."""
    asked = [band.seat("ada"), band.seat("cy")] * 5000
    began_s = trio.current_time()
    assert await band.access.lapsed(asked) == [band.seat("cy")] * 5000
    assert trio.current_time() - began_s < DEADLINE_S


async def test_without_a_database_nobody_is_let_in(thread: AsyncioThread) -> None:
    """Every question is `Unavailable`, not a no; closing twice is no error."""
    async with base_at(DEAD_URL, thread) as dead:
        access = ThreadedAccess(thread, PostgresAccess(dead.database))
        seat = Pass(login_id(new_token()), str(uuid4()))
        for question in (access.admit(seat), access.lapsed([seat])):
            with pytest.raises(Unavailable):
                await question
        await access.aclose()
        await access.aclose()
