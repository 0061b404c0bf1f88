"""JSON Schemas of the OpenAPI document, written so that generators of clients read them as they are meant. Pure.

What pydantic and msgspec make is right, but generators stumble over it: lists of values without a type, a default that
says only that something may be absent, null where a query or a form cannot say it, and titles made from names.
"""

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, Final

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
    said = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "properties" in said:
        said["properties"] = {name: _untitled(plain(each)) for name, each in said["properties"].items()}
    for name in _CHOICES:
        if name in said:
            said[name] = [plain(each) for each in said[name]]
    for name in _WITHIN:
        if isinstance(said.get(name), dict):
            said[name] = plain(said[name])
    return _with_values_typed(said)


def parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of what is said as text, in a query, a header or a field of a form: it cannot be null."""
    said = _untitled(plain(schema))
    choices = [each for each in said.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **{name: value for name, value in said.items() if name != "anyOf"}}
    return said


def form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a form: each of its fields is text."""
    said = plain(schema)
    return said | {"properties": {name: parameter(each) for name, each in said["properties"].items()}}


def files(media_types: Iterable[str]) -> dict[str, Any]:
    """The content of an answer or a request that is a file of one of these types."""
    return {media_type: {"schema": BYTES} for media_type in media_types}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "title"}


def _with_values_typed(schema: dict[str, Any]) -> dict[str, Any]:
    """A list of texts is an enumeration, also of one; a single value of another type is a constant."""
    if "enum" not in schema and "const" not in schema:
        return schema
    values = schema["enum"] if "enum" in schema else [schema["const"]]
    (type_,) = {_TYPES[type(value)] for value in values}
    rest = {name: value for name, value in schema.items() if name not in ("enum", "const", "type")}
    if len(values) == 1 and type_ != "string":
        return rest | {"type": type_, "const": values[0]}
    return rest | {"type": type_, "enum": list(values)}
