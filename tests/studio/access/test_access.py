"""What the access store promises (`omnisonic.studio.access`), on a real Postgres and as a trio program uses it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.identity.logins import IDLE_S, TOUCH_S, login_id, new_token
from omnisonic.models import LoginId, Person, Role, SessionId
from omnisonic.studio.access import AccessStore, Pass, Rechecked, Standing
from omnisonic.studio.access.postgres import PostgresAccess
from omnisonic.studio.access.threaded import CALL_S, ThreadedAccess
from tests.studio.databases import DEAD_URL, Base, base_at
from tests.studio.people import PostgresPeople


@dataclass
class Band:
    """Ada's session, which Bo shares and Cy does not."""

    people: PostgresPeople
    access: AccessStore
    session: SessionId
    logins: dict[str, LoginId]
    persons: dict[str, Person]

    async def standing(self, name: str) -> Standing:
        return await self.access.standing(self.session, login=self.logins[name])

    async def lapsed(self, passes: Sequence[Pass]) -> list[Pass]:
        """Those that have lapsed, where no role has changed."""
        rechecked = await self.access.recheck(passes)
        assert list(rechecked.changed) == []
        return list(rechecked.lapsed)

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
    access: AccessStore = base.of(PostgresAccess(base.database))
    return Band(people, access, session.id, logins, {name: person for name, (_, person) in arrived.items()})


async def test_who_has_a_role_is_known_as_themselves(band: Band) -> None:
    """The owner and the collaborator have one; nobody else has, and nobody by another room or sign-in."""
    roles: tuple[tuple[str, Role | None], ...] = (("ada", "owner"), ("bo", "editor"), ("cy", None))
    for name, role in roles:
        assert await band.standing(name) == Standing(True, band.persons[name], role, False)
    nobody = Standing(is_sessions=True, person=None, role=None, is_reserved=False)
    assert await band.access.standing(band.session, login=login_id(new_token())) == nobody
    assert await band.access.standing(band.session) == nobody
    for room in ("jam", "", str(uuid4()), band.logins["ada"], "\0", "'--"):
        stranger = Standing(is_sessions=False, person=band.persons["ada"], role=None, is_reserved=False)
        assert await band.access.standing(room, login=band.logins["ada"]) == stranger


async def test_a_session_is_known_by_every_form_of_its_id_and_opened_by_one(band: Band) -> None:
    """In capitals, in braces, as a URN, without hyphens: it is the session's, and nobody has a role in that room."""
    plain = band.session.replace("-", "")
    for room in (band.session.upper(), "{" + band.session + "}", f"urn:uuid:{band.session}", plain, plain.upper()):
        standing = await band.access.standing(room, login=band.logins["ada"])
        assert (standing.is_sessions, standing.has_role) == (True, False), room


async def test_a_users_id_is_reserved_for_them(band: Band) -> None:
    """In every form; their own, anybody's who is no user, and what is no UUID are not."""
    ada = band.persons["ada"].id
    asked = {form: band.access.standing("jam", login=band.logins["bo"], member_id=form) for form in forms(ada)}
    assert {form: (await standing).is_reserved for form, standing in asked.items()} == dict.fromkeys(forms(ada), True)
    for form in forms(ada):
        assert not (await band.access.standing("jam", login=band.logins["ada"], member_id=form)).is_reserved
        assert (await band.access.standing("jam", member_id=form)).is_reserved
    for free in (str(uuid4()), "ada", "", f"{ada}-2", "\0", "'--"):
        assert not (await band.access.standing("jam", login=band.logins["bo"], member_id=free)).is_reserved


def forms(id_: str) -> list[str]:
    """How else a UUID can be written."""
    return [id_, id_.upper(), id_.replace("-", ""), "{" + id_ + "}", f"urn:uuid:{id_}"]


async def test_a_lost_role_is_gone_at_once(band: Band) -> None:
    """Removed, signed out, fallen idle, or the session deleted."""
    await band.people.store.remove(band.logins["ada"], band.session, band.persons["bo"].id)
    assert not (await band.standing("bo")).has_role
    await band.people.falls_idle(band.logins["ada"])
    assert (await band.standing("ada")).person is None
    await band.unused_for("ada", 0)
    assert (await band.standing("ada")).has_role
    await band.people.store.delete(band.logins["ada"], band.session)
    assert await band.standing("ada") == Standing(False, band.persons["ada"], None, False)


