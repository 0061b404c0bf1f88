"""What the upload store promises of roles, lists and the mix (`omnisonic.studio.uploads`), on a real Postgres."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import uuid4

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.identity.logins import login_id, new_token
from omnisonic.stores.storage import Label
from omnisonic.studio.sessions import Cursor, NoSuchSession, NotSignedIn
from omnisonic.studio.uploads import LONGEST_PAGE, Mix, NoSuchUpload, PeaksPending, UploaderOnly
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.studio.asking import CLOCKS_S, NOBODY, at_once, outcome
from tests.studio.databases import DEAD_URL, base_at
from tests.studio.uploading import STEM, Call, Studio, calls_about, calls_into, new_key, received

STRANGER: Final = login_id(new_token())
AT_ONCE: Final = 50
SHAPES: Final = ["", "jam", "{}", "{0}{0}", "{0} ", "\n{0}", "{{{0}}}", "urn:uuid:{0}", "'--", "\0"]


async def test_an_upload_is_as_it_was_received(studio: Studio) -> None:
    """Committing, getting and listing all give it, unmixed, not analysed yet, made now, in UTC."""
    key, upload_id, ada = await studio.begun(), str(uuid4()), studio.logins["ada"]
    upload = await studio.uploads.commit(ada, upload_id, key, STEM, session=studio.session)
    assert (upload.id, upload.user_id, upload.session_id) == (upload_id, studio.persons["ada"].id, studio.session)
    assert (upload.file_name, upload.file_size) == (STEM.file_name, STEM.file_size)
    assert (upload.mime_type, upload.sha256) == (STEM.mime_type, STEM.sha256)
    assert (upload.gain_db, upload.pan, upload.muted, upload.offset_seconds) == (0, 0, False, 0)
    assert (upload.duration_seconds, upload.sample_rate, upload.channels) == (None, None, None)
    assert upload.created_at.tzinfo == UTC
    assert abs(upload.created_at - datetime.now(UTC)) < timedelta(seconds=CLOCKS_S)
    stored = await studio.uploads.get(ada, upload_id)
    assert (stored.upload, stored.key, stored.label) == (upload, key, Label(STEM.mime_type, STEM.file_name))
    for listed in (None, studio.session):
        page = await studio.uploads.list(ada, listed, limit=10)
        assert (page.uploads, page.next_before) == ([stored], None)


async def test_who_shares_a_session_sees_and_mixes_all_its_uploads(studio: Studio) -> None:
    """The owner what the collaborator brought, and the other way round."""
    for uploader, other in (("ada", "bo"), ("bo", "ada")):
        upload = await studio.upload(uploader, studio.session)
        assert (await studio.uploads.get(studio.logins[other], upload.id)).upload == upload
        with pytest.raises(PeaksPending):
            await studio.uploads.peaks(studio.logins[other], upload.id)
        changed = (await studio.uploads.change(studio.logins[other], upload.id, Mix(muted=True))).upload
        assert changed.muted
        page = await studio.uploads.list(studio.logins[other], studio.session, limit=1)
        assert page.uploads[0].upload == changed


async def test_another_sessions_uploads_do_not_exist(studio: Studio) -> None:
    """Without a role, the answer is as for what was never there, and nothing happens."""
    upload = await studio.upload("ada", studio.session)
    cy, key = studio.logins["cy"], await studio.begun("cy")
    for upload_id in (upload.id, NOBODY):
        for call in calls_about(studio.uploads, cy, upload_id):
            with pytest.raises(NoSuchUpload):
                await call()
    for session in (studio.session, NOBODY):
        for call in calls_into(studio.uploads, cy, session, key):
            with pytest.raises(NoSuchSession):
                await call()
    assert (await studio.uploads.list(cy, None, limit=10)).uploads == []
    assert (await studio.uploads.get(studio.logins["ada"], upload.id)).upload == upload
    assert await studio.unreferenced() == {key}


async def test_an_upload_without_a_session_is_its_uploaders_alone(studio: Studio) -> None:
    """Sharing a session does not share what is in none."""
    upload = await studio.upload("ada")
    for call in calls_about(studio.uploads, studio.logins["bo"], upload.id):
        with pytest.raises(NoSuchUpload):
            await call()
    assert (await studio.uploads.list(studio.logins["ada"], studio.session, limit=10)).uploads == []
    ada = studio.logins["ada"]
    assert (await studio.uploads.change(ada, upload.id, Mix(pan=-1))).upload.pan == -1
    assert (await studio.uploads.remove(ada, upload.id)).upload.id == upload.id


@pytest.mark.parametrize("who", ["a stranger", "signs_out", "falls_idle"])
async def test_without_a_sign_in_every_call_is_refused(studio: Studio, who: str) -> None:
    """Also about what does not exist, and nothing happens."""
    upload, key, login = await studio.upload("bo", studio.session), await studio.begun("bo"), STRANGER
    if who != "a stranger":
        login = studio.logins["bo"]
        await getattr(studio.people, who)(login)
    for upload_id, session in ((upload.id, studio.session), (NOBODY, NOBODY), ("no uuid", "no uuid")):
        calls = calls_about(studio.uploads, login, upload_id) + calls_into(studio.uploads, login, session, key)
        calls.append(partial(studio.uploads.list, login, None, limit=10))
        for call in calls:
            with pytest.raises(NotSignedIn):
                await call()
    assert (await studio.uploads.get(studio.logins["ada"], upload.id)).upload == upload
    assert await studio.unreferenced() == {key}


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_id_that_is_no_uuid_is_that_of_nothing(studio: Studio, shape: str) -> None:
    """Also one that Postgres would read as a UUID, in braces or capitals."""
    upload, key, ada = await studio.upload("ada", studio.session), await studio.begun(), studio.logins["ada"]
    strange = [
        shape.format(each) if shape != "{}" else each.upper().replace("-", "") for each in (upload.id, studio.session)
    ]
    for call in calls_about(studio.uploads, ada, strange[0]):
        with pytest.raises(NoSuchUpload):
            await call()
    for call in calls_into(studio.uploads, ada, strange[1], key):
        with pytest.raises(NoSuchSession):
            await call()
    assert (await studio.uploads.get(ada, upload.id)).upload == upload


async def test_an_upload_is_removed_by_its_uploader_or_the_sessions_owner(studio: Studio) -> None:
    """Another collaborator gets that error, and it stays."""
    adas, bos, own = [await studio.upload(name, studio.session) for name in ("ada", "bo", "bo")]
    with pytest.raises(UploaderOnly):
        await studio.uploads.remove(studio.logins["bo"], adas.id)
    for name, upload in (("ada", bos), ("bo", own), ("ada", adas)):
        stored = await studio.uploads.remove(studio.logins[name], upload.id)
        assert stored.upload == upload
        assert await studio.unreferenced() == set()
        with pytest.raises(NoSuchUpload):
            await studio.uploads.get(studio.logins[name], upload.id)


async def test_of_fifty_removals_at_once_one_succeeds(studio: Studio) -> None:
    """The others find nothing, and the object goes once, when its time in the bin is over."""
    upload = await studio.upload("bo", studio.session)
    remove: list[Call] = [partial(studio.uploads.remove, studio.logins[name], upload.id) for name in ("ada", "bo")]
    assert await at_once(remove * (AT_ONCE // 2)) == ["done"] + ["upload_not_found"] * (AT_ONCE - 1)
    await studio.empty_bin()
    assert len(await studio.unreferenced(due=True)) == 1


async def test_what_is_removed_cannot_be_changed_at_the_same_time(studio: Studio) -> None:
    """Whoever waits for a removal finds nothing, and it does not come back."""
    upload, ada = await studio.upload("ada", studio.session), studio.logins["ada"]
    outcomes: list[str] = []

    async def change() -> None:
        outcomes.append(await outcome(studio.uploads.change(ada, upload.id, Mix(muted=True))))

    async with trio.open_nursery() as nursery, studio.base.holding("DELETE FROM uploads WHERE id = $1", upload.id):
        nursery.start_soon(change)
        await studio.base.once_waiting(1)
    assert outcomes == ["upload_not_found"]


async def test_a_change_leaves_what_it_does_not_name(studio: Studio) -> None:
    """Each of the four by itself, then all at once, then nothing."""
    upload, ada = await studio.upload("ada", studio.session), studio.logins["ada"]
    await studio.uploads.change(ada, upload.id, Mix(gain_db=-60))
    await studio.uploads.change(ada, upload.id, Mix(pan=1))
    await studio.uploads.change(ada, upload.id, Mix(muted=True))
    changed = (await studio.uploads.change(ada, upload.id, Mix(offset_seconds=3600))).upload
    assert (changed.gain_db, changed.pan, changed.muted, changed.offset_seconds) == (-60, 1, True, 3600)
    changed = (await studio.uploads.change(ada, upload.id, Mix(12, -1, muted=False, offset_seconds=0))).upload
    assert (changed.gain_db, changed.pan, changed.muted, changed.offset_seconds) == (12, -1, False, 0)
    assert (await studio.uploads.change(ada, upload.id, Mix())).upload == changed


async def test_changes_at_once_are_all_kept(studio: Studio) -> None:
    """Two who move different faders do not undo each other."""
    upload, ada, bo = await studio.upload("ada", studio.session), studio.logins["ada"], studio.logins["bo"]
    for number in range(10):
        acts = [
            partial(studio.uploads.change, ada, upload.id, Mix(gain_db=-number)),
            partial(studio.uploads.change, bo, upload.id, Mix(offset_seconds=number)),
        ]
        assert await at_once([*acts]) == ["done", "done"]
        stored = (await studio.uploads.get(ada, upload.id)).upload
        assert (stored.gain_db, stored.offset_seconds) == (-number, number)


async def test_who_has_left_keeps_what_they_brought(studio: Studio) -> None:
    """They see and may remove it, but mix no more, and see nothing of the others'."""
    adas, bos = [await studio.upload(name, studio.session) for name in ("ada", "bo")]
    bo = studio.logins["bo"]
    await studio.people.store.remove(studio.logins["ada"], studio.session, studio.persons["bo"].id)
    with pytest.raises(NoSuchSession):
        await studio.uploads.list(bo, studio.session, limit=10)
    with pytest.raises(NoSuchUpload):
        await studio.uploads.get(bo, adas.id)
    with pytest.raises(NoSuchUpload):
        await studio.uploads.change(bo, bos.id, Mix(muted=True))
    assert [stored.upload for stored in (await studio.uploads.list(bo, None, limit=10)).uploads] == [bos]
    assert (await studio.uploads.remove(bo, bos.id)).upload == bos


