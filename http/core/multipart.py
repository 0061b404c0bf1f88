"""The form that carries a file (RFC 7578), read as it arrives.

The bytes of the file are found here: up to the first CRLF and boundary (RFC 2046, 5.1.1), uncopied. The rest of the
form is werkzeug's parser's, without its input or output.

Overload: the file is passed on chunk by chunk, and all that is not the file is bounded.
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

FILE: Final = "file"
LIST: Final = "[]"
"""What the name of a part ends in that is one of several (PHP's convention)."""
SESSION: Final = "sessionId"
LINE_BREAK: Final = b"\r\n"
MOST_PARTS: Final = 16
"""Before and with the file, and once more after it."""
LONGEST_FIELD_BYTES: Final = 1024
LONGEST_HELD_BYTES: Final = 262_144
"""How much of what is not the file may be in memory: the head of a part, what comes before the first part or after the
last.
"""
_WINDOWS_PATH: Final = re.compile(r'filename="((?:[A-Za-z]:\\|\\\\)[^"]*)"')
OVERHEAD_BYTES: Final = 65_536
"""What a form may have around its file."""


class UploadForm:
    """The form in `body`. First `open_file`, then read `file` to its end, then `finish`, which reads `body` to its end.

    `file_name` is what the client calls the file, from `open_file` on; `session_id` what it has said of that so far.
    """

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._body = body
        self._boundary = boundary
        self._decoder = self._new_decoder()
        self.file_name = ""
        self.session_id: str | None = None

    async def open_file(self) -> None:
        """Read up to the file. Errors: `InvalidInput` (`missing_file`, `too_many_files`, `invalid_form`)."""
        file = await self._next_file()
        if file is None:
            raise InvalidInput("Choose a file to upload: the form has no part named file.", code="missing_file")
        if file.name.endswith(LIST):
            raise _too_many()
        if file.name != FILE:
            raise InvalidInput(f"Send the file as the part named {FILE}.", code="missing_file")
        self.file_name = _windows_path(file.headers.get("Content-Disposition", "")) or file.filename

    async def file(self) -> AsyncIterator[bytes]:
        """The bytes of the file. Errors: `InvalidInput` (`invalid_form`) when they break off."""
        mark = LINE_BREAK + b"--" + self._boundary
        held = bytes(self._decoder.buffer)
        if not held.startswith(LINE_BREAK):
            raise _malformed()  # what werkzeug would take as well
        held = held[len(LINE_BREAK) :]
        while (end := held.find(mark)) < 0:
            ready = _before_begun(mark, held)
            if ready:
                yield held[:ready]
            chunk = await anext(self._body, None)
            if chunk is None:
                raise _malformed()
            held = held[ready:] + chunk
        if end:
            yield held[:end]
        self._decoder = self._new_decoder()
        self._decoder.receive_data(held[end:])

    async def finish(self) -> None:
        """Read what is after the file. Errors: `InvalidInput` (`too_many_files`, `invalid_form`)."""
        if await self._event() != Preamble(b""):
            raise _malformed()  # the file's boundary went on as none does
        if await self._next_file():
            raise _too_many()

    def _new_decoder(self) -> MultipartDecoder:
        return MultipartDecoder(self._boundary, LONGEST_HELD_BYTES, max_parts=MOST_PARTS)

    async def _next_file(self) -> File | None:
        """The head of the next file, or None when the form ends without one."""
        while True:
            match await self._event():
                case File() as file:
                    return file
                case Field(name=name):
                    await self._field(name)
                case Epilogue():
                    return None

    async def _field(self, name: str) -> None:
        value = bytearray()
        while True:
            event = await self._event()
            assert isinstance(event, Data)
            value += event.data
            if len(value) > LONGEST_FIELD_BYTES:
                raise InvalidInput(f"The field {name[:64]!r} is too long.", code="invalid_form")
            if not event.more_data:
                break
        if name == SESSION:
            self.session_id = plain_id(value.decode(errors="replace").strip()) or None

    async def _event(self) -> Event:
        try:
            while isinstance(event := self._decoder.next_event(), NeedData):
                chunk = await anext(self._body, None)
                self._decoder.receive_data(chunk)
        except (ValueError, RequestEntityTooLarge):
            raise _malformed() from None
        return event


def form_in_request(body: AsyncIterator[bytes]) -> UploadForm:
    """The form that the current request carries in `body`. Errors: `Refusal` (415)."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        message = f"Send the file in a form, multipart/form-data, as the part named {FILE} (Uppy: formData: true)."
        raise Refusal(415, "unsupported_media_type", message)
    return UploadForm(body, boundary.encode("latin1", "replace"))


def _before_begun(mark: bytes, chunk: bytes) -> int:
    """How many bytes of `chunk` come before what may be the beginning of `mark`, in which only the first byte is CR."""
    at = chunk.rfind(b"\r", max(0, len(chunk) - len(mark) + 1))
    return at if at >= 0 and mark.startswith(chunk[at:]) else len(chunk)


def _windows_path(disposition: str) -> str | None:
    """The file's name where old browsers send its whole path, whose backslashes quote nothing; None elsewhere."""
    found = None if "filename*" in disposition else _WINDOWS_PATH.search(disposition)
    return None if found is None else found[1]


def _too_many() -> InvalidInput:
    return InvalidInput(
        f"Send each file in a request of its own, as the part named {FILE} (Uppy: bundle: false).",
        code="too_many_files",
    )


def _malformed() -> InvalidInput:
    return InvalidInput("The form is malformed, or broke off.", code="invalid_form")
