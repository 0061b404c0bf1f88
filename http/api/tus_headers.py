"""The headers of tus 1.0, read and checked. Pure."""

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
from omnisonic.studio.uploads.chunks import ALGORITHMS


class VersionHeader(BaseModel):
    """What every request says."""

    model_config = ConfigDict(alias_generator=lambda name: name.title().replace("_", "-"))

    tus_resumable: Literal["1.0.0"]


class CreationHeaders(VersionHeader):
    """What a file is, before it comes."""

    upload_length: int = Field(ge=1, description="Its size in bytes.")
    upload_metadata: str = Field(description="`filename`, and `sessionId` if any, each with base64 of UTF-8.")


class ChunkHeaders(VersionHeader):
    """Where a piece belongs."""

    upload_offset: int = Field(ge=0, description="How much has arrived before it, in bytes.")


VERSION: Final = "1.0.0"
EXTENSIONS: Final = ("creation", "expiration", "checksum", "termination")
FOREIGN: Final = {
    "Upload-Concat": "concatenation: send the file as one upload",
    "Upload-Defer-Length": "creation-defer-length: say Upload-Length at the beginning",
}
"""Headers of extensions that there are not, with what to do instead."""
METHOD_OVERRIDE: Final = b"x-http-method-override"
_WHOLE_NUMBER: Final = re.compile("[0-9]{1,15}")
_CODES: Final = {"Upload-Length": "invalid_upload_length", "Upload-Offset": "invalid_upload_offset"}


def capabilities(max_bytes: int) -> dict[str, str]:
    """What this server can, for `OPTIONS`."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def number(name: str, text: str) -> int:
    """The whole number of bytes in `text`, the header `name`. Errors: `InvalidInput` (`invalid_<name>`)."""
    if not _WHOLE_NUMBER.fullmatch(text):
        raise InvalidInput(f"{name} must be a whole number of bytes.", code=_CODES[name])
    return int(text)


def refuse_unsupported(headers: Headers, *, creates: bool, has_body: bool) -> None:
    """See that a request wants no extension that there is not. Errors: `InvalidInput` (`unsupported_tus_extension`)."""
    wanted = [what for name, what in FOREIGN.items() if name in headers]
    if "upload-checksum" in headers.get("Trailer", "").lower():
        wanted.append("checksum-trailer: send Upload-Checksum before the bytes")
    if creates and has_body:
        wanted.append("creation-with-upload: create without a body, then send the bytes by PATCH")
    if wanted:
        message = f"This studio does not speak tus' extension {wanted[0]}."
        raise InvalidInput(message, code="unsupported_tus_extension")


def effective_method(method: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The method that is meant, which a client that cannot send it says by `X-HTTP-Method-Override` in a POST.

    Errors: `InvalidInput` (`invalid_method_override`).
    """
    said = {value.strip().upper() for name, value in headers if name == METHOD_OVERRIDE}
    if not said or said == {method.encode()}:
        return method
    if method != "POST" or len(said) > 1:
        message = "X-HTTP-Method-Override must be one method, in a POST."
        raise InvalidInput(message, code="invalid_method_override")
    return said.pop().decode("latin1")


def metadata(header: str) -> dict[str, str]:
    """What the client says of the file: pairs, apart by commas, of a key and a value in base64.

    Errors: `InvalidInput` (`invalid_upload_metadata`).
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


def format_metadata(file_name: str, session_id: str | None) -> dict[str, str]:
    """The header that says what the studio has kept of the client's `Upload-Metadata`."""
    pairs = {"filename": file_name} | ({} if session_id is None else {"sessionId": session_id})
    encoded = (f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    return {"Upload-Metadata": ",".join(encoded)}


def expires(at: datetime) -> dict[str, str]:
    """The header that says until when an upload can be finished."""
    return {"Upload-Expires": http_date(at)}
