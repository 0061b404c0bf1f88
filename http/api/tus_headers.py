"""The headers of tus 1.0: reading, checking and writing them. Pure."""

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from omnisonic.errors import InvalidInput
from omnisonic.studio.uploads import UploadTooLarge
from omnisonic.studio.uploads.chunks import ALGORITHMS


class VersionHeader(BaseModel):
    """The header of every request."""

    model_config = ConfigDict(alias_generator=lambda name: name.title().replace("_", "-"))

    tus_resumable: Literal["1.0.0"]


class CreationHeaders(VersionHeader):
    """What the file is, sent before the file itself."""

    upload_length: int | None = Field(None, ge=1, description="Its size in bytes.")
    upload_defer_length: Literal["1"] | None = Field(None, description="1 instead: its size is said later.")
    upload_metadata: str = Field(
        description="`filename`, and `sessionId`, `takeOf` and `offsetSeconds` if any, each with base64 of UTF-8."
    )


class ChunkHeaders(VersionHeader):
    """Where a chunk belongs."""

    upload_offset: int = Field(ge=0, description="How many bytes of the upload come before this chunk.")
    upload_length: int | None = Field(None, ge=1, description="The size of the upload, if it was not said before.")


VERSION: Final = "1.0.0"
EXTENSIONS: Final = ("creation", "creation-defer-length", "expiration", "checksum", "termination")
UNSUPPORTED: Final = {
    "Upload-Concat": "concatenation: send the file as one upload",
}
"""Headers of extensions that are not supported, with what to do instead."""
METHOD_OVERRIDE: Final = b"x-http-method-override"
_WHOLE_NUMBER: Final = re.compile("[0-9]{1,15}")
_CODES: Final = {"Upload-Length": "invalid_upload_length", "Upload-Offset": "invalid_upload_offset"}


def capabilities(max_bytes: int) -> dict[str, str]:
    """The headers that list what this server supports, for `OPTIONS`."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def parse_number(name: str, text: str) -> int:
    """Read `text`, the value of the header `name`, as a number of bytes. Raises `InvalidInput` (`invalid_<name>`)."""
    if not _WHOLE_NUMBER.fullmatch(text):
        raise InvalidInput(f"{name} must be a whole number of bytes.", code=_CODES[name])
    return int(text)


def parse_length(headers: Headers, max_bytes: int) -> int | None:
    """Read the size of a new upload: `Upload-Length`, or None with `Upload-Defer-Length`.

    Raises:
        InvalidInput: `invalid_upload_length`, `empty_file`.
        UploadTooLarge
    """
    if "Upload-Defer-Length" in headers:
        if headers["Upload-Defer-Length"] != "1" or "Upload-Length" in headers:
            message = "Say either Upload-Length, or 1 as Upload-Defer-Length."
            raise InvalidInput(message, code="invalid_upload_length")
        return None
    size = parse_number("Upload-Length", headers.get("Upload-Length", ""))
    if size > max_bytes:
        raise UploadTooLarge(max_bytes)
    if not size:
        raise InvalidInput("The file is empty.", code="empty_file")
    return size


def refuse_unsupported(headers: Headers, *, creates: bool, has_body: bool) -> None:
    """Refuse a request for an unsupported extension. Raises `InvalidInput` (`unsupported_tus_extension`)."""
    requested = [what for name, what in UNSUPPORTED.items() if name in headers]
    if "upload-checksum" in headers.get("Trailer", "").lower():
        requested.append("checksum-trailer: send Upload-Checksum before the bytes")
    if creates and has_body:
        requested.append("creation-with-upload: create without a body, then send the bytes by PATCH")
    if requested:
        message = f"This studio does not speak tus' extension {requested[0]}."
        raise InvalidInput(message, code="unsupported_tus_extension")


def effective_method(method: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The method to handle a request as: `X-HTTP-Method-Override` of a POST, otherwise its own.

    Raises `InvalidInput` (`invalid_method_override`).
    """
    methods = {value.strip().upper() for name, value in headers if name == METHOD_OVERRIDE}
    if not methods or methods == {method.encode()}:
        return method
    if method != "POST" or len(methods) > 1:
        message = "X-HTTP-Method-Override must be one method, in a POST."
        raise InvalidInput(message, code="invalid_method_override")
    return methods.pop().decode("latin1")


def parse_metadata(header: str) -> dict[str, str]:
    """Read `Upload-Metadata`: comma-separated pairs of a key and a value in base64.

    Raises `InvalidInput` (`invalid_upload_metadata`).
    """
    pairs: dict[str, str] = {}
    for pair in header.split(",") if header.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        value = ""
        try:
            value = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            key = ""
        if not key or key in pairs:
            raise InvalidInput(
                "Upload-Metadata must be keys, each with a value in base64, apart by commas.",
                code="invalid_upload_metadata",
            )
        pairs[key] = value
    return pairs


def format_metadata(file_name: str, session_id: str | None, take_of: str | None, offset_s: float) -> dict[str, str]:
    """The `Upload-Metadata` header of a response: what was stored of the client's metadata."""
    offset = str(offset_s) if offset_s else None
    pairs = {"filename": file_name, "sessionId": session_id, "takeOf": take_of, "offsetSeconds": offset}
    encoded = (
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items() if value is not None
    )
    return {"Upload-Metadata": ",".join(encoded)}


def expires_header(at: datetime) -> dict[str, str]:
    """The header with the time until which an upload can be finished."""
    return {"Upload-Expires": http_date(at)}
