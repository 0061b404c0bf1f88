"""`/api/export`: request mixdowns, follow their progress, download and remove them (SPEC 3).

A worker makes them (`omnisonic.studio.exports.export_queue`). The live room is notified of each step. A download of one
that is still being made waits here and polls its row, so no message to this process is needed. Overload: one query
every `POLL_S` for each waiting request. Outages: 503. Shutdown: waiting requests are answered in the time that the
server gives to all.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BeforeValidator, Field
from quart import Blueprint, Response, current_app, request

from omnisonic.errors import InvalidInput
from omnisonic.http.api.downloads import Download, FileResponder
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.core.callback_urls import own_origin
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.inputs import Id, Input, Query, read_json, refuse_body
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.responses import ExportAnswer, ExportList, Ok, json_response
from omnisonic.models import Export, ExportFormat, ExportId, LoginId
from omnisonic.settings.settings import Settings
from omnisonic.studio.exports import (
    MEDIA_TYPES,
    StoredExport,
    TooManyExports,
    TooManyExportsOfUser,
    progress_event,
    removal_event,
)
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.uploads.garbage_collector import COLLECT_S, GarbageCollector


def _lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class NewExport(Input):
    """A mixdown to make of a session."""

    session_id: Id
    format: Annotated[ExportFormat, BeforeValidator(_lower_case)] = Field(
        default="wav",
        description="24-bit WAV, FLAC or MP3, at 48 kHz, in stereo; or `stems`: a zip with every track as a "
        "24-bit WAV at 48 kHz from bar 1, and a DAWproject and a Reaper file that place them.",
    )


class ExportQuery(Input):
    """One export by its `id`, or all exports of a session."""

    id: str | None = Field(default=None, description="Only this export.")
    session_id: str | None = Field(default=None, description="The exports of this session, newest first.")


WAIT_S: Final = 25.0
"""How long a download waits for the export to be finished. Proxies give up after 30 s."""
POLL_S: Final = 0.5
RETRY_S: Final = 2.0
"""Retry-After of an export that is still being made."""
BUSY_RETRY_S: Final = 10.0


class Exports:
    """The routes of `/api/export`. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(
        self,
        settings: Settings,
        store: ExportStore,
        file_responder: FileResponder,
        garbage_collector: GarbageCollector,
        room_events: RoomEvents,
        login: Callable[[], LoginId],
    ) -> None:
        self._settings = settings
        self._store = store
        self._file_responder = file_responder
        self._garbage_collector = garbage_collector
        self._room_events = room_events
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("exports", __name__, url_prefix="/api/export")
        routes.post("")(self.create)
        routes.get("")(self.read)
        routes.delete("/<id(length=36):export_id>")(self.remove)
        routes.get("/<id(length=36):export_id>/download")(self.download)
        return routes

    @describe_route(
        ExportAnswer, 400, 401, 403, 404, 408, 413, 415, 429, 503, status=202, body=NewExport, security=COOKIE
    )
    async def create(self) -> Response:
        """Request a mixdown or stems of a session. Download them from `url`, which waits. The live room is notified."""
        login = self._login()
        new_export = await read_json(NewExport)
        try:
            export = await self._store.create(login, new_export.session_id, new_export.format)
        except (TooManyExports, TooManyExportsOfUser) as busy:
            raise Refusal(429, busy.code, busy.message, headers=retry_after(BUSY_RETRY_S)) from None
        await self._room_events.publish(progress_event(export))
        return json_response(self._with_link(export), 202)

    @describe_route((ExportAnswer, ExportList), 400, 401, 404, 503, query=ExportQuery, security=COOKIE)
    async def read(self) -> Response:
        """Get the export with this `id`, or list the exports of the session with this `sessionId`."""
        login, query = self._login(), Query()
        export_id = query.id("id")
        if export_id is not None:
            return json_response(self._with_link((await self._store.get(login, export_id)).export))
        session_id = query.id("sessionId")
        if not session_id:
            message = "Give the id of an export, or the sessionId of the session whose exports you want."
            raise InvalidInput(message, code="invalid_session_id")
        exports = await self._store.list(login, session_id)
        return json_response(ExportList([self._with_link(export) for export in exports]))

    @describe_route(Ok, 400, 401, 403, 404, 415, 503, security=COOKIE)
    async def remove(self, export_id: ExportId) -> Response:
        """Remove an export for good, or cancel it. For whoever requested it and the session's owner."""
        refuse_body()
        stored = await self._store.remove(self._login(), export_id)
        await self._room_events.publish(removal_event(stored.export))
        if stored.key is not None:
            await self._garbage_collector.collect([stored.key], within_s=COLLECT_S)
        return json_response(Ok())

    @describe_route(
        ExportAnswer,
        400,
        401,
        404,
        409,
        416,
        429,
        503,
        status=202,
        bare=[200, 206, 304],
        files=sorted(MEDIA_TYPES.values()),
        security=COOKIE,
    )
    async def download(self, export_id: ExportId) -> Response:
        """Download the file. Waits while it is being made; when that takes long, 202: ask again later."""
        stored = await self._wait_for_export(self._login(), export_id)
        export = stored.export
        if export.status == "failed":
            raise Refusal(409, "export_failed", export.error_message or "")
        if stored.key is None:
            return json_response(self._with_link(export), 202, headers=retry_after(RETRY_S))
        assert export.file_size is not None
        assert stored.sha256 is not None
        download = Download(stored.key, export.file_name, MEDIA_TYPES[export.format], export.file_size, stored.sha256)
        return await self._file_responder.respond(download)

    async def _wait_for_export(self, login: LoginId, export_id: ExportId) -> StoredExport:
        """Get the export when it has finished or failed, or as it is after `WAIT_S`."""
        ends_s = asyncio.get_running_loop().time() + current_app.config.get("EXPORT_WAIT", WAIT_S)
        while True:
            stored = await self._store.get(login, export_id)
            if stored.export.status in ("completed", "failed") or asyncio.get_running_loop().time() >= ends_s:
                return stored
            await asyncio.sleep(POLL_S)

    def _with_link(self, export: Export) -> ExportAnswer:
        return ExportAnswer.of(export, own_origin(self._settings, request.host))
