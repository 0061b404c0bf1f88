"""What the export store promises of roles, limits and removal (`omnisonic.studio.exports`), on a real Postgres."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.identity.logins import login_id, new_token
from omnisonic.models import ExportFormat
from omnisonic.studio.exports import LONGEST_LIST, NoSuchExport, RequesterOnly, TooManyExports
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.sessions import Change, NoSuchSession, NotSignedIn
from tests.studio.asking import CLOCKS_S, NOBODY, at_once, outcome
from tests.studio.databases import DEAD_URL, base_at
from tests.studio.exporting import Mixing, calls_about, calls_into, opened_mixing
from tests.studio.uploading import Call, Studio

STRANGER: Final = login_id(new_token())
AT_ONCE: Final = 50
ASKED_AT_ONCE: Final = 20


@pytest.fixture
def mixing(studio: Studio) -> Mixing:
    """A session of Ada's and Bo's, without exports."""
    return opened_mixing(studio)


@pytest.mark.parametrize("format_", ["wav", "flac", "mp3"])
async def test_an_export_waits_until_it_is_made(mixing: Mixing, format_: ExportFormat) -> None:
    """Creating, getting and listing all give it, as who asked for it, now, in UTC, called after the session."""
    export = await mixing.request("bo", format_)
    assert (export.session_id, export.user_id) == (mixing.session, mixing.studio.persons["bo"].id)
    assert (export.format, export.status, export.progress) == (format_, "pending", 0)
    assert (export.file_name, export.error_message, export.completed_at) == (f"Night jam.{format_}", None, None)
    assert (export.file_size, export.duration_seconds, export.loudness_lufs, export.peak_dbfs) == (None,) * 4
    assert export.created_at.tzinfo == UTC
    assert abs(export.created_at - datetime.now(UTC)) < timedelta(seconds=CLOCKS_S)
    for name in ("ada", "bo"):
        made = await mixing.exports.get(mixing.logins[name], export.id)
        assert (made.export, made.key, made.sha256) == (export, None, None)
        assert await mixing.exports.list(mixing.logins[name], mixing.session) == [export]


async def test_an_export_is_called_as_its_session_was(mixing: Mixing) -> None:
    """What somebody downloads later is what was asked for."""
    export = await mixing.request()
    await mixing.studio.people.store.change(mixing.logins["ada"], mixing.session, Change("AC/DC"))
    assert (await mixing.get(export.id)).file_name == "Night jam.wav"
    assert (await mixing.request()).file_name == "AC-DC.wav"


async def test_the_list_is_newest_first_and_no_longer_than_a_list(mixing: Mixing) -> None:
    """Also when several have one time; what else there is can be got still."""
    oldest = await mixing.request()
    await mixing.studio.base.sql(
        "INSERT INTO exports (session_id, format, file_name) "
        "SELECT session_id, format, file_name FROM exports, generate_series(1, $1::int)",
        LONGEST_LIST,
    )
    listed = await mixing.exports.list(mixing.logins["bo"], mixing.session)
    assert len(listed) == LONGEST_LIST
    assert oldest not in listed
    assert sorted(listed, key=lambda export: (export.created_at, export.id), reverse=True) == listed
    assert (await mixing.get(oldest.id)) == oldest


async def test_another_sessions_exports_do_not_exist(mixing: Mixing) -> None:
    """Without a role, the answer is as for what was never there, and nothing happens."""
    export, cy = await mixing.request(), mixing.logins["cy"]
    for export_id in (export.id, NOBODY):
        for call in calls_about(mixing.exports, cy, export_id):
            with pytest.raises(NoSuchExport):
                await call()
    for session in (mixing.session, NOBODY):
        for call in calls_into(mixing.exports, cy, session):
            with pytest.raises(NoSuchSession):
                await call()
    assert await mixing.exports.list(mixing.logins["ada"], mixing.session) == [export]


@pytest.mark.parametrize("who", ["a stranger", "signs_out", "falls_idle"])
async def test_without_a_sign_in_every_call_is_refused(mixing: Mixing, who: str) -> None:
    """Also about what does not exist, and nothing happens."""
    export, login = await mixing.request("bo"), STRANGER
    if who != "a stranger":
        login = mixing.logins["bo"]
        await getattr(mixing.studio.people, who)(login)
    for export_id, session in ((export.id, mixing.session), (NOBODY, NOBODY), ("no uuid", "no uuid")):
        for call in calls_about(mixing.exports, login, export_id) + calls_into(mixing.exports, login, session):
            with pytest.raises(NotSignedIn):
                await call()
    assert await mixing.exports.list(mixing.logins["ada"], mixing.session) == [export]


@pytest.mark.parametrize("shape", ["", "jam", "{0} ", "{{{0}}}", "urn:uuid:{0}", "'--", "\0"])
async def test_an_id_that_is_no_uuid_is_that_of_nothing(mixing: Mixing, shape: str) -> None:
    """Also one that Postgres would read as a UUID."""
    export, ada = await mixing.request(), mixing.logins["ada"]
    for call in calls_about(mixing.exports, ada, shape.format(export.id)):
        with pytest.raises(NoSuchExport):
            await call()
    for call in calls_into(mixing.exports, ada, shape.format(mixing.session)):
        with pytest.raises(NoSuchSession):
            await call()
    assert await mixing.get(export.id) == export


async def test_whoever_asked_for_an_export_or_the_owner_removes_it(mixing: Mixing) -> None:
    """Another collaborator is refused, and it stays."""
    (adas, key), (bos, _), (own, _) = [await mixing.make_export(name) for name in ("ada", "bo", "bo")]
    with pytest.raises(RequesterOnly):
        await mixing.exports.remove(mixing.logins["bo"], adas.id)
    assert await mixing.get(adas.id) == adas
    for name, export in (("ada", bos), ("bo", own), ("ada", adas)):
        made = await mixing.exports.remove(mixing.logins[name], export.id)
        assert made.export == export
        assert made.key in await mixing.studio.unreferenced(due=True)
        with pytest.raises(NoSuchExport):
            await mixing.exports.get(mixing.logins[name], export.id)
    assert key in await mixing.studio.unreferenced(due=True)


async def test_what_an_account_that_is_gone_has_asked_for_is_the_owners(mixing: Mixing) -> None:
    """It is not lost with them; only the owner may remove it."""
    export, key = await mixing.make_export("bo")
    await mixing.studio.lose_account("bo")
    assert (await mixing.get(export.id)).user_id is None
    assert (await mixing.exports.remove(mixing.logins["ada"], export.id)).key == key


async def test_of_fifty_removals_at_once_one_succeeds(mixing: Mixing) -> None:
    """The others find nothing, and the object is unreferenced once."""
    export, key = await mixing.make_export("bo")
    remove: list[Call] = [partial(mixing.exports.remove, mixing.logins[name], export.id) for name in ("ada", "bo")]
    assert await at_once(remove * (AT_ONCE // 2)) == ["done"] + ["export_not_found"] * (AT_ONCE - 1)
    assert await mixing.studio.unreferenced(due=True) == {key}


async def test_of_many_asked_at_once_no_more_than_may_be_are_made(mixing: Mixing) -> None:
    """Exactly two, whoever asks; another session has its own."""
    store = mixing.exports_under(2)
    ask: list[Call] = [partial(store.create, mixing.logins[name], mixing.session, "wav") for name in ("ada", "bo")]
    done = await at_once(ask * (ASKED_AT_ONCE // 2))
    assert done == ["done"] * 2 + ["too_many_exports"] * (ASKED_AT_ONCE - 2)
    assert len(await store.list(mixing.logins["ada"], mixing.session)) == 2
    other = await mixing.studio.people.store.create(mixing.logins["ada"], "Another")
    await store.create(mixing.logins["ada"], other.id, "wav")


async def test_what_is_over_or_removed_makes_room(mixing: Mixing) -> None:
    """Made, failed and removed exports do not count; what is being made does."""
    store, ada = mixing.exports_under(1), mixing.logins["ada"]
    await store.create(ada, mixing.session, "wav")
    job = await mixing.take()
    with pytest.raises(TooManyExports, match="a mixdown"):
        await store.create(ada, mixing.session, "wav")
    assert await mixing.queue.complete(job, await mixing.put())
    await store.create(ada, mixing.session, "wav")
    assert await mixing.queue.fail(await mixing.take(), "No.")
    third = await store.create(ada, mixing.session, "wav")
    await store.remove(ada, third.id)
    await store.create(ada, mixing.session, "wav")


async def test_a_session_deleted_meanwhile_gets_no_export(mixing: Mixing) -> None:
    """The role held when it was asked; then there is nothing to make it of."""
    outcomes: list[str] = []

    async def ask() -> None:
        outcomes.append(await outcome(mixing.exports.create(mixing.logins["bo"], mixing.session, "wav")))

    deleting = mixing.studio.base.holding("DELETE FROM sessions WHERE id = $1", mixing.session)
    async with trio.open_nursery() as nursery, deleting:
        nursery.start_soon(ask)
        await mixing.studio.base.once_waiting(1)
    assert outcomes == ["session_not_found"]


async def test_an_account_deleted_meanwhile_asks_for_nothing(mixing: Mixing) -> None:
    """Whoever is gone is not signed in, though they were when they were asked."""
    outcomes: list[str] = []

    async def ask() -> None:
        outcomes.append(await outcome(mixing.exports.create(mixing.logins["bo"], mixing.session, "wav")))

    deleting = mixing.studio.base.holding("DELETE FROM users WHERE id = $1", mixing.studio.persons["bo"].id)
    async with trio.open_nursery() as nursery, deleting:
        nursery.start_soon(ask)
        await mixing.studio.base.once_waiting(1)
    assert outcomes == [NotSignedIn.code]


async def test_exports_go_with_their_session_and_their_objects_are_due(mixing: Mixing) -> None:
    """Those that are made and those that wait."""
    (export, key), waiting = await mixing.make_export(), await mixing.request()
    await mixing.studio.people.store.delete(mixing.logins["ada"], mixing.session)
    for gone in (export, waiting):
        with pytest.raises(NoSuchExport):
            await mixing.get(gone.id)
    assert await mixing.studio.unreferenced(due=True) == {key}


async def test_without_a_database_every_call_is_unavailable(thread: AsyncioThread) -> None:
    """Nobody is taken for a stranger, and nothing for missing."""
    async with base_at(DEAD_URL, thread) as dead:
        store = dead.of(ExportStore(dead.database))
        for call in calls_about(store, STRANGER, NOBODY) + calls_into(store, STRANGER, NOBODY):
            with pytest.raises(Unavailable):
                await call()
