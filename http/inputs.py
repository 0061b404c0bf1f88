"""Reading what a request carries: JSON bodies and query values, checked (SPEC 3).

Overload: a body over the app's limit is refused before it is read whole. Bad input never reaches a route: it ends as
`InvalidInput` or `Refusal`, each with a stable code, whatever was sent.
"""

import json
import math
import re
from typing import Any, TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from quart import request

from omnisonic.errors import InvalidInput
from omnisonic.http.answers import JSON_TYPE
from omnisonic.http.errors import Refusal

_Shape = TypeVar("_Shape", bound=BaseModel)


class Input(BaseModel):
    """A JSON object that a request carries. Unknown properties are ignored, wrong types are refused."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


async def json_body(shape: type[_Shape]) -> _Shape:
    """The body of the current request as a `shape`.

    Errors: `Refusal` (415 `unsupported_media_type`, 413 `payload_too_large`, 408 `request_timeout`) and `InvalidInput`:
    `invalid_json`, or `invalid_<property>` for the first property that is missing or wrong.
    """
    if request.mimetype != JSON_TYPE:
        raise Refusal(415, "unsupported_media_type", f"Send the body as {JSON_TYPE}.")
    properties = parse_object(await request.get_data(cache=False, as_text=False, parse_form_data=False))
    try:
        return shape.model_validate(properties)
    except ValidationError as wrong:
        raise _first_problem(wrong) from None


def query_value(name: str) -> str:
    """The value of the query parameter `name`. Errors: `InvalidInput` when it is missing, doubled or not UTF-8."""
    code = _code(name)
    try:
        values = parse_qs(request.query_string.decode(), keep_blank_values=True, errors="strict").get(name, [])
    except ValueError:
        raise InvalidInput("The query is not UTF-8, or has too many parts.", code=code) from None
    if not values:
        raise InvalidInput(f"{name} is missing from the query.", code=code)
    if len(values) > 1:
        raise InvalidInput(f"Give {name} only once.", code=code)
    return values[0]


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
