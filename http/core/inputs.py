"""Reading and checking what a request carries: JSON bodies, forms and query values (SPEC 3, 4).

Overload: a body over the app's limit is refused before it is read completely. Invalid input never reaches a route: it
raises `InvalidInput` or `Refusal`, each with a stable code, whatever was sent.

Forms of pages expect a redirect. NextAuth's clients post forms too but want JSON: next-auth 4 says so with `json=true`,
Auth.js 5 with a header. Whoever posts JSON gets JSON.
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
from omnisonic.models.checks import plain_id

_WHOLE_NUMBER: Final = re.compile("[0-9]{1,9}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?(e-[0-9]{1,3})?", re.ASCII)

_Shape = TypeVar("_Shape", bound=BaseModel)


class Input(BaseModel):
    """A JSON object that a request carries. Unknown properties are ignored, wrong types are refused."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


async def read_json(shape: type[_Shape]) -> _Shape:
    """Read the body of the current request as a `shape`. Without required properties, the body may be missing.

    Raises as `raw_json`, and `InvalidInput`: `invalid_json`, or `invalid_<property>` for the first property that is
    missing or wrong.
    """
    if is_optional(shape) and not has_body():
        return validate(shape, {})
    return validate(shape, parse_object(await read_raw_json()))


def is_optional(shape: type[BaseModel]) -> bool:
    """Whether nothing in `shape` is required."""
    return not any(field.is_required() for field in shape.model_fields.values())


def has_body() -> bool:
    """Whether the current request has a body, or a Content-Type for one."""
    headers = request.headers
    framed = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
    return framed or "Content-Type" in headers


def validate(shape: type[_Shape], properties: Mapping[str, Any]) -> _Shape:
    """Check `properties` against a `shape`. Raises `InvalidInput` (`invalid_<property>`) for the first wrong one."""
    try:
        return shape.model_validate(properties)
    except ValidationError as error:
        raise _report_first(error) from None


async def read_raw_json() -> bytes:
    """Read the bytes of the current request's body, whose Content-Type is JSON.

    Raises `Refusal` (415 `unsupported_media_type`, 413 `payload_too_large`, 408 `request_timeout`).
    """
    if request.mimetype != JSON_TYPE:
        raise Refusal(415, "unsupported_media_type", f"Send the body as {JSON_TYPE}.")
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


def refuse_body() -> None:
    """Refuse a body, except JSON, which a foreign page could not have sent. Raises `Refusal` (415)."""
    if "Content-Type" in request.headers and request.mimetype != JSON_TYPE:
        raise Refusal(415, "unsupported_media_type", f"Send no body, or one that is {JSON_TYPE}.")


Id = Annotated[str, AfterValidator(plain_id)]
"""An id of ours. It may be written in capitals."""


class Query:
    """The query of the current request, parsed once. Unknown parameters are ignored."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] | None = None
        with suppress(ValueError):
            self._pairs = parse_qsl(request.query_string.decode(), keep_blank_values=True, errors="strict")

    def get(self, name: str) -> str | None:
        """The value of the parameter `name`, None when it is missing.

        Raises `InvalidInput` when it is there twice, or anything in the query is not UTF-8.
        """
        if self._pairs is None:
            raise InvalidInput("The query is not UTF-8.", code=_error_code(name))
        values = [value for key, value in self._pairs if key == name]
        if len(values) > 1:
            raise InvalidInput(f"Give {name} only once.", code=_error_code(name))
        return values[0] if values else None

    def id(self, name: str) -> str | None:
        """As `get`, for an id, which may be written in capitals."""
        value = self.get(name)
        return None if value is None else plain_id(value)

    def __getitem__(self, name: str) -> str:
        """The value of the parameter `name`. Raises `InvalidInput` when it is missing or there twice."""
        value = self.get(name)
        if value is None:
            raise InvalidInput(f"{name} is missing from the query.", code=_error_code(name))
        return value

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        """The whole number in the parameter `name`. Raises `InvalidInput` when it is none, or out of bounds."""
        value = self.get(name)
        if value is None:
            return default
        if not _WHOLE_NUMBER.fullmatch(value) or not least <= int(value) <= most:
            raise InvalidInput(f"{name} must be a whole number from {least} to {most}.", code=_error_code(name))
        return int(value)

    def seconds(self, name: str, *, most: float) -> float | None:
        """The seconds in the parameter `name`, None when it is missing. Raises `InvalidInput` as `number` does."""
        value = self.get(name)
        if value is None:
            return None
        if not _SECONDS.fullmatch(value) or float(value) > most:
            raise InvalidInput(f"{name} must be seconds from 0 to {most:g}.", code=_error_code(name))
        return float(value)


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse the JSON object in `data`, strictly by RFC 8259.

    Raises `InvalidInput` (`invalid_json`) on bad UTF-8, doubled keys, NaN, numbers that no float holds, nesting
    deeper than the interpreter's stack, and on anything that is not an object.
    """
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_reject_duplicate_keys,
            parse_float=_parse_number,
            parse_constant=_reject_constant,
        )
    except (ValueError, RecursionError):
        raise InvalidInput("The body is not valid JSON.", code="invalid_json") from None
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.", code="invalid_json")
    return value


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    properties = dict(pairs)
    if len(properties) != len(pairs):
        raise ValueError("doubled key")
    return properties


def _parse_number(text: str) -> float | int:
    """JSON has one kind of number: `60.0` and `6e1` are the integer 60."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("too large")
    return int(value) if value.is_integer() else value


def _reject_constant(name: str) -> float:
    raise ValueError(name)


def _error_code(name: str) -> str:
    return "invalid_" + re.sub("[A-Z]", lambda capital: "_" + capital[0].lower(), name)


def _report_first(error: ValidationError) -> InvalidInput:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(problem["loc"][0])
    if problem["type"] == "missing":
        return InvalidInput(f"{name} is missing.", code=_error_code(name))
    reason = problem["msg"].removeprefix("Input should be ")
    return InvalidInput(f"{name} must be {reason}.", code=_error_code(name))


FORM_TYPE: Final = "application/x-www-form-urlencoded"
AUTH_JS_HEADER: Final = "X-Auth-Return-Redirect"
"""Sent by Auth.js 5 with a form, with any value: respond with the address as JSON, not with a redirect."""
MAX_FIELDS: Final = 64


@dataclass(frozen=True, slots=True)
class Post:
    """A posted body.

    Attributes:
        fields: The fields of the form, or the properties of the JSON object.
        is_form: It was a form.
        wants_json: Respond with JSON, not with a redirect.
        is_auth_js: It was sent by Auth.js 5.

    """

    fields: Mapping[str, Any]
    is_form: bool
    wants_json: bool
    is_auth_js: bool = False

    def as_shape(self, shape: type[_Shape]) -> _Shape:
        """Check the fields against a `shape`. Raises `InvalidInput` (`invalid_<field>`) for the first wrong one."""
        return validate(shape, self.fields)


async def read_post(shape: type[BaseModel] | None = None) -> Post:
    """Read the form or JSON of the current request.

    Without required fields in `shape`, the body may be missing: that is a form without fields, so without a CSRF token.

    Raises `Refusal` (415 `unsupported_media_type`, 413 `payload_too_large`, 408 `request_timeout`) and `InvalidInput`
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
    """Parse the form in `data`, strictly by WHATWG URL, 5.1.

    A field that is there twice becomes a list, which checks of that field refuse. Raises:
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
