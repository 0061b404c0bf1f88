"""The form that carries a file (RFC 7578), read as it arrives.

`multipart` parses it. What is decided here is what a form may have in it.

Overload: the file is passed on chunk by chunk, and everything else in the form is bounded by `OVERHEAD_BYTES`.
"""

from collections.abc import AsyncIterator
from typing import Final

from multipart import MultipartError, MultipartSegment, PushMultipartParser  # type: ignore[import-untyped]
from quart import request
from werkzeug.http import parse_options_header

from omnisonic.errors import InvalidInput
from omnisonic.http.core.errors import Refusal
from omnisonic.models.checks import plain_id
from omnisonic.studio.uploads import checked_offset_s

FILE_FIELD: Final = "file"
LIST_SUFFIX: Final = "[]"
"""The end of a part's name when there are several of it (PHP's convention)."""
SESSION_FIELD: Final = "sessionId"
TRACK_FIELD: Final = "takeOf"
OFFSET_FIELD: Final = "offsetSeconds"
MOST_PARTS: Final = 32
LONGEST_HEADER_BYTES: Final = 16_384
"""Longest header of a part. A small one, because the parser searches an incomplete header again with each chunk."""
LONGEST_FIELD_BYTES: Final = 1024
OVERHEAD_BYTES: Final = 65_536
"""Most bytes of a form besides its file."""


class UploadForm:
    """The form in `body`. Call `open_file`, read `file` to its end, then call `finish`, which reads `body` to its end.

    Attributes:
        file_name: The client's name of the file. Known after `open_file`.
        session_id: The value of the part `sessionId`, None until one has been read.
        take_of: The value of the part `takeOf`, likewise.
        offset_s: The value of the part `offsetSeconds`, 0 until one has been read.

    """

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._events = self._parse(body, boundary)
        self._other_bytes = 0
        self.file_name = ""
        self.session_id: str | None = None
        self.take_of: str | None = None
        self.offset_s = 0.0

    async def open_file(self) -> None:
        """Read up to the file. Raises `InvalidInput` (`missing_file`, `too_many_files`, `invalid_form`)."""
        file = await self._next_file()
        if file is None:
            raise InvalidInput("Choose a file to upload: the form has no part named file.", code="missing_file")
        if (file.name or "").endswith(LIST_SUFFIX):
            raise _too_many()
        if file.name != FILE_FIELD:
            raise InvalidInput(f"Send the file as the part named {FILE_FIELD}.", code="missing_file")
        self.file_name = _name_of_file(file) or ""

    async def file(self) -> AsyncIterator[bytes]:
        """Read the bytes of the file. Raises `InvalidInput` (`invalid_form`) when the body ends within them."""
        while isinstance(data := await anext(self._events), bytes):
            self._other_bytes -= len(data)
            yield data

    async def finish(self) -> None:
        """Read what comes after the file. Raises `InvalidInput` (`too_many_files`, `invalid_form`)."""
        if await self._next_file() is not None:
            raise _too_many()

    async def _next_file(self) -> MultipartSegment | None:
        """Read up to the headers of the next file, None when the form ends without one."""
        async for part in self._events:
            assert isinstance(part, MultipartSegment)
            if _name_of_file(part) is not None:
                return part
            await self._read_field(part.name or "")
        return None

    async def _read_field(self, name: str) -> None:
        value = bytearray()
        while isinstance(data := await anext(self._events), bytes):
            value += data
            if len(value) > LONGEST_FIELD_BYTES:
                raise InvalidInput(f"The field {name[:64]!r} is too long.", code="invalid_form")
        text = value.decode(errors="replace").strip()
        if name == SESSION_FIELD:
            self.session_id = plain_id(text) or None
        elif name == TRACK_FIELD:
            self.take_of = plain_id(text) or None
        elif name == OFFSET_FIELD:
            self.offset_s = checked_offset_s(text)

    async def _parse(
        self, body: AsyncIterator[bytes], boundary: bytes
    ) -> AsyncIterator[MultipartSegment | bytes | None]:
        """Iterate over the parts: the headers of each, its bytes, None at its end. Raises `InvalidInput`."""
        try:
            parser = PushMultipartParser(
                boundary,
                header_charset="latin1",
                max_header_size=LONGEST_HEADER_BYTES,
                max_segment_count=MOST_PARTS,
            )
            async for chunk in body:
                self._other_bytes += len(chunk)
                for event in parser.parse(chunk):
                    yield event
                if self._other_bytes > OVERHEAD_BYTES:
                    raise _malformed()
            parser.close()
        except MultipartError:
            raise _malformed() from None


def read_form(body: AsyncIterator[bytes]) -> UploadForm:
    """The form that the current request carries in `body`. Raises `Refusal` (415)."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        message = (
            f"Send the file in a form, multipart/form-data, as the part named {FILE_FIELD} (Uppy: formData: true)."
        )
        raise Refusal(415, "unsupported_media_type", message)
    return UploadForm(body, boundary.encode("latin1", "replace"))


def _name_of_file(part: MultipartSegment) -> str | None:
    """The file's name, None for a part that is no file. The parser ignores `filename*`, which browsers never send."""
    disposition = _as_utf8(dict(part.headerlist)["Content-Disposition"])
    if "filename*" in disposition:
        return parse_options_header(disposition)[1].get("filename")
    name = part.filename
    return None if name is None else _as_utf8(name)


def _as_utf8(header: str) -> str:
    """A header as its sender meant it. It was read as Latin 1, since the parser refuses what its charset has not."""
    return header.encode("latin1").decode(errors="replace")


def _too_many() -> InvalidInput:
    return InvalidInput(
        f"Send each file in a request of its own, as the part named {FILE_FIELD} (Uppy: bundle: false).",
        code="too_many_files",
    )


def _malformed() -> InvalidInput:
    return InvalidInput("The form is malformed, or broke off.", code="invalid_form")