async def test_a_deleted_session_leaves_its_uploads_to_their_uploaders(studio: Studio) -> None:
    """Each has their own again, in no session; nothing becomes unreferenced."""
    uploads = {name: await studio.upload(name, studio.session) for name in ("ada", "bo")}
    await studio.people.store.delete(studio.logins["ada"], studio.session)
    for name, upload in uploads.items():
        (stored,) = (await studio.uploads.list(studio.logins[name], None, limit=10)).uploads
        assert (stored.upload.id, stored.upload.session_id) == (upload.id, None)
        assert (await studio.uploads.change(studio.logins[name], upload.id, Mix(muted=True))).upload.muted
    with pytest.raises(NoSuchUpload):
        await studio.uploads.remove(studio.logins["ada"], uploads["bo"].id)
    assert await studio.unreferenced() == set()


async def test_a_session_deleted_meanwhile_takes_no_upload(studio: Studio) -> None:
    """The role held when it was asked, the session is gone when the row is made: neither row nor half of one."""
    ada, key = studio.logins["ada"], await studio.begun("ada", studio.session)
    outcomes: list[str] = []

    async def commit() -> None:
        outcomes.append(await outcome(studio.uploads.commit(ada, str(uuid4()), key, STEM, session=studio.session)))

    deleting = studio.base.holding("DELETE FROM sessions WHERE id = $1", studio.session)
    async with trio.open_nursery() as nursery, deleting:
        nursery.start_soon(commit)
        await studio.base.once_waiting(1)
    assert outcomes == ["session_not_found"]
    assert (await studio.uploads.list(ada, None, limit=10)).uploads == []
    assert await studio.uploads.abandon(key)


