"""What every session store promises (`omnisonic.studio.sessions`), held on each of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec
import pytest
import trio

from omnisonic.identity.logins import login_id, new_token
from omnisonic.models import LoginId, Session, SessionId
from omnisonic.studio.sessions import LONGEST_PAGE, Change, Cursor, NoSuchSession, NotSignedIn, Order, SessionStore
from tests.studio.asking import (
    CLOCKS_S,
    NOBODY,
    at_once,
    calls_about,
    every_call,
    names,
    outcome,
)
from tests.studio.people import People

STRANGER: Final = login_id(new_token())


async def test_a_session_is_as_it_was_made(people: People) -> None:
    """Its owner reads back what creating answered: 120 bpm in 4, made now, in UTC."""
    ada, person = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    assert (made.name, made.tempo_bpm, made.beats_per_bar, made.role) == ("Night jam", 120.0, 4, "owner")
    assert (made.owner, made.participants) == (person, None)
    assert made.created_at == made.updated_at
    assert made.created_at.tzinfo == UTC
    assert abs(made.created_at - datetime.now(UTC)) < timedelta(seconds=CLOCKS_S)
    assert await people.store.get(ada, made.id) == made
    listing = await people.store.list(ada, limit=10)
    (listed,) = listing.sessions
    assert (listing.user, listed.id, listing.next_before) == (person.id, made.id, None)
    assert {name: getattr(listed, name) for name in Session.__struct_fields__} == msgspec.structs.asdict(made)
    assert (listed.last_activity_at, listed.unread, listed.cover_upload_id) == (made.created_at, 0, None)


async def test_another_users_session_does_not_exist(people: People) -> None:
    """Whatever they ask, the answer is as for a session that was never made, and nothing happens to it."""
    ada, _ = await people.arrives("ada")
    bo, somebody = await people.arrives("bo")
    made = await people.store.create(ada, "Night jam")
    for there, never in zip(calls_about(people.store, bo, made.id), calls_about(people.store, bo, NOBODY), strict=True):
        for call in (there, never):
            with pytest.raises(NoSuchSession):
                await call()
    with pytest.raises(NoSuchSession):
        await people.store.remove(bo, made.id, somebody.id)
    assert (await people.store.list(bo, limit=10)).sessions == []
    assert await people.store.get(ada, made.id) == made


async def test_strangers_are_told_to_sign_in(people: People) -> None:
    """Without a sign-in, every call is refused, also about what does not exist or cannot."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    for session in (made.id, NOBODY, "no uuid"):
        for call in every_call(people.store, STRANGER, session):
            with pytest.raises(NotSignedIn):
                await call()
    assert await people.store.get(ada, made.id) == made


@pytest.mark.parametrize("how", ["signs_out", "falls_idle"])
async def test_a_sign_in_that_has_ended_opens_nothing(people: People, how: str) -> None:
    """Signed out, or not used for twelve hours: every call is refused, and nothing happens."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    await people.store.invite(ada, made.id, "digest")
    await getattr(people, how)(ada)
    for call in every_call(people.store, ada, made.id):
        with pytest.raises(NotSignedIn):
            await call()


@pytest.mark.parametrize("shape", ["", "jam", "{}", "{0}{0}", "{0} ", "\n{0}", "{{{0}}}", "urn:uuid:{0}", "'--", "\0"])
async def test_an_id_that_is_no_uuid_is_that_of_no_session(people: People, shape: str) -> None:
    """Also one that Postgres would read as a UUID, in braces or capitals: a session has one name."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    strange = shape.format(made.id) if shape != "{}" else made.id.upper().replace("-", "")
    for call in calls_about(people.store, ada, strange):
        with pytest.raises(NoSuchSession):
            await call()
    assert await people.store.get(ada, made.id) == made


async def test_the_list_is_newest_first_and_holds_what_is_shared(people: People) -> None:
    """One's own sessions and others', by the time that they were made, whenever they were shared."""
    ada, _ = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    shared = await people.store.create(ada, "Ada's, shared later")
    await people.store.create(ada, "Ada's alone")
    await people.store.create(bo, "Bo's first")
    await people.store.create(bo, "Bo's second")
    await people.store.invite(ada, shared.id, "digest")
    await people.store.accept(bo, "digest")
    listing = await people.store.list(bo, limit=10)
    assert listing.user == person.id
    assert [(each.name, each.role) for each in listing.sessions] == [
        ("Bo's second", "owner"),
        ("Bo's first", "owner"),
        ("Ada's, shared later", "editor"),
    ]
    assert listing.sessions[-1].owner == shared.owner.without_email()
    assert await names(people.store, ada) == ["Ada's alone", "Ada's, shared later"]


