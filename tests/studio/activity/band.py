"""A band whose doings are recorded: the stores that record, the store that lists and undoes, and who was told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from omnisonic.models import SessionId, Upload
from omnisonic.models.activity import ActivityEvent
from omnisonic.studio.activity import Undone
from omnisonic.studio.activity.activity_store import ActivityStore
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.sessions import Change
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.uploads import Mix
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.studio.uploading import Studio


@dataclass
class Band:
    """A studio whose stores tell `told` of each event that they have committed."""

    studio: Studio
    activity: ActivityStore = field(init=False)
    exports: ExportStore = field(init=False)
    told: list[ActivityEvent] = field(default_factory=list)

    @property
    def session(self) -> SessionId:
        return self.studio.session

    async def hear(self, events: Sequence[ActivityEvent]) -> None:
        self.told += events

    async def events(self, name: str = "ada", session: SessionId | None = None) -> list[ActivityEvent]:
        """What happened, newest first, as `name` sees it."""
        page = await self.activity.list(self.studio.logins[name], session or self.session, limit=100)
        return page.events

    async def newest(self) -> ActivityEvent:
        return (await self.events())[0]

    async def shown(self) -> list[tuple[Any, ...]]:
        """Who did what to what field, newest first, with its value before and after."""
        return [(event.actor.name, event.kind, event.field, event.before, event.after) for event in await self.events()]

    async def mix(self, name: str, upload: Upload, /, **mix: Any) -> Upload:
        """`name` changes the mix."""
        return (await self.studio.uploads.change(self.studio.logins[name], upload.id, Mix(**mix))).upload

    async def change(self, **change: Any) -> None:
        """Ada changes her session."""
        await self.studio.people.store.change(self.studio.logins["ada"], self.session, Change(**change))

    async def undo(self, name: str, event: ActivityEvent) -> Undone:
        return await self.activity.undo(self.studio.logins[name], event.session_id, event.id)

    async def time_passes(self) -> None:
        """As if an hour had passed since everything that was recorded."""
        await self.studio.base.sql("UPDATE activity SET at = at - interval '1 hour'")


def opened_band(studio: Studio, *, quota_bytes: int = 0) -> Band:
    """The same three people, with stores that tell. What happened before was recorded as well."""
    band, base, database = Band(studio), studio.base, studio.base.database
    studio.uploads = base.of(UploadStore(database, quota_bytes=quota_bytes, tell=band.hear))
    studio.resumables = base.of(ResumableStore(database, quota_bytes=quota_bytes, tell=band.hear))
    studio.people.store = base.of(PostgresSessions(database, tell=band.hear))
    band.exports = base.of(ExportStore(database, tell=band.hear))
    band.activity = base.of(ActivityStore(database, quota_bytes=quota_bytes, tell=band.hear))
    return band
