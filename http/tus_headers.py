"""The headers of tus 1.0, read and checked. Pure."""

import base64
import binascii
import re
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from werkzeug.http import http_date

from omnisonic.errors import InvalidInput
from omnisonic.uploads.pieces import ALGORITHMS


class VersionHeader(BaseModel):
    """What every request says."""

    model_config = ConfigDict(alias_generator=lambda name: name.title().replace("_", "-"))

    tus_resumable: Literal["1.0.0"]


class CreationHeaders(VersionHeader):
    """What a file is, before it comes."""

    upload_length: int = Field(ge=1, description="Its size in bytes.")
    upload_metadata: str = Field(description="`filename`, and `sessionId` if any, each with base64 of UTF-8.")


class PieceHeaders(VersionHeader):
    """Where a piece belongs."""

    upload_offset: int = Field(ge=0, description="How much has arrived before it, in bytes.")


VERSION: Final = "1.0.0"
EXTENSIONS: Final = ("creation", "expiration", "checksum", "termination")
_WHOLE_NUMBER: Final = re.compile("[0-9]{1,15}")
_CODES: Final = {"Upload-Length": "invalid_upload_length", "Upload-Offset": "invalid_upload_offset"}


def abilities(max_bytes: int) -> dict[str, str]:
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


def expires(at: datetime) -> dict[str, str]:
    """The header that says until when an upload can be finished."""
    return {"Upload-Expires": http_date(at)}