async def test_without_a_room_the_sign_in_is_all_that_must_hold(band: Band) -> None:
    """An open room that was entered by ticket needs no role."""
    passes = [Pass(band.logins["cy"], None), Pass(login_id(new_token()), None), Pass(band.logins["cy"], str(uuid4()))]
    assert await band.lapsed(passes) == passes[1:]


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
    assert await band.lapsed(asked) == strange
    assert await band.lapsed([band.seat("ada"), band.seat("bo")]) == []
    assert await band.lapsed([]) == []
    await band.people.signs_out(band.logins["bo"])
    assert await band.lapsed([band.seat("ada"), band.seat("bo")]) == [band.seat("bo")]
    await band.people.store.delete(band.logins["ada"], band.session)
    assert await band.lapsed([band.seat("ada"), band.seat("bo")]) == [band.seat("ada"), band.seat("bo")]


async def test_a_changed_role_is_told_from_a_lost_one(band: Band) -> None:
    """A listener who entered as an editor, and the other way round; where no role is needed, none has changed."""
    seat, listening = band.seat("bo"), Pass(band.logins["bo"], band.session, is_listener=True)
    assert await band.access.recheck([seat, listening]) == Rechecked([], [listening])
    await band.people.store.change_role(band.logins["ada"], band.session, band.persons["bo"].id, "listener")
    assert (await band.standing("bo")).role == "listener"
    asked = [band.seat("cy"), seat, listening, Pass(band.logins["bo"], None), band.seat("ada")]
    assert await band.access.recheck(asked) == Rechecked([band.seat("cy")], [seat])


async def test_whoever_is_in_a_room_uses_their_sign_in(band: Band) -> None:
    """Those that hold count as used just now; those without a role, and those that have ended, do not."""
    for name in ("ada", "cy"):
        await band.unused_for(name, IDLE_S - 60)
    await band.unused_for("bo", IDLE_S)
    assert await band.lapsed([band.seat(name) for name in ("ada", "bo", "cy")]) == [
        band.seat("bo"),
        band.seat("cy"),
    ]
    assert [await band.noted_just_now(name) for name in ("ada", "bo", "cy")] == [True, False, False]


async def test_a_use_noted_lately_is_not_written_again(band: Band) -> None:
    """A room's members are asked about every minute, and written about every five."""
    await band.unused_for("ada", TOUCH_S - 30)
    await band.unused_for("bo", TOUCH_S + 1)
    assert await band.lapsed([band.seat("ada"), band.seat("bo")]) == []
    assert [await band.noted_just_now(name) for name in ("ada", "bo")] == [False, True]


async def test_gateways_that_ask_at_once_do_not_wait_for_each_other(band: Band) -> None:
    """The same passes in opposite orders, twenty times: no ring of locks, and everybody holds."""
    passes = [band.seat("ada"), band.seat("bo")]

    async def ask(asked: list[Pass]) -> None:
        assert await band.lapsed(asked) == []

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
        assert await band.lapsed([band.seat("ada"), band.seat("bo"), band.seat("cy")]) == [band.seat("cy")]
    assert [await band.noted_just_now(name) for name in ("ada", "bo")] == [False, True]


@pytest.mark.timing
async def test_thousands_of_passes_are_one_short_question(band: Band, base: Base) -> None:
    """A gateway full of people asks within the deadline of a single call."""
    asked = [band.seat("ada"), band.seat("cy")] * 5000
    began_s = trio.current_time()
    assert await band.lapsed(asked) == [band.seat("cy")] * 5000
    assert trio.current_time() - began_s < CALL_S


async def test_without_a_database_nobody_is_let_in(thread: AsyncioThread) -> None:
    """Every question is `Unavailable`, not a no; closing twice is no error."""
    async with base_at(DEAD_URL, thread) as dead:
        access = ThreadedAccess(thread, PostgresAccess(dead.database))
        seat = Pass(login_id(new_token()), str(uuid4()))
        for question in (access.standing("jam", login=seat.login), access.recheck([seat])):
            with pytest.raises(Unavailable):
                await question
        await access.aclose()
        await access.aclose()
