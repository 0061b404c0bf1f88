"""Reading what a request carries: JSON bodies and query values, checked (SPEC 3).

Overload: a body over the app's limit is refused before it is read whole. Bad input never reaches a route: it ends as
`InvalidInput` or `Refusal`, each with a stable code, whatever was sent.

Reading what a form or a program posts (SPEC 4): the fields, and how whoever posted them is to be answered.

A form of a page is answered with a redirect. NextAuth's clients post forms too and want JSON: next-auth 4 says so with
`json=true`, Auth.js 5 with a header. Who posts JSON gets JSON. Overload: a body over the app's limit is refused before
it is read whole.
"""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from quart import request

from omnisonic.errors import InvalidInput
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.responses import JSON_TYPE
from omnisonic.models import plain_id

_WHOLE_NUMBER: Final = re.compile("[0-9]{1,9}")

_Shape = TypeVar("_Shape", bound=BaseModel)


class Input(BaseModel):
    """A JSON object that a request carries. Unknown properties are ignored, wrong types are refused."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


async def read_json(shape: type[_Shape]) -> _Shape:
    """The body of the current request as a `shape`. Where nothing in it is required there may be no body at all.

    Errors: as `raw_json`, and `InvalidInput`: `invalid_json`, or `invalid_<property>` for the first property that is
    missing or wrong.
    """
    if is_optional(shape) and not has_body():
        return validate(shape, {})
    return validate(shape, parse_object(await read_raw_json()))


def is_optional(shape: type[BaseModel]) -> bool:
    """Whether a `shape` without any property is one."""
    return not any(field.is_required() for field in shape.model_fields.values())


def has_body() -> bool:
    """Whether the current request brings a body, or says of which type it would be."""
    headers = request.headers
    framed = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
    return framed or "Content-Type" in headers


def validate(shape: type[_Shape], properties: Mapping[str, Any]) -> _Shape:
    """`properties` as a `shape`. Errors: `InvalidInput`: `invalid_<property>` for the first missing or wrong."""
    try:
        return shape.model_validate(properties)
    except ValidationError as wrong:
        raise _first_problem(wrong) from None


async def read_raw_json() -> bytes:
    """The bytes of the current request's body, which is said to be JSON.

    Errors: `Refusal` (415 `unsupported_media_type`, 413 `payload_too_large`, 408 `request_timeout`).
    """
    if request.mimetype != JSON_TYPE:
        raise Refusal(415, "unsupported_media_type", f"Send the body as {JSON_TYPE}.")
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


def refuse_body() -> None:
    """See that a request which needs no body brings none that a foreign page could have sent. Errors: `Refusal` 415."""
    if "Content-Type" in request.headers and request.mimetype != JSON_TYPE:
        raise Refusal(415, "unsupported_media_type", f"Send no body, or one that is {JSON_TYPE}.")


Id = Annotated[str, AfterValidator(plain_id)]
"""The id of something of ours, which may be written in capitals."""


class Query:
    """The query of the current request, parsed once. Parameters that nobody asks for are ignored."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] | None = None
        with suppress(ValueError):
            self._pairs = parse_qsl(request.query_string.decode(), keep_blank_values=True, errors="strict")

    def get(self, name: str) -> str | None:
        """The value of the parameter `name`, None when it is not there.

        Errors: `InvalidInput` when it is doubled, or anything in the query is not UTF-8.
        """
        if self._pairs is None:
            raise InvalidInput("The query is not UTF-8.", code=_code(name))
        values = [value for key, value in self._pairs if key == name]
        if len(values) > 1:
            raise InvalidInput(f"Give {name} only once.", code=_code(name))
        return values[0] if values else None

    def id(self, name: str) -> str | None:
        """As `get`, of an id of something of ours, which may be written in capitals."""
        value = self.get(name)
        return None if value is None else plain_id(value)

    def __getitem__(self, name: str) -> str:
        """The value of the parameter `name`. Errors: `InvalidInput` when it is missing or doubled."""
        value = self.get(name)
        if value is None:
            raise InvalidInput(f"{name} is missing from the query.", code=_code(name))
        return value

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        """The whole number in the parameter `name`. Errors: `InvalidInput` when it is none, or out of bounds."""
        value = self.get(name)
        if value is None:
            return default
        if not _WHOLE_NUMBER.fullmatch(value) or not least <= int(value) <= most:
            raise InvalidInput(f"{name} must be a whole number from {least} to {most}.", code=_code(name))
        return int(value)


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, as RFC 8259 has it and no wider.

    Errors: `InvalidInput` (`invalid_json`) on bad UTF-8, doubled keys, NaN, numbers that no float holds, nesting
    deeper than the interpreter's stack, and on anything that is not an object.
    """
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_without_doubles, parse_float=_number, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise InvalidInput("The body is not valid JSON.", code="invalid_json") from None
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.", code="invalid_json")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    properties = dict(pairs)
    if len(properties) != len(pairs):
        raise ValueError("doubled key")
    return properties


def _number(text: str) -> float | int:
    """JSON has one kind of number: `60.0` and `6e1` are the integer 60."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("too large")
    return int(value) if value.is_integer() else value


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _code(name: str) -> str:
    return "invalid_" + re.sub("[A-Z]", lambda capital: "_" + capital[0].lower(), name)


def _first_problem(wrong: ValidationError) -> InvalidInput:
    problem = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(problem["loc"][0])
    if problem["type"] == "missing":
        return InvalidInput(f"{name} is missing.", code=_code(name))
    reason = problem["msg"].removeprefix("Input should be ")
    return InvalidInput(f"{name} must be {reason}.", code=_code(name))


FORM_TYPE: Final = "application/x-www-form-urlencoded"
AUTH_JS_HEADER: Final = "X-Auth-Return-Redirect"
"""What Auth.js 5 sends with a form, whatever its value: the answer is to say where it leads, and not to lead there."""
MAX_FIELDS: Final = 64


@dataclass(frozen=True, slots=True)
class Post:
    """What was posted. `is_form`: by something that shows pages, or pretends to. `wants_json`: no redirect, please.

    `is_auth_js`: by Auth.js 5.
    """

    fields: Mapping[str, Any]
    is_form: bool
    wants_json: bool
    is_auth_js: bool = False

    def as_shape(self, shape: type[_Shape]) -> _Shape:
        """The fields as a `shape`. Errors: `InvalidInput`: `invalid_<field>` for the first that is missing or wrong."""
        return validate(shape, self.fields)


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
