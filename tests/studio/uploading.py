"""A band that uploads: its session, the stores of its files, and what the database knows of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

from omnisonic.models import LoginId, Person, SessionId, Upload, UploadId
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.uploads import BIN_DAYS, Mix, ReceivedFile
from omnisonic.studio.uploads.analysis_queue import AnalysisQueue
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.resumables import Resumable
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.studio.databases import Base
from tests.studio.people import PostgresPeople

SIZE: Final = 1000
"""Bytes of a file, where it does not matter."""
STEM: Final = ReceivedFile("Bø's take.wav", SIZE, "audio/x-wav", "ab" * 32)

Call = Callable[[], Awaitable[object]]


def received(size: int = SIZE, *, name: str = STEM.file_name, mime_type: str = STEM.mime_type) -> ReceivedFile:
    """A file that has come."""
    return ReceivedFile(name, size, mime_type, STEM.sha256)


def new_key() -> Key:
    return f"uploads/{uuid4()}"


@dataclass
class Studio:
    """Ada's session, which Bo shares and Cy does not."""

    people: PostgresPeople
    uploads: UploadStore
    resumables: ResumableStore
    retention: UploadRetention
    queue: AnalysisQueue
    session: SessionId
    logins: dict[str, LoginId]
    persons: dict[str, Person]

    @property
    def base(self) -> Base:
        return self.people.base

    def uploads_under(self, quota_bytes: int, use: LoginUse | None = None) -> UploadStore:
        """The uploads, for a studio that gives each user so much."""
        return self.base.of(UploadStore(self.base.database, use, quota_bytes=quota_bytes))

    def resumables_under(self, quota_bytes: int, use: LoginUse | None = None) -> ResumableStore:
        """As above."""
        return self.base.of(ResumableStore(self.base.database, use, quota_bytes=quota_bytes))

    async def begun(self, name: str = "ada", session: SessionId | None = None) -> Key:
        """The key of something that `name` is uploading."""
        key = new_key()
        await self.uploads.begin(self.logins[name], key, session=session, size=None)
        return key

    async def upload(self, name: str = "ada", session: SessionId | None = None, file: ReceivedFile = STEM) -> Upload:
        """What `name` has uploaded."""
        key = await self.begun(name, session)
        return await self.uploads.commit(self.logins[name], str(uuid4()), key, file, session=session)

    async def resumable(self, name: str = "ada", session: SessionId | None = None, size: int = SIZE) -> Resumable:
        """What `name` has begun to upload in chunks."""
        return await self.resumables.create(self.logins[name], STEM.file_name, size, session)

    async def add_chunk(
        self, resumable: Resumable, name: str = "ada", *, size: int, offset: int = 0, writer: int = 0
    ) -> Key:
        """The key of a chunk that `name` has sent."""
        key = await self.begun(name)
        await self.resumables.append(self.logins[name], resumable.id, key, writer=writer, offset=offset, size=size)
        return key

    async def key_of(self, upload: UploadId) -> Key:
        ((key,),) = await self.base.sql("SELECT object_key FROM uploads WHERE id = $1", upload)
        return str(key)

    async def unreferenced(self, *, due: bool = False) -> set[Key]:
        """What is unreferenced, or what of it is due."""
        statement = "SELECT object_key FROM loose_objects WHERE NOT $1 OR due_at <= now() AND doomed"
        return {row[0] for row in await self.base.sql(statement, due)}

    async def everything_is_due(self) -> None:
        """As if hours had passed for all that is unreferenced."""
        await self.base.sql("UPDATE loose_objects SET due_at = now() - interval '1 second'")

    async def age(self, upload: UploadId, days: float) -> None:
        """As if it had been uploaded so many days ago."""
        await self.base.sql(
            "UPDATE uploads SET created_at = now() - $2::float8 * interval '1 day' WHERE id = $1", upload, days
        )

    async def empty_bin(self) -> None:
        """As if the bin's days had passed for all that is in it, and housekeeping had come by."""
        await self.base.sql("UPDATE uploads SET removed_at = removed_at - $1::interval", timedelta(days=BIN_DAYS + 1))
        await self.retention.drop_removed(100)

    async def expire(self, resumable: UploadId) -> None:
        """As if a day had passed for it."""
        await self.base.sql("UPDATE resumable_uploads SET expires_at = now() WHERE id = $1", resumable)

    async def lose_account(self, name: str) -> None:
        await self.base.sql("DELETE FROM users WHERE id = $1", self.persons[name].id)


async def opened_studio(base: Base) -> Studio:
    """Three people, one session, no uploads."""
    people = PostgresPeople(base)
    arrived = {name: await people.arrives(name) for name in ("ada", "bo", "cy")}
    logins = {name: login for name, (login, _) in arrived.items()}
    session = await people.store.create(logins["ada"], "Night jam")
    await people.store.invite(logins["ada"], session.id, "digest")
    await people.store.accept(logins["bo"], "digest")
    stores: tuple[Any, ...] = (UploadStore, ResumableStore, UploadRetention, AnalysisQueue)
    uploads, resumables, retention, queue = (base.of(store(base.database)) for store in stores)
    persons = {name: person for name, (_, person) in arrived.items()}
    return Studio(people, uploads, resumables, retention, queue, session.id, logins, persons)


def calls_about(store: UploadStore, login: LoginId, upload: UploadId) -> list[Call]:
    """Each method that takes an upload, ready to be called."""
    return [
        partial(store.get, login, upload),
        partial(store.peaks, login, upload),
        partial(store.change, login, upload, Mix(muted=True)),
        partial(store.remove, login, upload),
        partial(store.restore, login, upload),
    ]


def calls_into(store: UploadStore, login: LoginId, session: SessionId, key: Key) -> list[Call]:
    """Each method that takes a session, ready to be called; `key` is unreferenced."""
    return [
        partial(store.begin, login, new_key(), session=session, size=SIZE),
        partial(store.commit, login, str(uuid4()), key, STEM, session=session),
        partial(store.list, login, session, limit=10),
    ]


def calls_about_resumable(store: ResumableStore, login: LoginId, resumable: UploadId, key: Key) -> list[Call]:
    """Each method that takes a resumable, ready to be called; `key` is unreferenced."""
    return [
        partial(store.get, login, resumable),
        partial(store.claim, login, resumable, offset=0),
        partial(store.check, login, resumable, writer=0),
        partial(store.append, login, resumable, key, writer=0, offset=0, size=1),
        partial(store.chunks, login, resumable),
        partial(store.finish, login, resumable, key, STEM, offset=0),
        partial(store.remove, login, resumable),
    ]