async def test_somebody_without_sessions_has_an_empty_list(people: People) -> None:
    """It says who they are all the same."""
    ada, person = await people.arrives("ada")
    listing = await people.store.list(ada, limit=10)
    assert (listing.user, listing.sessions, listing.next_before) == (person.id, [], None)


async def pages(store: SessionStore, login: LoginId, limit: int, between: Callable[[], Awaitable[object]]) -> list[str]:
    """The names on all pages of the list, with something done after each."""
    seen: list[str] = []
    before: Cursor | None = None
    while True:
        listing = await store.list(login, limit=limit, before=before)
        assert len(listing.sessions) <= limit
        seen += [session.name for session in listing.sessions]
        before = listing.next_before
        if before is None:
            return seen
        await between()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_miss_nothing_and_repeat_nothing(people: People, limit: int) -> None:
    """Whatever the length of a page, also when the last one is full."""
    ada, _ = await people.arrives("ada")
    for number in range(7):
        await people.store.create(ada, f"{number}")
    assert await pages(people.store, ada, limit, trio.lowlevel.checkpoint) == ["6", "5", "4", "3", "2", "1", "0"]


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_a_full_last_page_says_that_it_is_the_last(people: People, limit: int) -> None:
    """Four sessions are as many full pages as there are, and no empty one behind them."""
    ada, _ = await people.arrives("ada")
    for number in range(4):
        await people.store.create(ada, f"{number}")
    before: Cursor | None = None
    lasts: list[bool] = []
    for _ in range(4 // limit):
        listing = await people.store.list(ada, limit=limit, before=before)
        assert len(listing.sessions) == limit
        before = listing.next_before
        lasts.append(before is None)
    assert lasts == [False] * (4 // limit - 1) + [True]


async def test_pages_stay_right_while_sessions_come_and_go(people: People) -> None:
    """Between any two pages a new one is made, and one that was seen already is deleted, also the one at the edge."""
    ada, _ = await people.arrives("ada")
    made = [await people.store.create(ada, f"{number}") for number in range(9)]

    async def busy() -> None:
        await people.store.create(ada, "new")
        await people.store.delete(ada, made.pop().id)  # seen on the page just read
        await people.store.delete(ada, made.pop().id)  # the last one on it: the cursor's own

    assert await pages(people.store, ada, 2, busy) == ["8", "7", "6", "5", "4", "3", "2", "1", "0"]


async def test_pages_stay_right_while_others_make_sessions_at_once(people: People) -> None:
    """Those that were there are seen once each and in order; one's list has nobody else's."""
    ada, _ = await people.arrives("ada")
    bo, _ = await people.arrives("bo")
    for number in range(20):
        await people.store.create(ada, f"{number}")

    async def make(login: LoginId) -> None:
        for _ in range(20):
            await people.store.create(login, "new")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make, ada)
        nursery.start_soon(make, bo)
        seen = await pages(people.store, ada, 3, trio.lowlevel.checkpoint)
    assert [name for name in seen if name != "new"] == [f"{number}" for number in reversed(range(20))]
    assert await names(people.store, bo, limit=50) == ["new"] * 20


async def test_a_page_can_begin_anywhere(people: People) -> None:
    """A time alone is a place: all that is older; of the same time, what has a smaller id."""
    ada, _ = await people.arrives("ada")
    old, middle, _new = [await people.store.create(ada, f"{number}") for number in range(3)]

    async def after(created_at: datetime, session: str) -> list[SessionId]:
        return [
            each.id for each in (await people.store.list(ada, limit=10, before=Cursor(created_at, session))).sessions
        ]

    assert await after(middle.created_at, "") == [old.id]
    assert await after(middle.created_at, "no uuid") == [old.id]
    assert await after(middle.created_at, "ffffffff-ffff-ffff-ffff-ffffffffffff") == [middle.id, old.id]
    assert await after(middle.created_at, middle.id) == [old.id]
    assert await after(datetime(1970, 1, 1, tzinfo=UTC), "") == []


@pytest.mark.parametrize(("limit", "shown"), [(-1, 1), (0, 1), (LONGEST_PAGE, LONGEST_PAGE), (10**9, LONGEST_PAGE)])
async def test_a_page_has_its_bounds(people: People, limit: int, shown: int) -> None:
    """However many are asked for, between one and a hundred are told of."""
    ada, _ = await people.arrives("ada")
    for number in range(LONGEST_PAGE + 1):
        await people.store.create(ada, f"{number}")
    listing = await people.store.list(ada, limit=limit)
    assert len(listing.sessions) == shown
    assert listing.next_before == Cursor(listing.sessions[-1].created_at, listing.sessions[-1].id)


async def test_a_list_has_an_order_and_can_be_searched(people: People) -> None:
    """By creation or by the last change, page by page; for a part of the name, in capitals or not."""
    ada, _ = await people.arrives("ada")
    made = [await people.store.create(ada, name) for name in ("Ärger", "Night jam", "Late JAM", "100 %_\\")]
    for session in (made[2], made[0]):
        await people.store.change(ada, session.id, Change(tempo_bpm=90))

    async def found(order: Order, search: str | None = None) -> list[str]:
        listed: list[str] = []
        before: Cursor | None = None
        while True:
            page = await people.store.list(ada, limit=1, before=before, order=order, search=search)
            listed += [session.name for session in page.sessions]
            if (before := page.next_before) is None:
                return listed

    assert await found("created") == ["100 %_\\", "Late JAM", "Night jam", "Ärger"]
    assert await found("activity") == ["Ärger", "Late JAM", "100 %_\\", "Night jam"]
    assert await found("activity", "jam") == ["Late JAM", "Night jam"]
    for search, names_ in (("äRGER", ["Ärger"]), ("%_\\", ["100 %_\\"]), ("_", ["100 %_\\"]), ("\0", []), ("x", [])):
        assert await found("created", search) == names_, search


async def test_what_was_seen_stays_seen(people: People) -> None:
    """Each time it is until now, and says until when it was before."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    first = await people.store.see(ada, made.id)
    second = await people.store.see(ada, made.id)
    assert first.before <= first.now == second.before <= second.now
    assert (await people.store.list(ada, limit=1)).sessions[0].seen_at == second.now


async def test_what_is_given_changes_and_the_rest_stays(people: People) -> None:
    """A name, a tempo, a bar, alone or together; the time of the change is kept, that of the making does not move."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    renamed = await people.store.change(ada, made.id, Change(name="Dawn"))
    assert (renamed.name, renamed.tempo_bpm, renamed.beats_per_bar) == ("Dawn", 120.0, 4)
    assert renamed.updated_at > made.updated_at
    faster = await people.store.change(ada, made.id, Change(tempo_bpm=133.33))
    assert (faster.name, faster.tempo_bpm, faster.beats_per_bar) == ("Dawn", 133.33, 4)
    waltz = await people.store.change(ada, made.id, Change("Waltz", 90.0, 3))
    assert (waltz.name, waltz.tempo_bpm, waltz.beats_per_bar) == ("Waltz", 90.0, 3)
    assert (waltz.created_at, waltz.owner, waltz.role) == (made.created_at, made.owner, "owner")
    assert await people.store.get(ada, made.id) == waltz


NAMES: Final = ["'; DROP TABLE sessions; --", '"', "$1", "%s", "\\", "E'\\x00'", "Ünïcödé ♪ 𝄞", "x" * 120, "/* */ NULL"]


@pytest.mark.parametrize("name", NAMES)
async def test_names_mean_nothing_to_the_database(people: People, name: str) -> None:
    """Made, renamed and listed with SQL in it, a session keeps its name to the letter."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, name)
    other = await people.store.create(ada, "plain")
    await people.store.change(ada, other.id, Change(name=name))
    assert await names(people.store, ada) == [name, name]
    assert (await people.store.get(ada, made.id)).name == name
    with pytest.raises(NotSignedIn):
        await people.store.get(name, made.id)


async def test_a_deleted_session_is_gone_with_its_invites_and_collaborators(people: People) -> None:
    """For everybody, at once; another session of theirs stays."""
    ada, _ = await people.arrives("ada")
    bo, _ = await people.arrives("bo")
    cy, _ = await people.arrives("cy")
    made, other = await people.store.create(ada, "Night jam"), await people.store.create(ada, "Other")
    for session, digest in ((made, "digest"), (other, "other digest")):
        await people.store.invite(ada, session.id, digest)
        await people.store.accept(bo, digest)
    await people.store.delete(ada, made.id)
    for login in (ada, bo):
        assert await names(people.store, login) == ["Other"]
        for call in calls_about(people.store, login, made.id):
            with pytest.raises(NoSuchSession):
                await call()
    assert await outcome(people.store.accept(cy, "digest")) == "invite_not_found"
    assert await people.store.accept(cy, "other digest") == other.id


async def test_of_fifty_deletions_at_once_one_succeeds(people: People) -> None:
    """The others are told that there is no such session."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    outcomes = await at_once([partial(people.store.delete, ada, made.id)] * 50)
    assert outcomes == ["done"] + ["session_not_found"] * 49
