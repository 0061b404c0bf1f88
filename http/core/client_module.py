"""The client for JavaScript, `/client/omnisonic.js`, and its type declarations (SPEC 8).

Its address has no digest, because people write it into their own pages. So a browser asks each time whether it has the
newest, and gets 304 if it has. The studio's own page uses the same file. Pages of any origin may import it (CORS): it
is the same for everybody, and is asked for without cookies. Nothing else that the web serves may be read by foreign
pages.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from quart import Response, request
from werkzeug.exceptions import NotFound

from omnisonic.http.core.text_file import VARY, TextFile

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "omnisonic.js": "text/javascript; charset=utf-8",
    "omnisonic.d.ts": "application/typescript; charset=utf-8",
}


class ClientModule:
    """The files of the client that are served, in memory."""

    def __init__(self) -> None:
        folder = files("omnisonic") / "client_js"
        self._files = {name: TextFile((folder / name).read_bytes(), type_) for name, type_ in MEDIA_TYPES.items()}
        self._etags = {name: hashlib.sha256(file.content).hexdigest() for name, file in self._files.items()}

    def response(self, name: str) -> Response:
        """The file, or 304. Raises `NotFound`."""
        if name not in self._files:
            raise NotFound
        etag = self._etags[name]
        # The tag is weak: it is the same for the compressed file.
        headers = {"Cache-Control": "public, no-cache", "ETag": f'W/"{etag}"', "Access-Control-Allow-Origin": "*"}
        if request.if_none_match.contains_weak(etag):
            return Response(status=304, headers={**headers, **VARY})
        return self._files[name].response(headers)
