"""Reading what a form or a program posts (SPEC 4): the fields, and how whoever posted them is to be answered.

A form of a page is answered with a redirect. NextAuth's clients post forms too and want JSON: next-auth 4 says so with
`json=true`, Auth.js 5 with a header. Who posts JSON gets JSON. Overload: a body over the app's limit is refused before
it is read whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel
from quart import request

from omnisonic.errors import InvalidInput
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import checked, has_body, is_optional, parse_object
from omnisonic.http.core.responses import JSON_TYPE

FORM_TYPE: Final = "application/x-www-form-urlencoded"
AUTH_JS_HEADER: Final = "X-Auth-Return-Redirect"
"""What Auth.js 5 sends with a form, whatever its value: the answer is to say where it leads, and not to lead there."""
MAX_FIELDS: Final = 64

_Shape = TypeVar("_Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Post:
    """What was posted. `is_form`: by something that shows pages, or pretends to. `wants_json`: no redirect, please.

    `is_auth_js`: by Auth.js 5.
    """

    fields: Mapping[str, Any]
    is_form: bool
    wants_json: bool
    is_auth_js: bool = False

    def shaped(self, shape: type[_Shape]) -> _Shape:
        """The fields as a `shape`. Errors: `InvalidInput`: `invalid_<field>` for the first that is missing or wrong."""
        return checked(shape, self.fields)


async def read_post(shape: type[BaseModel] | None = None) -> Post:
    """The body of the current request. Where nothing is required in the `shape` that it is to have, there may be no
    body at all: that is a form without fields, so without a CSRF token.

    Errors: `Refusal` (415 `unsupported_media_type`, 413 `payload_too_large`, 408 `request_timeout`) and `InvalidInput`
    (`invalid_json`, `invalid_form`).
    """
    mimetype = request.mimetype
    if shape is not None and is_optional(shape) and not has_body():
        mimetype = FORM_TYPE
    if mimetype not in (JSON_TYPE, FORM_TYPE):
        raise Refusal(415, "unsupported_media_type", f"Send the body as {JSON_TYPE} or {FORM_TYPE}.")
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    if mimetype == JSON_TYPE:
        return Post(parse_object(body), is_form=False, wants_json=True)
    fields = parse_form(body)
    is_auth_js = AUTH_JS_HEADER in request.headers
    return Post(fields, is_form=True, wants_json=is_auth_js or fields.get("json") == "true", is_auth_js=is_auth_js)


def parse_form(data: bytes) -> dict[str, Any]:
    """The fields in `data` (WHATWG URL, 5.1, and no wider).

    A field that is there twice is no text: whoever asks for it refuses it, and nobody minds the others. Errors:
    `InvalidInput` (`invalid_form`) on bad UTF-8, also when percent-encoded, and too many fields.
    """
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidInput("The form is not UTF-8, or has too many fields.", code="invalid_form") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        fields[name] = [fields[name], value] if name in fields else value
    return fields
