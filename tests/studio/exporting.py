"""A band that takes its mixdowns home: the stores of exports, and a worker that is none, but has their queue."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import uuid4

from omnisonic.models import Export, ExportFormat, ExportId, LoginId, SessionId
from omnisonic.stores.storage import Key
from omnisonic.studio.exports.export_queue import ExportQueue, Finished, Job
from omnisonic.studio.exports.export_store import ExportStore
from tests.studio.uploading import Studio

SIZE: Final = 4096
WARNING: Final = "'take.wav' was cut off: 1.0 of 2.0 seconds are there."
SHA256: Final = "cd" * 32


@dataclass
class Mixing:
    """Ada's session, which Bo shares and Cy does not, and what is asked of it."""

    studio: Studio
    exports: ExportStore
    queue: ExportQueue

    @property
    def session(self) -> SessionId:
        return self.studio.session

    @property
    def logins(self) -> dict[str, LoginId]:
        return self.studio.logins

    def exports_under(self, most_active: int) -> ExportStore:
        """The exports, for a studio that makes so many of a session at once."""
        base = self.studio.base
        return base.of(ExportStore(base.database, most_active=most_active))

    async def request(self, name: str = "ada", format_: ExportFormat = "wav") -> Export:
        """What `name` has asked for."""
        return await self.exports.create(self.logins[name], self.session, format_)

    async def take(self) -> Job:
        """The job that has waited longest, in the hands of the caller."""
        job = await self.queue.take()
        assert isinstance(job, Job), job
        return job

    async def put(self) -> Finished:
        """Something that has been put, and is noted as loose."""
        key = f"exports/{uuid4()}"
        await self.queue.note(key)
        return Finished(key, SIZE, SHA256, 12.5, -14.25, -1.5, WARNING)

    async def make_export(self, name: str = "ada") -> tuple[Export, Key]:
        """What `name` has asked for, once it is made, and its object."""
        await self.request(name)
        job, finished = await self.take(), await self.put()
        export = await self.queue.complete(job, finished)
        assert export is not None
        return export, finished.key

    async def get(self, export: ExportId) -> Export:
        return (await self.exports.get(self.logins["ada"], export)).export

    async def expire_leases(self) -> None:
        """As if whoever has a job had not been heard of for long, and what waits had waited long enough."""
        await self.studio.base.sql("UPDATE exports SET due_at = now() WHERE due_at > now()")

    async def age(self, export: ExportId, days: float) -> None:
        """As if it had been asked for so many days ago."""
        statement = "UPDATE exports SET created_at = now() - $2::float8 * interval '1 day' WHERE id = $1"
        await self.studio.base.sql(statement, export, days)

    async def due_in_s(self, export: ExportId) -> float:
        """How long nobody may take it."""
        statement = "SELECT extract(epoch FROM due_at - now())::float8 FROM exports WHERE id = $1"
        ((due_s,),) = await self.studio.base.sql(statement, export)
        return float(due_s)


def opened_mixing(studio: Studio) -> Mixing:
    """The same three people, and no exports."""
    base = studio.base
    exports = base.of(ExportStore(base.database))
    return Mixing(studio, exports, base.of(ExportQueue(base.database)))


def calls_about(store: ExportStore, login: LoginId, export: ExportId) -> list[Callable[[], Awaitable[object]]]:
    """Each method that takes an export, ready to be called."""
    return [partial(store.get, login, export), partial(store.remove, login, export)]


def calls_into(store: ExportStore, login: LoginId, session: SessionId) -> list[Callable[[], Awaitable[object]]]:
    """Each method that takes a session, ready to be called."""
    return [partial(store.create, login, session, "wav"), partial(store.list, login, session)]
