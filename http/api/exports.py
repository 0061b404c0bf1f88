"""What `/api/export` takes (SPEC 3). Pure; the OpenAPI document is made from it.

`/api/export`: mixdowns are asked for, followed, fetched and removed (SPEC 3).

They are made by a worker (`omnisonic.studio.exports.queue`); the live room is told of each step. Who fetches one that
is still being made waits for it here, looking at its row now and then: nobody has to tell this process that it is made.
Overload: one look every `LOOK_S` for each who waits. Outages: 503. Shutdown: who waits is answered like everybody else.
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
from omnisonic.studio.exports import MEDIA_TYPES, ExportStore, StoredExport, TooManyExports, TooManyExportsOfUser
from omnisonic.studio.exports.events import progressed, removed
from omnisonic.studio.uploads.garbage_collector import DISPOSE_S, GarbageCollector


def _in_lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class NewExport(Input):
    """A mixdown to be made of a session, as it is then."""

    session_id: Id
    format: Annotated[ExportFormat, BeforeValidator(_in_lower_case)] = Field(
        default="wav", description="24-bit WAV, FLAC or MP3, at 48 kHz, in stereo."
    )


class ExportQuery(Input):
    """One export by its `id`, or those of a session."""

    id: str | None = Field(default=None, description="Only this export.")
    session_id: str | None = Field(default=None, description="Those of this session, newest first.")


WAIT_S: Final = 25.0
"""How long a download waits for the export to be made: proxies give up after 30 s."""
LOOK_S: Final = 0.5
RETRY_S: Final = 2.0
"""When to ask again for what is still being made."""
BUSY_RETRY_S: Final = 10.0


class Exports:
    """The routes of `/api/export`. `login` tells by which sign-in the current request is made, or raises."""

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
        """Ask for a mixdown of a session. Its file is at `url`, which waits for it; the live room is told."""
        login = self._login()
        wanted = await read_json(NewExport)
        try:
            export = await self._store.create(login, wanted.session_id, wanted.format)
        except (TooManyExports, TooManyExportsOfUser) as busy:
            raise Refusal(429, busy.code, busy.message, headers=retry_after(BUSY_RETRY_S)) from None
        await self._room_events.tell(progressed(export))
        return json_response(self._linked(export), 202)

    @describe_route((ExportAnswer, ExportList), 400, 401, 404, 503, query=ExportQuery, security=COOKIE)
    async def read(self) -> Response:
        """List the exports of the session whose `sessionId` is asked for, or give the one whose `id` is."""
        login, query = self._login(), Query()
        export_id = query.id("id")
        if export_id is not None:
            return json_response(self._linked((await self._store.get(login, export_id)).export))
        session_id = query.id("sessionId")
        if not session_id:
            message = "Give the id of an export, or the sessionId of the session whose exports you want."
            raise InvalidInput(message, code="invalid_session_id")
        exports = await self._store.list(login, session_id)
        return json_response(ExportList([self._linked(export) for export in exports]))

    @describe_route(Ok, 400, 401, 403, 404, 415, 503, security=COOKIE)
    async def remove(self, export_id: ExportId) -> Response:
        """Remove an export for good, or give up making it. Whoever asked for it, or the session's owner."""
        refuse_body()
        made = await self._store.remove(self._login(), export_id)
        await self._room_events.tell(removed(made.export))
        if made.key is not None:
            await self._garbage_collector.collect([made.key], within_s=DISPOSE_S)
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
        """Give the file, waiting for it while it is being made; when that takes long, 202 says to ask again."""
        made = await self._settled(self._login(), export_id)
        export = made.export
        if export.status == "failed":
            raise Refusal(409, "export_failed", export.error_message or "")
        if made.key is None:
            return json_response(self._linked(export), 202, headers=retry_after(RETRY_S))
        assert export.file_size is not None
        assert made.sha256 is not None
        what = Download(made.key, export.file_name, MEDIA_TYPES[export.format], export.file_size, made.sha256)
        return await self._file_responder.respond(what)

    async def _settled(self, login: LoginId, export_id: ExportId) -> StoredExport:
        """The export, once it is made or has failed, or as it is after `WAIT_S`."""
        ends_s = asyncio.get_running_loop().time() + current_app.config.get("EXPORT_WAIT", WAIT_S)
        while True:
            made = await self._store.get(login, export_id)
            if made.export.status in ("completed", "failed") or asyncio.get_running_loop().time() >= ends_s:
                return made
            await asyncio.sleep(LOOK_S)

    def _linked(self, export: Export) -> ExportAnswer:
        return ExportAnswer.of(export, own_origin(self._settings, request.host))
