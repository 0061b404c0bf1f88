"""`/api/upload`: upload files, alone or into a session, list them, change their place in the mix, remove them (SPEC 3).

A file is streamed from the socket into the storage (`omnisonic.studio.uploads.upload_writer`). The store checks who may
do what. The live room is notified after each change. Overload and outages: 503 or 507, and nothing is left behind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response, request

from omnisonic.http.api.downloads import DownloadLinks
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.api.sessions import CURSOR_PATTERN, format_cursor, parse_cursor
from omnisonic.http.core.callback_urls import own_origin
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.inputs import Id, Input, Query, read_json, refuse_body
from omnisonic.http.core.multipart import OVERHEAD_BYTES, read_form
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.openapi_schemas import trimmed_name_schema
from omnisonic.http.core.request_body import request_body
from omnisonic.http.core.responses import ChangedUpload, Ok, UploadAnswer, UploadList, json_response
from omnisonic.http.core.stopping import finish_before_stop
from omnisonic.models import LoginId, Upload, UploadId
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.uploads import (
    FADE_S,
    GAIN_DB,
    LONGEST_PAGE,
    OFFSET_S,
    PAN,
    POSITION,
    TRACK_NAME_LENGTH,
    TRIM_S,
    ChangedUploads,
    Mix,
    Peaks,
    PeaksPending,
    StoredUpload,
    UploadTooLarge,
    checked_file_name,
    checked_track_name,
)
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.peaks import DEFAULT_POINTS, LONGEST_S, MOST_POINTS, Window
from omnisonic.studio.uploads.upload_store import UploadStore
from omnisonic.studio.uploads.upload_writer import FOLDER, UploadWriter, new_key
from omnisonic.wire.payloads import UploadGone

FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "Audio, an image or a video, by its content."},
        "sessionId": {"type": "string", "description": "The session that it is for, if any."},
        "takeOf": {"type": "string", "description": "A track of that session, if it is another take of it."},
        "offsetSeconds": {
            "type": "number",
            "minimum": OFFSET_S[0],
            "maximum": OFFSET_S[1],
            "description": "Where in the session it begins.",
        },
    },
    "required": ["file"],
}
"""The JSON Schema of the form that carries a file."""
DEFAULT_PAGE: Final = LONGEST_PAGE


class PeaksQuery(Input):
    """The part of a waveform that is wanted."""

    from_: float | None = Field(
        default=None, ge=0, le=LONGEST_S, alias="from", description="Where it begins, in seconds of the file."
    )
    to: float | None = Field(default=None, ge=0, le=LONGEST_S, description="Where it ends. Without it: at the end.")
    points: int | None = Field(
        default=None, ge=1, le=MOST_POINTS, description=f"Most peaks to return. {DEFAULT_POINTS} without it."
    )


class UploadQuery(Input):
    """Uploads of a session, or all uploads of the caller."""

    session_id: str | None = Field(
        default=None, description="Only uploads in this session. Without it: all that the caller uploaded."
    )
    limit: int = Field(default=DEFAULT_PAGE, ge=1, le=LONGEST_PAGE, description="Most uploads to list.")
    before: Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CURSOR_PATTERN}$"})] | None = Field(
        default=None, description="List what comes after: the `nextBefore` of an earlier answer, or a time."
    )


_Trim = Annotated[float, Field(ge=TRIM_S[0], le=TRIM_S[1])]
_TrackName = Annotated[str, AfterValidator(checked_track_name), WithJsonSchema(trimmed_name_schema(TRACK_NAME_LENGTH))]
_Fade = Annotated[float, Field(ge=FADE_S[0], le=FADE_S[1])]


class MixChanges(Input):
    """What to change. Absent or null means no change, but for `takeOf`."""

    gain_db: Annotated[float, Field(ge=GAIN_DB[0], le=GAIN_DB[1])] | None = None
    pan: Annotated[float, Field(ge=PAN[0], le=PAN[1])] | None = None
    muted: bool | None = None
    offset_seconds: Annotated[float, Field(ge=OFFSET_S[0], le=OFFSET_S[1])] | None = None
    trim_start_seconds: _Trim | None = Field(default=None, description="Seconds cut from the beginning of the sound.")
    trim_end_seconds: _Trim | None = Field(default=None, description="Seconds cut from its end.")
    fade_in_seconds: _Fade | None = None
    fade_out_seconds: _Fade | None = None
    name: _TrackName | None = Field(default=None, description="What the track is called.")
    position: Annotated[float, Field(ge=POSITION[0], le=POSITION[1])] | None = Field(
        default=None, description="Where the track is: between the positions of its neighbours."
    )
    take_of: Id | None = Field(
        default=None, description="A track, or an upload in it, to become a take of. Null: become a track of its own."
    )
    chosen: Literal[True] | None = Field(default=None, description="True: this take of its track is heard.")

    def mix(self) -> Mix:
        """The change."""
        values = self.model_dump(exclude_none=True)
        if "take_of" in self.model_fields_set:
            values["take_of"] = self.take_of
        return Mix(**values)


KEPT_FOR_A_DAY: Final = {"Cache-Control": "private, max-age=86400"}
"""A file is analysed once: its waveform stays what it is."""
PEAKS_RETRY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class UploadServices:
    """What the routes of uploads work with."""

    store: UploadStore
    upload_writer: UploadWriter
    garbage_collector: GarbageCollector
    links: DownloadLinks


class Uploads:
    """The routes of `/api/upload`. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(
        self, settings: Settings, services: UploadServices, room_events: RoomEvents, login: Callable[[], LoginId]
    ) -> None:
        self._settings = settings
        self._services = services
        self._room_events = room_events
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("uploads", __name__, url_prefix="/api/upload")
        routes.post("")(self.create)
        routes.get("/list")(self.list)
        routes.get("/<id(length=36):upload_id>")(self.read)
        routes.patch("/<id(length=36):upload_id>")(self.change)
        routes.delete("/<id(length=36):upload_id>")(self.remove)
        routes.post("/<id(length=36):upload_id>/restore")(self.restore)
        # The address that the pages of the original studio call.
        routes.post("/<id(length=36):upload_id>/delete")(self.remove)
        routes.get("/<id(length=36):upload_id>/peaks")(self.peaks)
        return routes

    @describe_route(
        UploadAnswer, 400, 401, 403, 404, 408, 413, 415, 429, 503, 507, status=201, multipart=FORM, security=COOKIE
    )
    @finish_before_stop()
    async def create(self) -> Response:
        """Upload one file: the part `file` of a form, with the part `sessionId` when it belongs to a session.

        With the part `takeOf`, it is another take of a track there, and not the one that is heard. It begins at
        `offsetSeconds`.
        """
        login = self._login()
        form = read_form(request_body())
        size = self._declared_size()
        await form.open_file()
        name, key = checked_file_name(form.file_name), new_key(FOLDER)
        upload_writer = self._services.upload_writer
        async with upload_writer.open_object(login, key, session=form.session_id, size=size) as reservation:
            received = await upload_writer.put(key, reservation.count(form.file()), name)
            await form.finish()
            upload = await self._services.store.commit(
                login,
                str(uuid4()),
                key,
                received,
                session=form.session_id,
                take_of=form.take_of,
                offset_s=form.offset_s,
            )
        await self._room_events.publish(*news_of("upload.added", upload))
        return json_response(await self._with_link(StoredUpload(upload, key)), 201)

    @describe_route(UploadList, 400, 401, 404, 503, query=UploadQuery, security=COOKIE)
    async def list(self) -> Response:
        """List the uploads of a session, or the caller's own."""
        query = Query()
        limit = query.number("limit", default=DEFAULT_PAGE, least=1, most=LONGEST_PAGE)
        before = parse_cursor(query.get("before"))
        page = await self._services.store.list(self._login(), query.id("sessionId"), limit=limit, before=before)
        return json_response(
            UploadList([await self._with_link(stored) for stored in page.uploads], format_cursor(page.next_before))
        )

    @describe_route(UploadAnswer, 400, 401, 404, 503, security=COOKIE)
    async def read(self, upload_id: UploadId) -> Response:
        """Get an upload, with a link to download it."""
        return json_response(await self._with_link(await self._services.store.get(self._login(), upload_id)))

    @describe_route(ChangedUpload, 400, 401, 403, 404, 408, 413, 415, 503, body=MixChanges, security=COOKIE)
    async def change(self, upload_id: UploadId) -> Response:
        """Change how a stem sits in the mix, what is heard of it, and its track. The live room is notified.

        All changes of a request are made together, or none.
        """
        login = self._login()
        mix = (await read_json(MixChanges)).mix()
        changed = await self._services.store.change(login, upload_id, mix)
        await self._room_events.publish(*news_of_change("upload.changed", changed))
        return json_response(ChangedUpload(changed.upload))

    @describe_route(Ok, 400, 401, 403, 404, 415, 503, security=COOKIE)
    async def remove(self, upload_id: UploadId) -> Response:
        """Put an upload into the bin. For its uploader and the session's owner. The live room is notified.

        It can be restored for 30 days. Then it is deleted for good. If it was the chosen take of its track, the newest
        one that is left is heard.
        """
        refuse_body()
        removed = await self._services.store.remove(self._login(), upload_id)
        gone, others = news_of_removal(removed.upload), news_of("upload.changed", *removed.others)
        await self._room_events.publish(*gone, *others)
        return json_response(Ok())

    @describe_route(ChangedUpload, 400, 401, 403, 404, 413, 415, 503, security=COOKIE)
    async def restore(self, upload_id: UploadId) -> Response:
        """Take an upload out of the bin. For its uploader and the session's owner. The live room is notified."""
        refuse_body()
        restored = await self._services.store.restore(self._login(), upload_id)
        await self._room_events.publish(*news_of_change("upload.added", restored))
        return json_response(ChangedUpload(restored.upload))

    @describe_route(Peaks, 400, 401, 404, 409, 503, query=PeaksQuery, security=COOKIE)
    async def peaks(self, upload_id: UploadId) -> Response:
        """Get the waveform, or a part of it. Until the file has been analysed: 409 `peaks_pending`, ask again later."""
        query = Query()
        window = Window(
            query.seconds("from", most=LONGEST_S) or 0.0,
            query.seconds("to", most=LONGEST_S),
            query.number("points", default=DEFAULT_POINTS, least=1, most=MOST_POINTS),
        )
        try:
            peaks = await self._services.store.peaks(self._login(), upload_id, window)
        except PeaksPending as pending:
            raise Refusal(409, pending.code, pending.message, headers=retry_after(PEAKS_RETRY_S)) from None
        return json_response(peaks, headers=KEPT_FOR_A_DAY)

    async def _with_link(self, stored: StoredUpload) -> UploadAnswer:
        origin = own_origin(self._settings, request.host)
        return UploadAnswer(stored.upload, await self._services.links.url(stored, origin))

    def _declared_size(self) -> int | None:
        """About how large the file is, from Content-Length. None without it. Raises `UploadTooLarge`."""
        if request.content_length is None:
            return None
        size = max(0, request.content_length - OVERHEAD_BYTES)
        if size > self._services.upload_writer.max_bytes:
            raise UploadTooLarge(self._services.upload_writer.max_bytes)
        return size


def news_of_removal(upload: Upload) -> list[RoomSaid]:
    """What the room of the upload's session, if it has one, is told when it is not there any more."""
    if upload.session_id is None:
        return []
    payload = msgspec.Raw(msgspec.json.encode(UploadGone(upload.id, upload.session_id)))
    return [RoomSaid(upload.session_id, "upload.removed", payload)]


def news_of_change(what: str, changed: ChangedUploads) -> list[RoomSaid]:
    """What the room is told of a change: of the upload if anything happened to it, and of the others."""
    uploads = [changed.upload] if changed.is_changed else []
    return news_of(what, *uploads) + news_of("upload.changed", *changed.others)


def news_of(what: str, *uploads: Upload) -> list[RoomSaid]:
    """What the rooms of their sessions, if they have one, are told of the uploads as they are now."""
    return [
        RoomSaid(upload.session_id, what, msgspec.Raw(msgspec.json.encode(upload)))
        for upload in uploads
        if upload.session_id is not None
    ]
