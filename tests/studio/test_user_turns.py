"""Whose job is next: users take turns, however many jobs one of them has (`omnisonic.studio.user_turns`)."""

from functools import partial
from typing import Final

import pytest
import trio

from omnisonic.models import SessionId
from omnisonic.studio.exports import TooManyExportsOfUser
from omnisonic.studio.exports.export_queue import Job
from omnisonic.studio.exports.export_store import ExportStore
from tests.studio.asking import at_once
from tests.studio.exporting import Mixing, opened_mixing
from tests.studio.uploading import Call, Studio

MANY: Final = 6
LEAST: Final = 2


@pytest.fixture
def mixing(studio: Studio) -> Mixing:
    """A session of Ada's and Bo's, without exports."""
    return opened_mixing(studio)


def name_of(mixing: Mixing, user: str | None) -> str:
    (name,) = [name for name, person in mixing.studio.persons.items() if person.id == user]
    return name


async def mixed(mixing: Mixing, count: int) -> str:
    """Whose jobs one worker makes, one after the other: the first letters of their names."""
    names = ""
    for _ in range(count):
        job = await mixing.take()
        names += name_of(mixing, job.export.user_id)[0]
        await mixing.queue.fail(job, "No.")
    return names


async def test_another_users_mixdown_is_next_but_one(mixing: Mixing) -> None:
    """With one worker: the others' turn comes after one job of whoever asked for six, and then they alternate."""
    for _ in range(MANY):
        await mixing.request("ada")
    assert await mixed(mixing, 1) == "a"
    for _ in range(2):
        await mixing.request("bo")
    assert await mixed(mixing, MANY + 1) == "baba" + "aaa"


async def test_a_mixdown_that_was_removed_was_a_turn_all_the_same(mixing: Mixing) -> None:
    """Nobody gets ahead by removing what was made for them."""
    for _ in range(MANY):
        await mixing.request("ada")
    made = await mixing.take()
    await mixing.request("bo")
    await mixing.exports.remove(mixing.logins["ada"], made.export.id)
    assert await mixed(mixing, 2) == "ba"


async def test_the_next_free_worker_is_for_who_has_nothing_in_the_making(mixing: Mixing) -> None:
    """With two workers, both of which are at one user's jobs when another one asks."""
    for _ in range(MANY):
        await mixing.request("ada")
    first, second = await mixing.take(), await mixing.take()
    await mixing.request("bo")
    await mixing.queue.fail(first, "No.")
    third = await mixing.take()
    assert [name_of(mixing, job.export.user_id) for job in (first, second, third)] == ["ada", "ada", "bo"]


async def test_workers_that_ask_at_the_same_moment_serve_everybody(mixing: Mixing) -> None:
    """Two of Bo's and two of Ada's, though Ada's six have waited longer."""
    for name, count in (("ada", MANY), ("bo", LEAST)):
        for _ in range(count):
            await mixing.request(name)
    jobs: list[Job] = []

    async def take() -> None:
        jobs.append(await mixing.take())

    async with trio.open_nursery() as nursery:
        for _ in range(2 * LEAST):
            nursery.start_soon(take)
    assert sorted(name_of(mixing, job.export.user_id) for job in jobs) == ["ada"] * LEAST + ["bo"] * LEAST


async def test_an_account_that_is_gone_leaves_its_jobs_and_no_turn(mixing: Mixing) -> None:
    """Its mixdowns of others' sessions are made all the same."""
    await mixing.request("bo")
    await mixing.take()
    await mixing.request("bo")
    await mixing.studio.lose_account("bo")
    assert (await mixing.take()).export.user_id is None
    assert await mixing.studio.base.number("SELECT count(*) FROM user_turns") == 0


async def test_another_users_upload_is_listened_to_next_but_one(studio: Studio) -> None:
    """However many somebody has just brought."""
    for _ in range(MANY):
        await studio.upload("ada")
    first = await studio.queue.take()
    assert first is not None
    await studio.queue.finish(first.upload, None)
    await studio.upload("bo")
    second = await studio.queue.take()
    assert second is not None
    assert second.upload.user_id == studio.persons["bo"].id


async def test_a_user_has_so_many_in_the_making_and_no_more(mixing: Mixing) -> None:
    """In all sessions together, asked for at the same time; others have their own; one that ends makes room."""
    base, ada = mixing.studio.base, mixing.logins["ada"]
    store = base.of(ExportStore(base.database, most_active_of_user=LEAST))
    sessions: list[SessionId] = [(await mixing.studio.people.store.create(ada, f"{n}")).id for n in range(MANY)]
    acts: list[Call] = [partial(store.create, ada, session, "wav") for session in sessions]
    assert await at_once(acts) == ["done"] * LEAST + ["too_many_exports_of_user"] * (MANY - LEAST)
    await store.create(mixing.logins["bo"], mixing.session, "wav")
    with pytest.raises(TooManyExportsOfUser, match="2 mixdowns"):
        await store.create(ada, mixing.session, "wav")
    await mixing.queue.fail(await mixing.take(), "No.")
    await store.create(ada, mixing.session, "wav")
