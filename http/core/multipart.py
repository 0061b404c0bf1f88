"""The form that carries a file (RFC 7578), read as it arrives.

The bytes of the file are found here, without copying: they end at the first CRLF and boundary (RFC 2046, 5.1.1). The
rest of the form is parsed by werkzeug's sans-IO decoder.

Overload: the file is passed on chunk by chunk, and everything else in the form is bounded.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

from quart import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData, Preamble

from omnisonic.errors import InvalidInput
from omnisonic.http.core.errors import Refusal
from omnisonic.models import plain_id

FILE_FIELD: Final = "file"
LIST_SUFFIX: Final = "[]"
"""The end of a part's name when there are several of it (PHP's convention)."""
SESSION_FIELD: Final = "sessionId"
LINE_BREAK: Final = b"\r\n"
MOST_PARTS: Final = 16
"""Most parts up to the file, and again after it."""
LONGEST_FIELD_BYTES: Final = 1024
LONGEST_BUFFER_BYTES: Final = 262_144
"""Most bytes in memory besides the file: headers of a part, or what precedes the first part or follows the last."""
_WINDOWS_PATH: Final = re.compile(r'filename="((?:[A-Za-z]:\\|\\\\)[^"]*)"')
OVERHEAD_BYTES: Final = 65_536
"""Most bytes of a form besides its file."""


class UploadForm:
    """The form in `body`. Call `open_file`, read `file` to its end, then call `finish`, which reads `body` to its end.

    Attributes:
        file_name: The client's name of the file. Known after `open_file`.
        session_id: The value of the part `sessionId`, None until one has been read.

    """

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._body = body
        self._boundary = boundary
        self._decoder = self._new_decoder()
        self.file_name = ""
        self.session_id: str | None = None

    async def open_file(self) -> None:
        """Read up to the file. Raises `InvalidInput` (`missing_file`, `too_many_files`, `invalid_form`)."""
        file = await self._next_file()
        if file is None:
            raise InvalidInput("Choose a file to upload: the form has no part named file.", code="missing_file")
        if file.name.endswith(LIST_SUFFIX):
            raise _too_many()
        if file.name != FILE_FIELD:
            raise InvalidInput(f"Send the file as the part named {FILE_FIELD}.", code="missing_file")
        self.file_name = _windows_file_name(file.headers.get("Content-Disposition", "")) or file.filename

    async def file(self) -> AsyncIterator[bytes]:
        """Read the bytes of the file. Raises `InvalidInput` (`invalid_form`) when the body ends within them."""
        mark = LINE_BREAK + b"--" + self._boundary
        buffered = bytes(self._decoder.buffer)
        if not buffered.startswith(LINE_BREAK):
            raise _malformed()  # werkzeug would accept it
        buffered = buffered[len(LINE_BREAK) :]
        while (end := buffered.find(mark)) < 0:
            length = _length_before_mark(mark, buffered)
            if length:
                yield buffered[:length]
            chunk = await anext(self._body, None)
            if chunk is None:
                raise _malformed()
            buffered = buffered[length:] + chunk
        if end:
            yield buffered[:end]
        self._decoder = self._new_decoder()
        self._decoder.receive_data(buffered[end:])

    async def finish(self) -> None:
        """Read what comes after the file. Raises `InvalidInput` (`too_many_files`, `invalid_form`)."""
        if await self._next_event() != Preamble(b""):
            raise _malformed()  # the line of the boundary is longer than the boundary
        if await self._next_file():
            raise _too_many()

    def _new_decoder(self) -> MultipartDecoder:
        return MultipartDecoder(self._boundary, LONGEST_BUFFER_BYTES, max_parts=MOST_PARTS)

    async def _next_file(self) -> File | None:
        """Read up to the headers of the next file, None when the form ends without one."""
        while True:
            match await self._next_event():
                case File() as file:
                    return file
                case Field(name=name):
                    await self._read_field(name)
                case Epilogue():
                    return None

    async def _read_field(self, name: str) -> None:
        value = bytearray()
        while True:
            event = await self._next_event()
            assert isinstance(event, Data)
            value += event.data
            if len(value) > LONGEST_FIELD_BYTES:
                raise InvalidInput(f"The field {name[:64]!r} is too long.", code="invalid_form")
            if not event.more_data:
                break
        if name == SESSION_FIELD:
            self.session_id = plain_id(value.decode(errors="replace").strip()) or None

    async def _next_event(self) -> Event:
        try:
            while isinstance(event := self._decoder.next_event(), NeedData):
                chunk = await anext(self._body, None)
                self._decoder.receive_data(chunk)
        except (ValueError, RequestEntityTooLarge):
            raise _malformed() from None
        return event


def read_form(body: AsyncIterator[bytes]) -> UploadForm:
    """The form that the current request carries in `body`. Raises `Refusal` (415)."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        message = (
            f"Send the file in a form, multipart/form-data, as the part named {FILE_FIELD} (Uppy: formData: true)."
        )
        raise Refusal(415, "unsupported_media_type", message)
    return UploadForm(body, boundary.encode("latin1", "replace"))


def _length_before_mark(mark: bytes, chunk: bytes) -> int:
    """Length of `chunk` without a possible beginning of `mark` at its end. Only the first byte of `mark` is CR."""
    at = chunk.rfind(b"\r", max(0, len(chunk) - len(mark) + 1))
    return at if at >= 0 and mark.startswith(chunk[at:]) else len(chunk)


def _windows_file_name(disposition: str) -> str | None:
    """The file's name when an old browser sent a Windows path, whose backslashes are not escapes; else None."""
    found = None if "filename*" in disposition else _WINDOWS_PATH.search(disposition)
    return None if found is None else found[1]


def _too_many() -> InvalidInput:
    return InvalidInput(
        f"Send each file in a request of its own, as the part named {FILE_FIELD} (Uppy: bundle: false).",
        code="too_many_files",
    )


def _malformed() -> InvalidInput:
    return InvalidInput("The form is malformed, or broke off.", code="invalid_form")
