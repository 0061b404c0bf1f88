"""The shapes that the web answers with, and how they become bytes (SPEC 3).

What comes in is checked by pydantic (`omnisonic.http.inputs`); what goes out are these frozen structs, encoded by
msgspec in microseconds. The OpenAPI document is made from the same classes, so it cannot disagree with them.
"""

from typing import Any, Final, Literal

import msgspec
from quart import Response

from omnisonic.models import PresenceMember

JSON_TYPE: Final = "application/json"


class Ok(msgspec.Struct, frozen=True):
    """Done."""

    ok: Literal[True] = True


class Problem(msgspec.Struct, frozen=True):
    """What went wrong: a sentence for a person and a code for a program, which never changes once released."""

    error: str
    code: str


class Members(msgspec.Struct, frozen=True):
    """Everyone in the room, in the order of their member ids."""

    members: list[PresenceMember]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that this server needs answers. Each check says `ok`."""

    ok: Literal[True] = True
    checks: dict[str, str]


class Unreadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Something that this server needs does not answer. A check that failed says why."""

    ok: Literal[False] = False
    error: str
    code: Literal["unavailable"] = "unavailable"
    checks: dict[str, str]


class ApiDocument(msgspec.Struct, frozen=True):
    """The API, described in OpenAPI 3.1."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


_encoder = msgspec.json.Encoder()


def answer(shape: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`shape` as a JSON response."""
    return Response(_encoder.encode(shape), status, headers, content_type=JSON_TYPE)
