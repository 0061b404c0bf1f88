"""`/api/sessions/{id}/stems.zip`: all files of a session as they came, in one archive (SPEC 3).

The archive is made while it is sent (`omnisonic.studio.archives.zip_stream`), one block in memory. Its size is known
before. Overload: an archive is one of the downloads that `.downloads` bounds. A file that is missing, or a storage that
fails, ends the connection before the announced length is reached, so that nobody takes a part for the whole; with the
first file it is an error with a sentence. A client that goes away closes what is open.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final, Literal, cast

from pydantic import Field
from quart import Blueprint, Response

from omnisonic.errors import InvalidInput
from omnisonic.http.api.downloads import FileResponder, Stream
from omnisonic.http.core.inputs import Input, Query
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.models import LoginId, SessionId
from omnisonic.stores.storage import NoSuchObject, Storage
from omnisonic.studio.archives import ZIP_TYPE
from omnisonic.studio.archives.session_files import OriginalsArchive, SessionFiles
from omnisonic.studio.archives.zip_stream import WrongSize, ZipStream

ORIGINALS: Final = "originals"

_log = logging.getLogger(__name__)


class ArchiveQuery(Input):
    """What is in the archive."""

    format: Literal["originals"] | None = Field(default=None, description="`originals`: the files as they came.")


class Originals:
    """The route of archives. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(
        self, files: SessionFiles, storage: Storage, file_responder: FileResponder, login: Callable[[], LoginId]
    ) -> None:
        self._files = files
        self._storage = storage
        self._file_responder = file_responder
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("originals", __name__)
        routes.get("/api/sessions/<id:session_id>/stems.zip")(self.read)
        return routes

    @describe_route(
        None,
        400,
        401,
        404,
        409,
        429,
        503,
        bare=[200],
        query=ArchiveQuery,
        files=[ZIP_TYPE],
        security=COOKIE,
    )
    async def read(self, session_id: SessionId) -> Response:
        """Download all files of a session as they came, named and ordered as in it, in one zip."""
        login, wanted = self._login(), Query().get("format")
        if wanted not in (None, ORIGINALS):
            raise InvalidInput("format must be originals.", code="invalid_format")
        archive = await self._files.describe_originals(login, session_id)
        zipped = ZipStream(entry for entry, _ in archive.files)
        stream = Stream(_read_archive(zipped, archive, self._storage), archive.file_name, ZIP_TYPE, zipped.size)
        return await self._file_responder.respond_with_stream(stream)


async def _read_archive(zipped: ZipStream, archive: OriginalsArchive, storage: Storage) -> AsyncIterator[bytes]:
    """The archive in blocks. The first comes when the first file could be opened."""
    for _, key in archive.files:
        try:
            async with aclosing(cast("Any", storage.read(key))) as chunks:
                first = await anext(chunks, b"")
                yield zipped.begin()
                yield zipped.add(first)
                async for chunk in chunks:
                    yield zipped.add(chunk)
        except (NoSuchObject, WrongSize):
            _log.error("archive.file_lost", extra={"key": key})
            raise
        yield zipped.end()
    yield zipped.finish()