async def test_an_account_deleted_meanwhile_uploads_nothing(studio: Studio) -> None:
    """Whoever is gone is not signed in, though they were when they were asked."""
    cy, key = studio.logins["cy"], await studio.begun("cy")
    outcomes: list[str] = []

    async def commit() -> None:
        outcomes.append(await outcome(studio.uploads.commit(cy, str(uuid4()), key, STEM, session=None)))

    deleting = studio.base.holding("DELETE FROM users WHERE id = $1", studio.persons["cy"].id)
    async with trio.open_nursery() as nursery, deleting:
        nursery.start_soon(commit)
        await studio.base.once_waiting(1)
    assert outcomes == [NotSignedIn.code]


async def test_the_list_is_newest_first_page_by_page(studio: Studio) -> None:
    """All of them once, also when one of the page before is removed between, and several have one time."""
    ada = studio.logins["ada"]
    for number in range(7):
        await studio.upload("ada", studio.session, received(name=f"take {number}"))
    await studio.upload("bo", studio.session, received(name="Bo's"))
    await studio.base.sql("UPDATE uploads SET created_at = now() WHERE file_name IN ('take 2', 'take 3', 'take 4')")
    await studio.base.sql("UPDATE uploads SET created_at = created_at - interval '1 hour' WHERE file_name = 'take 6'")
    everything = (await studio.uploads.list(ada, None, limit=LONGEST_PAGE)).uploads
    seen, before = [], None
    while True:
        page = await studio.uploads.list(ada, None, limit=2, before=before)
        seen += page.uploads
        if page.next_before is None:
            break
        assert len(page.uploads) == 2
        before = page.next_before
        await studio.uploads.remove(ada, page.uploads[0].upload.id)
    assert seen == everything
    assert [stored.upload.file_name for stored in seen][-3:] == ["take 1", "take 0", "take 6"]
    assert sorted(seen, key=lambda stored: (stored.upload.created_at, stored.upload.id), reverse=True) == seen
    assert {stored.upload.file_name for stored in seen} == {f"take {number}" for number in range(7)}


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_a_full_last_page_says_that_it_is_the_last(studio: Studio, limit: int) -> None:
    """Four uploads are so many full pages, and no empty one behind them: of one's own, and of a session."""
    ada = studio.logins["ada"]
    for number in range(4):
        await studio.upload("ada", studio.session, received(name=f"take {number}"))
    for session in (None, studio.session):
        before, lasts = None, []
        for _ in range(4 // limit):
            page = await studio.uploads.list(ada, session, limit=limit, before=before)
            assert len(page.uploads) == limit
            before = page.next_before
            lasts.append(before is None)
        assert lasts == [False] * (4 // limit - 1) + [True]


async def test_the_list_of_a_session_has_everybodys(studio: Studio) -> None:
    """In its order, and page by page, but nothing of elsewhere; a cursor that is odd is before or after all."""
    uploads = [await studio.upload(name, studio.session) for name in ("ada", "bo", "ada")]
    await studio.upload("ada")
    bo = studio.logins["bo"]
    first = await studio.uploads.list(bo, studio.session, limit=2)
    assert [stored.upload for stored in first.uploads] == [uploads[2], uploads[1]]
    last = await studio.uploads.list(bo, studio.session, limit=2, before=first.next_before)
    assert ([stored.upload for stored in last.uploads], last.next_before) == ([uploads[0]], None)
    odd = await studio.uploads.list(bo, studio.session, limit=2, before=Cursor(uploads[1].created_at, "no uuid"))
    assert [stored.upload for stored in odd.uploads] == [uploads[0]]
    assert len((await studio.uploads.list(bo, studio.session, limit=-1)).uploads) == 1


async def test_an_upload_id_is_used_once(studio: Studio) -> None:
    """A second commit of it makes nothing, and its object stays unreferenced."""
    upload, key, ada = await studio.upload("ada"), await studio.begun(), studio.logins["ada"]
    with pytest.raises(Unavailable):
        await studio.uploads.commit(ada, upload.id, key, STEM, session=None)
    assert await studio.unreferenced() == {key}
    assert len((await studio.uploads.list(ada, None, limit=10)).uploads) == 1


async def test_without_a_database_every_call_is_unavailable(thread: AsyncioThread) -> None:
    """Nobody is taken for a stranger, and nothing for missing."""
    async with base_at(DEAD_URL, thread) as dead:
        store = dead.of(UploadStore(dead.database, quota_bytes=1))
        calls = calls_about(store, STRANGER, NOBODY) + calls_into(store, STRANGER, NOBODY, new_key())
        calls += [partial(store.list, STRANGER, None, limit=1), partial(store.abandon, new_key())]
        for call in calls:
            with pytest.raises(Unavailable):
                await call()
