"""JSON Schemas of the OpenAPI document, simplified for generators of clients, and those of names and ids. Pure.

What pydantic and msgspec produce is correct, but generators fail on it: enumerations without a type, null defaults that
only mean "may be absent", null where a query or a form cannot carry it, and titles made from property names.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, Final

import msgspec
import msgspec.inspect
import msgspec.structs

from omnisonic.models import ID_LENGTH
from omnisonic.models.names import BLANK, CONTROLS, IGNORABLE, MARKS, SPACES

BYTES: Final[Mapping[str, str]] = {"type": "string", "format": "binary"}
"""The schema of bytes."""
_TYPES: Final[Mapping[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    NoneType: "null",
}
_CHOICES: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_WITHIN: Final = ("items", "additionalProperties")


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema`, with a type wherever it lists values, and without defaults that are null. Only models have titles."""
    result = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "properties" in result:
        result["properties"] = {name: _without_title(plain(each)) for name, each in result["properties"].items()}
    for name in _CHOICES:
        if name in result:
            result[name] = [plain(each) for each in result[name]]
    for name in _WITHIN:
        if isinstance(result.get(name), dict):
            result[name] = plain(result[name])
    return _add_value_type(result)


def parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a text value in a query, a header or a form: it cannot be null."""
    result = _without_title(plain(schema))
    choices = [each for each in result.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **{name: value for name, value in result.items() if name != "anyOf"}}
    return result


def form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a form: each of its fields is text."""
    result = plain(schema)
    return result | {"properties": {name: parameter(each) for name, each in result["properties"].items()}}


def files(media_types: Iterable[str]) -> dict[str, Any]:
    """The content of an answer or a request that is a file of one of these types."""
    return {media_type: {"schema": BYTES} for media_type in media_types}


def _without_title(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "title"}


def _add_value_type(schema: dict[str, Any]) -> dict[str, Any]:
    """A list of texts is an enumeration, also of one; a single value of another type is a constant."""
    if "enum" not in schema and "const" not in schema:
        return schema
    values = schema["enum"] if "enum" in schema else [schema["const"]]
    (type_,) = {_TYPES[type(value)] for value in values}
    rest = {name: value for name, value in schema.items() if name not in ("enum", "const", "type")}
    if len(values) == 1 and type_ != "string":
        return rest | {"type": type_, "const": values[0]}
    return rest | {"type": type_, "enum": list(values)}


def _escape_class(characters: str) -> str:
    """A part of a class of characters, as all dialects of regular expressions read it; JSON has no lone surrogates."""
    return "".join(
        f"\\u{ord(each):04x}" if each != "-" and ord(each) < 0x10000 else each
        for each in characters.replace("\ud800-\udfff", "")
    )


_CONTROLS: Final = _escape_class(CONTROLS)
_INVISIBLE: Final = _escape_class(CONTROLS + SPACES + IGNORABLE + BLANK)
_MARKS: Final = _escape_class(MARKS)

_TRIMMED: Final = (
    "\\u0009-\\u000d\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
)
"""Characters that `str.strip` removes."""


def name_schema(longest: int) -> dict[str, Any]:
    """The JSON Schema of what `omnisonic.models.checks.checked_name` lets through."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "pattern": f"^[^{_CONTROLS}]*[^{_INVISIBLE}][^{_CONTROLS}]*$",
        "description": "Something in it can be seen; no control characters, direction overrides or lone surrogates.",
    }


def text_schema(longest: int) -> dict[str, Any]:
    """The JSON Schema of what `omnisonic.models.checks.checked_text` lets through."""
    controls = _escape_class(CONTROLS.replace("\x00-\x1f", "\x00-\x08\x0b\x0c\x0e-\x1f"))
    return name_schema(longest) | {
        "pattern": f"^[^{controls}]*[^{_INVISIBLE}][^{controls}]*$",
        "description": "As a name, but of one or more lines. It is trimmed.",
    }


def id_schema() -> dict[str, Any]:
    """The JSON Schema of what may name a room or a member."""
    respond_failure = _CONTROLS + _MARKS
    return name_schema(ID_LENGTH) | {"pattern": f"^[^{respond_failure}]*[^{_INVISIBLE}][^{respond_failure}]*$"}


def trimmed_name_schema(longest: int) -> dict[str, Any]:
    """The JSON Schema of what `omnisonic.models.checks.checked_session_name` lets through."""
    return {
        "type": "string",
        "pattern": f"^[{_TRIMMED}]*[^{_CONTROLS}]{{0,{longest}}}[{_TRIMMED}]*$",
        "description": f"Trimmed, then at most {longest} characters; no control characters or direction overrides. "
        "Either nothing is left, or something in it can be seen.",
    }


UUID_SCHEMA: Final = {"type": "string", "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"}


PATH_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "room_id": id_schema(),
    "upload_id": UUID_SCHEMA,
    "export_id": UUID_SCHEMA,
    "number": {"type": "integer", "minimum": 0},
}
"""Schemas of the variables in paths, where they are restricted."""


def optional_properties(models: Iterable[Any]) -> dict[str, set[str]]:
    """The properties that may be left out, of each struct that values of these types hold, by the struct's name."""
    return {
        struct.__name__: {
            field.encode_name for field in msgspec.structs.fields(struct) if field.default is msgspec.UNSET
        }
        for struct in _all_structs(models)
    }


def _all_structs(models: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """All structs that values of these types hold, some of them more than once."""
    waiting = list(msgspec.inspect.multi_type_info(models))
    while waiting:
        match waiting.pop():
            case msgspec.inspect.StructType(cls=struct, fields=fields):
                yield struct
                waiting += [field.type for field in fields]
            case msgspec.inspect.UnionType(types=types):
                waiting += types
            case msgspec.inspect.ListType(item_type=item):
                waiting.append(item)
            case msgspec.inspect.DictType(value_type=value):
                waiting.append(value)
